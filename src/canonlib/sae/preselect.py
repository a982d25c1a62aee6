"""Which entries can be above a threshold, from a bfloat16 product that is never below the float32 one.

Processors with AMX multiply bfloat16 matrices six times as fast as float32 ones. With x̃ and w̃ for the rounded rows,

    x·w = x̃·w̃ + (x - x̃)·w̃ + x·(w - w̃) ≤ x̃·w̃ + |x - x̃| |w̃| + |x| |w - w̃|,

and the right side is one product again, of rows that are longer by the norms. An entry that it leaves below the
threshold is below; what stays is computed in float32 (``exact``). So nothing is lost, and little is computed twice:
rounding loses about 0.2% of a row's norm.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from canonlib.sae.entries import Encoder, dots, row_offsets

_TILE = 32
"""bfloat16 numbers in one row of an AMX tile."""
_UP = 1 + 2**-7
"""After this factor, rounding to bfloat16 (8 significant bits) makes nothing smaller than it was."""
_SUM_ERROR = 2**-22
"""Error of a float32 sum, per term and relative to the product of norms: four times what theory allows."""
_TOKENS, _LATENTS = 4096, 1024
"""Size of a tile: weights that stay in the cache while all tokens pass, and a result that does too."""
_ROUNDED_BYTES = 2**18


@cache
def _has_amx() -> bool:
    return bool(torch.cpu.get_capabilities().get("amx_bf16")) and torch.backends.mkl.is_available()


def pays(x: torch.Tensor, n_latents: int) -> bool:
    """Whether this machine has AMX, and ``x`` ``[n_tokens, d_model]`` and the dictionary are large enough to gain."""
    large = x.shape[1] >= 64 and x.shape[1] * n_latents >= 2**18
    return large and x.dtype == torch.float32 and x.device.type == "cpu" and _has_amx()


class Preselector:
    """Finds the entries of a batch whose score can be above a threshold; keeps its buffers between batches."""

    def __init__(self) -> None:
        self._buffers: dict[str, torch.Tensor] = {}
        self._tokens = self._latents = torch.empty(0)

    def round(self, x: torch.Tensor, encoder: Encoder) -> None:
        """Take a batch ``[n_tokens, d_model]`` and an encoder; their rounded rows stay until the next call."""
        width = -(-(x.shape[1] + 4) // _TILE) * _TILE
        floor = width * _SUM_ERROR
        ones, bias = torch.ones_like(x[:, 0]), encoder.bias * encoder.scale
        self._tokens = self._buffer("tokens", (len(x), width), torch.bfloat16)
        norm, lost = _round_rows(x, None, self._tokens)
        _append(self._tokens, x.shape[1], [(lost + floor * norm) * _UP, norm * _UP, ones, ones])
        self._latents = self._buffer("latents", (len(bias), width), torch.bfloat16)
        norm, lost = _round_rows(encoder.weight, encoder.scale, self._latents)
        slack = (bias - bias.bfloat16()).abs() + floor * bias.abs()
        _append(self._latents, x.shape[1], [(norm + lost) * _UP, lost * _UP, bias, slack * _UP])

    def above(self, threshold: float) -> torch.Tensor:
        """Flat positions ``[n_found]``, ascending, of a set that holds every entry whose score is above ``threshold``
        (at least 0).
        """
        tokens, latents = self._tokens, self._latents
        # From 0 on, numbers order as their bits do, and NumPy compares integers fast; the upper half of a float32's
        # bits is the largest bfloat16 that is not above it, and rounding a product leaves it on its side of that.
        bound = np.nextafter(np.float32(threshold), np.float32(0)).view(np.uint32) >> 16
        found = []
        for row in range(0, len(tokens), _TOKENS):
            for column in range(0, len(latents), _LATENTS):
                part = self._above(tokens[row : row + _TOKENS], latents[column : column + _LATENTS], bound)
                width = min(_LATENTS, len(latents) - column)
                part += (part // width) * (len(latents) - width) + (row * len(latents) + column)
                found.append(part)
        return torch.from_numpy(np.sort(np.concatenate(found)))

    def _above(self, tokens: torch.Tensor, latents: torch.Tensor, bound: int) -> np.ndarray:
        """Flat positions within the tile [len(tokens), len(latents)]."""
        shape = (len(tokens), len(latents))
        upper = torch.mm(tokens, latents.T, out=self._buffer("upper", shape, torch.bfloat16))
        above = np.greater_equal(
            upper.view(torch.int16).numpy(), bound, out=self._buffer("above", shape, torch.bool).numpy()
        )
        return np.flatnonzero(above)

    def _buffer(self, name: str, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
        """Memory that was used before, where it is large enough: fresh pages cost as much as a product."""
        size = shape[0] * shape[1]
        if name not in self._buffers or self._buffers[name].numel() < size:
            self._buffers[name] = torch.zeros(size, dtype=dtype)
        return self._buffers[name][:size].view(shape)


def _round_rows(rows: torch.Tensor, scale: torch.Tensor | None, out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Write ``rows`` (times ``scale``) to the first columns of ``out``; norms of rows and of what rounding lost."""
    norms, lost = rows.new_empty(len(rows)), rows.new_empty(len(rows))
    step = max(1, _ROUNDED_BYTES // (rows.shape[1] * rows.element_size()))  # a block stays in the cache
    for start in range(0, len(rows), step):
        here = slice(start, start + step)
        block = rows[here] if scale is None else rows[here] * scale[here, None]
        rounded = out[here, : rows.shape[1]].copy_(block)
        torch.linalg.vector_norm(block, dim=1, out=norms[here])
        torch.linalg.vector_norm(block - rounded, dim=1, out=lost[here])
    return norms, lost


def _append(out: torch.Tensor, first: int, columns: list[torch.Tensor]) -> None:
    """Write ``columns`` from column ``first`` on, and zeros to the end."""
    out[:, first : first + len(columns)] = torch.stack(columns, dim=1)
    out[:, first + len(columns) :] = 0.0


def exact(x: torch.Tensor, encoder: Encoder, flat: torch.Tensor) -> torch.Tensor:
    """x·w in float32 at ascending ``flat`` positions of the [n_tokens, n_latents] matrix."""
    n = len(encoder.weight)
    return dots(row_offsets(flat, len(x), n), flat % n, x, encoder.weight)
