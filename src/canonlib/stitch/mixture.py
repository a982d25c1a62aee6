"""A dictionary that changes latent by latent, with its error and the effect of every further change at hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from canonlib.stitch.pooling import Array, Pool


class Change(NamedTuple):
    """What a change of the dictionary would do."""

    squares: float
    """Change of q (see ``stitch.pooling``)."""
    total: Array
    """[d_model] change of s."""
    active: int
    """Change of the number of active entries."""

    def effect(self, b_dec: Array) -> float:
        """Change of the SSE when the decoder bias is, and stays, ``b_dec`` ``[d_model]``."""
        return self.squares - 2 * float(b_dec @ self.total)


class Mixture:
    """Which latents of a pool are in the dictionary; it begins with those of the SAE ``start``, or empty."""

    def __init__(self, pool: Pool, start: int | None = None) -> None:
        self.pool = pool
        self.inside: Array = np.zeros(len(pool.rows), dtype=bool)
        self.projection: Array = pool.projection.copy()
        self.total: Array = pool.total.copy()
        self.squares, self.active = pool.squares, 0
        if start is not None:
            self.change(range(pool.starts[start], pool.starts[start + 1]))

    def change(self, numbers: Iterable[int]) -> None:
        """Put each of these latents in where it is outside, and take it out where it is inside."""
        pool = self.pool
        for i in numbers:
            sign = 1.0 if self.inside[i] else -1.0  # what the residual gets: + f d when taken out
            self.squares += sign * 2 * float(self.projection[i]) + float(pool.own[i])
            span = slice(*pool.gram.indptr[i : i + 2])
            self.projection[pool.gram.indices[span]] += sign * pool.gram.data[span]
            self.total += sign * pool.writes[i]
            self.active -= int(sign) * int(pool.fires[i])
            self.inside[i] = not self.inside[i]

    def preview(self, numbers: Iterable[int]) -> Change:
        """What ``change`` would do."""
        chosen = np.fromiter(numbers, dtype=np.int64)
        signs = np.where(self.inside[chosen], 1.0, -1.0)
        mutual = self.pool.gram[chosen][:, chosen].toarray()
        squares = 2 * float(signs @ self.projection[chosen]) + float(signs @ mutual @ signs)
        return Change(squares, signs @ self.pool.writes[chosen], -int(signs @ self.pool.fires[chosen]))

    def effects(self, b_dec: Array | None = None) -> Array:
        """[N] change of the SSE: of putting a latent in where it is outside, of taking it out where inside.

        b_dec: the decoder bias ``[d_model]``, or None for the best one before and after.
        """
        pool, sign = self.pool, np.where(self.inside, 1.0, -1.0)
        change: Array = 2 * sign * self.projection + pool.own
        if b_dec is not None:
            return change - 2 * sign * (pool.writes @ b_dec)
        return change - (2 * sign * (pool.writes @ self.total) + pool.own_writes) / pool.n_tokens

    @property
    def size(self) -> int:
        """Number of latents."""
        return int(self.inside.sum())

    @property
    def l0(self) -> float:
        """Active latents per token."""
        return self.active / self.pool.n_tokens

    @property
    def best_bias(self) -> Array:
        """The decoder bias with the least error, ``[d_model]``: the residual's mean."""
        return self.total / self.pool.n_tokens

    def mse(self, b_dec: Array | None = None) -> float:
        """Mean squared error per coordinate under the decoder bias ``b_dec`` ``[d_model]``, by default the best."""
        bias, n = (self.best_bias if b_dec is None else b_dec), self.pool.n_tokens
        sse = self.squares - 2 * float(bias @ self.total) + n * float(bias @ bias)
        return sse / (n * len(bias))
