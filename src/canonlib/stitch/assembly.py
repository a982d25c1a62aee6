"""SAEs made of latents of others: inserted, swapped, gathered from a whole family; SAELens SAEs like any other.

Latents that act independently keep their activations in another SAE exactly. Only what they subtract from the input
can differ (their SAE's decoder bias, or nothing), and their encoder bias absorbs that: with shifts s and s',
(x - s')·w + b' = (x - s)·w + b for b' = b + (s' - s)·w.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from canonlib.errors import ConfigError, shown
from canonlib.sae.dictionary import require_dictionary, require_numbers
from canonlib.sae.needs import Need, takes
from canonlib.stitch.support import one_space

if TYPE_CHECKING:
    from sae_lens import SAE

Latents = Sequence[int] | torch.Tensor


class Part(NamedTuple):
    """Latents of one SAE, in the order in which they are wanted."""

    sae: SAE[Any]
    latents: Latents


class _Encoder(NamedTuple):
    """Any independent latent as a JumpReLU: f = ReLU(h) where h = (x - shift)·w_enc + b_enc > threshold, else 0."""

    w_enc: torch.Tensor  # [d_in, n]
    b_enc: torch.Tensor  # [n]
    threshold: torch.Tensor  # [n]
    shift: torch.Tensor  # [d_in]: b_dec, or zero when the SAE does not subtract it from its input


def _encoder(sae: SAE[Any]) -> _Encoder:
    """The encoder of ``sae`` in float64, in JumpReLU form.

    A gated latent fires where w·x + b_gate > 0, with magnitude ReLU(e^r w·x + b_mag): that is a JumpReLU with weights
    e^r w, bias b_mag and threshold b_mag - e^r b_gate (Rajamanoharan et al. 2024, arXiv 2404.16014).
    """
    parts: Any = sae  # the parameters that follow belong to subclasses
    shift = sae.b_dec.double() * sae.cfg.apply_b_dec_to_input
    architecture = sae.cfg.architecture()
    w_enc = sae.W_enc.double()
    if architecture == "gated":
        scale, b_mag = parts.r_mag.double().exp(), parts.b_mag.double()
        b_gate = parts.b_gate.double()
        never = torch.isinf(b_mag) | torch.isinf(b_gate)  # -inf in either: their difference could be none
        threshold = torch.where(never, torch.inf, b_mag - scale * b_gate)
        return _Encoder(w_enc * scale, b_mag, threshold, shift)
    b_enc = parts.b_enc.double()
    plain = torch.zeros_like(b_enc)
    return _Encoder(w_enc, b_enc, parts.threshold.double() if architecture == "jumprelu" else plain, shift)


def checked_latents(latents: Latents, n_latents: int, role: str = "large SAE") -> list[int]:
    """``latents`` as a list; ``ConfigError`` for one that is repeated or not in 0 ... ``n_latents`` - 1."""
    chosen = _whole(latents, role)
    outside = [j for j in chosen if not 0 <= j < n_latents]
    if outside:
        raise ConfigError(f"latents {outside[:10]} are outside the {role}'s range 0 to {n_latents - 1}.")
    repeated = sorted(j for j, times in Counter(chosen).items() if times > 1)
    if repeated:
        raise ConfigError(f"latents {repeated[:10]} are listed more than once: each latent can stand in an SAE once.")
    return chosen


def _whole(latents: Any, role: str) -> list[int]:
    """``latents`` as a list of whole numbers; ``ConfigError`` for anything else, a mask among it."""
    if isinstance(latents, (torch.Tensor, np.ndarray)):
        if str(latents.dtype).removeprefix("torch.") == "bool":
            raise ConfigError(f"latents of the {role} are a mask: give their numbers, mask.nonzero()[:, 0].")
        latents = latents.tolist()
    listed = (
        list(latents)
        if isinstance(latents, (Sequence, set, frozenset)) and not isinstance(latents, (str, bytes))
        else None
    )
    if listed is None or not all(isinstance(j, (int, np.integer)) and not isinstance(j, bool) for j in listed):
        raise ConfigError(f"latents of the {role} must be a list of whole numbers, got {shown(latents)}.")
    return [int(j) for j in listed]


@torch.no_grad()
@takes(parts=Need.INDEPENDENT)
def combine(parts: Sequence[Part], b_dec: torch.Tensor | None = None, operation: str = "combine") -> SAE[Any]:
    """One SAELens SAE of the latents of all ``parts``, in their order.

    ``b_dec`` ``[d_model]`` is its decoder bias, by default the first part's. Parts of ReLU SAEs alone give a
    ``StandardSAE``, others a ``JumpReLUSAE`` (threshold 0 for latents of a ReLU SAE); it saves, loads and hooks like
    any other. Every latent fires as in its own SAE. Parts in half precision are brought to float32 first. Metadata come
    from the first part, plus ``stitch_history``, a list of what was taken from where.

    Raises ``ConfigError`` for no parts, SAEs that cannot be stitched (see ``stitch.support``), latents repeated or out
    of range, and a ``b_dec`` of another shape.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> combine([Part(small, [0, 1]), Part(large, [6, 7, 8])]).cfg.d_sae
    5
    """
    from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
    from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig

    if not parts:
        raise ConfigError("combine needs at least one part, got none.")
    first = parts[0].sae
    for i, part in enumerate(parts[1:], 2):
        one_space(first, part.sae, (f"SAE 1 of {len(parts)}", f"SAE {i}"))
    chosen = [checked_latents(part.latents, part.sae.cfg.d_sae, "SAE") for part in parts]
    if not any(chosen):
        raise ConfigError("no latents are chosen: an SAE needs at least one.")
    bias = first.b_dec.detach() if b_dec is None else torch.as_tensor(b_dec, device=first.b_dec.device)
    require_numbers("b_dec", bias, "the new SAE")
    if tuple(bias.shape) != (first.cfg.d_in,):
        raise ConfigError(f"b_dec has shape {list(bias.shape)} and the SAEs have d_in = {first.cfg.d_in}.")
    fields = {
        "d_in": first.cfg.d_in,
        "d_sae": sum(map(len, chosen)),
        "dtype": str(_widest([part.sae.dtype for part in parts])).removeprefix("torch."),
        "device": str(first.W_dec.device),
        "apply_b_dec_to_input": first.cfg.apply_b_dec_to_input,
        "metadata": _provenance(parts, chosen, operation),
    }
    weights = _joined(parts, chosen, bias.double())
    made: SAE[Any]
    if all(part.sae.cfg.architecture() == "standard" for part in parts):
        del weights["threshold"]
        made = StandardSAE(StandardSAEConfig(**fields))
    else:
        made = JumpReLUSAE(JumpReLUSAEConfig(**fields))
    made.load_state_dict(weights)  # copies into the SAE's own dtype
    require_dictionary(made, Need.INDEPENDENT, "the new SAE")
    return made


@takes(small=Need.INDEPENDENT, large=Need.INDEPENDENT)
def insert(small: SAE[Any], large: SAE[Any], latents: Latents) -> SAE[Any]:
    """``small`` with the chosen ``latents`` of ``large`` appended, in that order, as a new SAELens SAE.

    The decoder bias is the small SAE's; for what it is made of see ``combine``. No latents give a copy of ``small``.
    Raises ``ConfigError`` for SAEs that cannot be stitched and for latents that are repeated or out of range.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> stitched = insert(small, large, [6, 7])
    >>> stitched.cfg.d_sae, stitched.cfg.architecture()
    (8, 'standard')
    """
    one_space(small, large)
    chosen = checked_latents(latents, large.cfg.d_sae)
    return combine([Part(small, range(small.cfg.d_sae)), Part(large, chosen)], operation="insert")


@takes(small=Need.INDEPENDENT, large=Need.INDEPENDENT)
def swap(small: SAE[Any], large: SAE[Any], out: Latents, into: Latents, b_dec: torch.Tensor | None = None) -> SAE[Any]:
    """``small`` without its latents ``out`` and with the latents ``into`` of ``large``, as a new SAELens SAE.

    What is kept of the small SAE comes first. The decoder bias is the small SAE's unless ``b_dec`` ``[d_model]`` is
    given. Raises ``ConfigError`` as ``insert`` does, and when nothing is left.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> swap(small, large, out=[0, 1], into=[6]).cfg.d_sae
    5
    """
    one_space(small, large)
    gone = set(checked_latents(out, small.cfg.d_sae, "small SAE"))
    chosen = checked_latents(into, large.cfg.d_sae)
    kept = [i for i in range(small.cfg.d_sae) if i not in gone]
    if not kept and not chosen:
        raise ConfigError("every latent of the small SAE is taken out and none put in: an SAE needs at least one.")
    return combine([Part(small, kept), Part(large, chosen)], b_dec, operation="swap")


def _widest(dtypes: list[torch.dtype]) -> torch.dtype:
    widest = dtypes[0]
    for dtype in dtypes[1:]:
        widest = torch.promote_types(widest, dtype)
    return widest


def _joined(parts: Sequence[Part], chosen: list[list[int]], bias: torch.Tensor) -> dict[str, torch.Tensor]:
    """State of the new SAE, in float64 so that the bias correction is exact to the SAE's own dtype."""
    device = bias.device
    shift = bias * parts[0].sae.cfg.apply_b_dec_to_input
    columns, biases, thresholds, rows = [], [], [], []
    for part, latents in zip(parts, chosen, strict=True):
        theirs = _Encoder(*(t.to(device) for t in _encoder(part.sae)))
        pick = torch.tensor(latents, dtype=torch.long, device=device)
        columns.append(theirs.w_enc[:, pick])
        biases.append(theirs.b_enc[pick] + (shift - theirs.shift) @ columns[-1])
        thresholds.append(theirs.threshold[pick])
        rows.append(part.sae.W_dec.detach().double().to(device)[pick])
    return {
        "W_enc": torch.cat(columns, 1),
        "b_enc": torch.cat(biases),
        "threshold": torch.cat(thresholds),
        "W_dec": torch.cat(rows),
        "b_dec": bias,
    }


def _provenance(parts: Sequence[Part], chosen: list[list[int]], operation: str) -> Any:
    metadata = copy.deepcopy(parts[0].sae.cfg.metadata)
    if "l0" in metadata:
        metadata.l0 = None  # of its training: the new SAE has another
    step = {
        "operation": operation,
        "parts": [
            {"architecture": part.sae.cfg.architecture(), "d_sae": part.sae.cfg.d_sae, "latents": latents}
            for part, latents in zip(parts, chosen, strict=True)
        ],
    }
    metadata.stitch_history = [*(metadata.stitch_history or []), step]
    return metadata
