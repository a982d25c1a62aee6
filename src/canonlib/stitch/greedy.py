"""Which latent next? The effect of each on a dictionary that keeps changing, kept up to date.

With p_j = Σ_t f_j(t) R(t)·d_j for the running residual R (before the decoder bias b), inserting latent j changes the SSE
by -2 (p_j - F_j b·d_j) + s_j, where F_j = Σ_t f_j(t) and s_j = |d_j|² Σ_t f_j(t)². When latent i comes or goes, R changes
by ± f_i d_i, and p_j by ± (Σ_t f_i(t) f_j(t)) d_i·d_j: one number for each latent, from the tokens where i fires.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from canonlib.stitch.running import Array, Running, Side, Source, into, out

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class _Candidates:
    """One source's latents: their effects if they were put into, or taken out of, the dictionary as it stands."""

    def __init__(self, source: Source, running: Running) -> None:
        self.source = source
        self.by_token: csr_array = source.fires.tocsr()
        self.sums: Array = np.asarray(source.fires.sum(axis=0)).reshape(-1)
        norms = (source.rows**2).sum(1)
        self.squares = norms * np.asarray(source.fires.power(2).sum(axis=0)).reshape(-1)
        self.norms = norms
        self.projection = np.zeros(len(source.rows))
        for start in range(0, running.n_tokens, 8192):  # bounded memory: [n_latents, d_model] for each block
            block = slice(start, start + 8192)
            self.projection += ((self.by_token[block].T @ running.residual[block]) * source.rows).sum(1)
        self.inside = np.zeros(len(source.rows), dtype=bool)

    def follow(self, tokens: Array, values: Array, direction: Array) -> None:
        """The residual has changed by ``values`` times ``direction`` on these ``tokens``."""
        together = self.by_token[tokens].T @ values
        self.projection += together * (self.source.rows @ direction)

    def effects(self, running: Running, b_dec: Array | None) -> Array:
        """[n_latents] change of the SSE: of putting a latent in where it is outside, of taking it out where inside.

        b_dec: the decoder bias, or None for the best one before and after.
        """
        sign = np.where(self.inside, 1.0, -1.0)  # what the residual gets: + f d when taken out
        along = self.source.rows @ (running.total if b_dec is None else b_dec)
        change = 2 * sign * self.projection + self.squares
        if b_dec is not None:
            return change - 2 * sign * self.sums * along
        return change - (2 * sign * self.sums * along + self.sums**2 * self.norms) / running.n_tokens


class Greedy:
    """A dictionary that takes, from all ``sources``, the latent that lowers the error most, again and again.

    ``b_dec`` is the decoder bias ``[d_model]``, or None for the best at every step. Sources whose latents already
    stand in ``running`` are named with them in ``inside``.
    """

    def __init__(
        self,
        running: Running,
        sources: Sequence[Source],
        inside: Sequence[Sequence[int]] | None = None,
        b_dec: Array | None = None,
    ) -> None:
        self.running, self.b_dec = running, b_dec
        self.candidates = [_Candidates(source, running) for source in sources]
        for one, latents in zip(self.candidates, inside or [[] for _ in sources], strict=True):
            one.inside[list(latents)] = True

    def best(self, among: Sequence[Array] | None = None) -> tuple[float, int, int]:
        """Effect on the SSE, source and latent of the best single insertion.

        among: for each source a mask of the latents that may be chosen. The effect is infinite when there is none.
        """
        best = (np.inf, -1, -1)
        for number, one in enumerate(self.candidates):
            allowed = ~one.inside & (one.sums > 0)
            if among is not None:
                allowed = allowed & among[number]
            effects = np.where(allowed, one.effects(self.running, self.b_dec), np.inf)
            latent = int(effects.argmin())
            if effects[latent] < best[0]:
                best = (float(effects[latent]), number, latent)
        return best

    def least_missed(self, count: int) -> list[tuple[int, int]]:
        """Source and latent of the ``count`` members whose removal raises the error least, the least first."""
        found = [
            (float(effects[latent]), number, int(latent))
            for number, one in enumerate(self.candidates)
            for effects in [one.effects(self.running, self.b_dec)]
            for latent in np.flatnonzero(one.inside)
        ]
        return [(number, latent) for _, number, latent in sorted(found)[:count]]

    def move(self, number: int, latent: int) -> None:
        """Put that latent in, or take it out if it is inside; all effects follow."""
        one = self.candidates[number]
        side: Side = (out if one.inside[latent] else into)(one.source, [latent])
        self.running.move(side)
        one.inside[latent] = not one.inside[latent]
        span = slice(*one.source.fires.indptr[latent : latent + 2])
        tokens, values = one.source.fires.indices[span], side.sign * one.source.fires.data[span]
        for each in self.candidates:
            each.follow(tokens, values, one.source.rows[latent])


def greedy_order(small: Source, large: Source, latents: Sequence[int], activations: object) -> list[int]:
    """``latents`` of ``large`` in the order in which each lowers the error most, given those before it.

    Those that would raise it by the time they are due come last, the least harmful first. The decoder bias is the small
    SAE's.
    """
    greedy = Greedy(Running(activations, small), [large], b_dec=small.b_dec)
    left = np.zeros(len(large.rows), dtype=bool)
    left[list(latents)] = True
    order = []
    while left.any():
        effect, _, latent = greedy.best(among=[left])
        if not np.isfinite(effect):  # those that never fire
            break
        greedy.move(0, latent)
        left[latent] = False
        order.append(latent)
    return order + np.flatnonzero(left).tolist()
