"""Activations in blocks: one place that slices, moves and checks them, whether they lie in memory or on disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.rows import all_finite, native, require_matrix

if TYPE_CHECKING:
    from sae_lens import SAE


def require_activations(activations: Any, d_model: int) -> int:
    """The number of tokens in ``activations`` ``[n_tokens, d_model]``.

    Raises ``ConfigError`` when there are no tokens, when they are no floating-point numbers, or when the shape does not
    suit an SAE with ``d_in`` = ``d_model``.
    """
    shape = require_matrix(activations)
    if shape[1] != d_model:
        raise ConfigError(
            f"activations have d_model = {shape[1]} and the SAE has d_in = {d_model}: use the activations of the "
            "model and hook point that the SAE was trained on."
        )
    if shape[0] == 0:
        raise ConfigError("activations hold 0 tokens: harvest at least one token before measuring.")
    return shape[0]


def blocks(activations: Any, batch_size: int, device: torch.device | str = "cpu") -> Iterator[torch.Tensor]:
    """Yield ``activations`` ``[n_tokens, d_model]`` as tensors of at most ``batch_size`` rows on ``device``.

    Takes a tensor (memory-mapped or not) or a NumPy array (also a ``memmap``); only one block is in memory at a time.
    Half precisions come as float32.
    Raises ``ConfigError`` at the first block with a NaN or an infinity, saying how many there are in all and where.
    """
    require_positive("batch_size", batch_size)
    for start in range(0, int(activations.shape[0]), batch_size):
        block = _rows(activations, start, start + batch_size).to(device)
        if block.dtype in (torch.float16, torch.bfloat16):
            block = block.float()
        if not all_finite(block):
            raise _non_finite(activations, start, batch_size)
        yield block


def encoded(sae: SAE[Any], block: torch.Tensor) -> torch.Tensor:
    """Latent activations ``[n_tokens, n_latents]`` of a block ``[n_tokens, d_model]``.

    Raises ``ConfigError`` where they are no numbers: a product has overflowed, and a sum over it would say nothing.
    """
    latents = sae.encode(block)
    if not all_finite(latents):
        token, latent = (~torch.isfinite(latents)).nonzero()[0].tolist()
        raise ConfigError(
            f"latent {latent} of the SAE is {latents[token, latent].item()} on a token of norm {float(block[token].norm()):.3g}: "
            f"{str(latents.dtype).removeprefix('torch.')} has overflowed. Look for weights or activations that are far too "
            "large, or for the wrong hook point."
        )
    return latents


def decoded(sae: SAE[Any], latents: torch.Tensor) -> torch.Tensor:
    """Reconstructions ``[n_tokens, d_model]`` of latent activations ``[n_tokens, n_latents]``, errors as in ``encoded``."""
    rebuilt = sae.decode(latents)
    if not all_finite(rebuilt):
        raise ConfigError(
            f"the SAE's reconstruction of a token is no number: {str(rebuilt.dtype).removeprefix('torch.')} has overflowed. "
            "Look for decoder weights or activations that are far too large."
        )
    return rebuilt


def require_sums(*sums: float | torch.Tensor) -> None:
    """Raise ``ConfigError`` when a sum over tokens is no number: squares have overflowed on the way."""
    if not all(bool(torch.isfinite(torch.as_tensor(one, dtype=torch.float64)).all()) for one in sums):
        raise ConfigError(
            "a sum of squares over the tokens has overflowed: the activations or the decoder are far too large. Look at "
            "their scale, or at the hook point."
        )


def _rows(activations: Any, start: int, stop: int) -> torch.Tensor:
    rows = activations[start:stop]
    if isinstance(rows, torch.Tensor):
        return rows.detach().as_subclass(torch.Tensor)
    return native(rows)  # a copy: a read-only memmap must not be handed to torch as writable


def _non_finite(activations: Any, start: int, batch_size: int) -> ConfigError:
    """Describe the values that are not finite; rows before ``start`` are known to be good."""
    count, first = 0, (0, 0)
    for begin in range(start, int(activations.shape[0]), batch_size):
        bad = (~torch.isfinite(_rows(activations, begin, begin + batch_size))).nonzero()
        if count == 0 and len(bad):
            first = (begin + int(bad[0, 0]), int(bad[0, 1]))
        count += len(bad)
    return ConfigError(
        f"activations hold {count} non-finite values (NaN or infinity), the first at token {first[0]}, "
        f"coordinate {first[1]}: drop those tokens or harvest again in float32."
    )
