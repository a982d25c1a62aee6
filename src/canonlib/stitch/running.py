"""A dictionary that changes latent by latent, and what it leaves unexplained, updated only where those latents fire.

With F the activations of all latents in the dictionary and D their decoder directions, the residual before any decoder
bias is R = X - F D. Taking latents out and putting others in adds v(t) = Σ_out f d - Σ_in f d to its rows, on the tokens
where one of them fires and nowhere else. From R only two sums are needed for the squared error under *any* bias b:

    SSE(b) = Σ_t |R(t) - b|² = q - 2 b·s + n |b|²,   q = Σ_t |R(t)|², s = Σ_t R(t)

and it is least at b = s / n. All arithmetic is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from canonlib.sae.streaming import blocks, require_activations
from canonlib.stitch.active import active
from canonlib.stitch.support import require_independent, require_plain_input

if TYPE_CHECKING:
    from sae_lens import SAE
    from scipy.sparse import csc_array

Array = np.ndarray[Any, Any]
"""float64 or whole numbers; shapes stand where it is used."""


@dataclass(frozen=True, eq=False)
class Source:
    """An SAE's latents as they fire on given tokens; ``source`` makes it."""

    sae: SAE[Any]
    fires: csc_array
    """[n_tokens, n_latents] activations, by latent."""
    rows: Array
    """[n_latents, d_model] decoder directions, as the SAE adds them."""

    @cached_property
    def counts(self) -> Array:
        """[n_latents] tokens on which each latent fires."""
        return np.diff(self.fires.indptr)

    @cached_property
    def b_dec(self) -> Array:
        """[d_model] the SAE's decoder bias."""
        bias: Array = self.sae.b_dec.detach().double().cpu().numpy()
        return bias


@torch.no_grad()
def source(sae: SAE[Any], activations: Any, batch_size: int = 4096) -> Source:
    """The activations of all latents of ``sae`` on ``activations`` ``[n_tokens, d_model]``, kept by latent.

    Memory: 12 bytes for each active entry. Raises ``ConfigError`` for SAEs whose latents depend on one another or that
    rescale their input (``stitch.support``), and for activations that do not suit.
    """
    from scipy.sparse import csc_array, csr_array, vstack

    require_independent(sae)
    require_plain_input(sae)
    require_activations(activations, sae.cfg.d_in)
    parts = []
    for block in blocks(activations, batch_size, sae.W_dec.device):
        found = active(sae.encode(block).double(), dense_above=2.0)
        index = (found.value.cpu().numpy(), found.latent.cpu().numpy(), found.offsets.cpu().numpy())
        parts.append(csr_array(index, shape=found.shape))
    return Source(sae, csc_array(vstack(parts, format="csc")), sae.W_dec.detach().double().cpu().numpy())


class Side(NamedTuple):
    """Latents of one source, to be put in (``sign`` -1: they lessen the residual) or taken out (+1)."""

    source: Source
    latents: Sequence[int]
    sign: int


def into(source: Source, latents: Sequence[int]) -> Side:
    """These latents are put into the dictionary."""
    return Side(source, latents, -1)


def out(source: Source, latents: Sequence[int]) -> Side:
    """These latents are taken out of it."""
    return Side(source, latents, 1)


class Change(NamedTuple):
    """What a change of the dictionary does to the residual."""

    tokens: Array
    """[n_touched] tokens on which one of the latents fires."""
    rows: Array
    """[n_touched, d_model] what is added to the residual there."""
    active: int
    """Change of the number of active entries."""
    squares: float
    """Change of q."""
    total: Array
    """[d_model] change of s."""

    def effect(self, b_dec: Array) -> float:
        """Change of the SSE when the decoder bias is, and stays, ``b_dec``."""
        return self.squares - 2 * float(b_dec @ self.total)


class Running:
    """The residual of a dictionary on some tokens; ``residual`` is ``[n_tokens, d_model]``, before any bias.

    The dictionary begins with all latents of ``start``, or empty.
    """

    def __init__(self, activations: Any, start: Source | None = None) -> None:
        self.residual: Array = np.concatenate([b.double().numpy() for b in blocks(activations, 65_536)])
        self.total: Array = self.residual.sum(0)
        self.squares = float(np.vdot(self.residual, self.residual))
        self.active, self.size = 0, 0
        if start is not None:
            self.move(into(start, range(len(start.rows))))

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return len(self.residual)

    @property
    def best_bias(self) -> Array:
        """The decoder bias with the least error, ``[d_model]``: the residual's mean."""
        return self.total / self.n_tokens

    @property
    def l0(self) -> float:
        """Active latents per token."""
        return self.active / self.n_tokens

    def mse(self, b_dec: Array) -> float:
        """Mean squared error per coordinate under the decoder bias ``b_dec`` ``[d_model]``."""
        sse = self.squares - 2 * float(b_dec @ self.total) + self.n_tokens * float(b_dec @ b_dec)
        return sse / self.residual.size

    def change(self, *sides: Side) -> Change:
        """What taking these latents out and putting those in would do; nothing is changed yet."""
        tokens, rows = _rows(sides)
        here = self.residual[tokens]
        squares = 2 * float(np.vdot(here, rows)) + float(np.vdot(rows, rows))
        active = sum(-side.sign * int(side.source.counts[list(side.latents)].sum()) for side in sides)
        return Change(tokens, rows, active, squares, rows.sum(0))

    def apply(self, change: Change, *sides: Side) -> None:
        """Make that change."""
        self.residual[change.tokens] += change.rows
        self.total = self.total + change.total
        self.squares += change.squares
        self.active += change.active
        self.size += sum(-side.sign * len(side.latents) for side in sides)

    def move(self, *sides: Side) -> Change:
        """``change`` and ``apply`` in one."""
        change = self.change(*sides)
        self.apply(change, *sides)
        return change


def _rows(sides: Sequence[Side]) -> tuple[Array, Array]:
    """The tokens that the sides' latents touch, ascending, and Σ sign · f d on each of them."""
    from scipy.sparse import csr_array

    picked = [(side, latent) for side in sides for latent in side.latents]
    spans = [slice(*side.source.fires.indptr[latent : latent + 2]) for side, latent in picked]
    columns = [
        (side.source.fires.indices[s], side.sign * side.source.fires.data[s])
        for (side, _), s in zip(picked, spans, strict=True)
    ]
    d_model = sides[0].source.rows.shape[1]
    if len(columns) == 1:  # a latent's tokens are sorted already
        (token, value), (side, latent) = columns[0], picked[0]
        return token, value[:, None] * side.source.rows[latent]
    directions = np.stack([side.source.rows[latent] for side, latent in picked]) if picked else np.empty((0, d_model))
    token = np.concatenate([t for t, _ in columns]) if columns else np.empty(0, dtype=np.int32)
    value = np.concatenate([v for _, v in columns]) if columns else np.empty(0)
    column = np.repeat(np.arange(len(columns)), [len(t) for t, _ in columns])
    tokens, place = np.unique(token, return_inverse=True)
    return tokens, csr_array((value, (place, column)), shape=(len(tokens), len(picked))) @ directions
