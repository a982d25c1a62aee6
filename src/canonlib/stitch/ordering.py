"""Which latent, or which move, next? Always the one that lowers the error most, or raises it least, as things stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from canonlib.stitch.mixture import Mixture
from canonlib.stitch.path import Move, moved
from canonlib.stitch.pooling import Array, Pool

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def greedy_order(pool: Pool, latents: Sequence[int]) -> list[int]:
    """``latents`` of the pool's second SAE, the large one, in the order in which each lowers the first one's error most.

    Given those before it, and under the best decoder bias at every point. Those that would raise the error by the time
    they are due come last, the least harmful first; those that never fire close the list. Raises ``ConfigError`` for a
    pool that is not of two SAEs and for latents repeated or out of range.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> from canonlib.stitch import pool
    >>> greedy_order(pool([small, large], truth.activations), [11, 9, 7])  # the commoner a feature, the sooner
    [7, 9, 11]
    """
    ordered = [j for move in greedy_moves(pool, [Move("insert", (), (j,)) for j in latents]) for j in move.into]
    fires = pool.fires[pool.starts[1] :]
    return sorted(ordered, key=lambda j: fires[j] == 0)


def greedy_moves(pool: Pool, moves: Sequence[Move], done: Sequence[Move] = (), progress: bool = False) -> list[Move]:
    """``moves`` in an order in which each, when its turn comes, lowers the error most or raises it least.

    The dictionary begins as the pool's first SAE, ``done`` has been made before, and at every point the decoder bias is
    the best one. Greedy: it does not look ahead, so a better path may exist. Raises ``ConfigError`` for a pool that is
    not of two SAEs, and for latents that move twice or are out of range.
    """
    from tqdm.auto import tqdm

    numbers = moved(pool, [*done, *moves])
    mixture = Mixture(pool, start=0)
    costs = _Costs(pool, numbers[len(done) :])
    for before in numbers[: len(done)]:
        mixture.change(before)
    left, order = np.ones(len(moves), dtype=bool), []
    for _ in tqdm(moves, desc="order moves", unit="move", disable=not progress):
        chosen = int(np.where(left, costs.now(mixture), np.inf).argmin())
        mixture.change(numbers[len(done) + chosen])
        left[chosen] = False
        order.append(moves[chosen])
    return order


class _Costs:
    """What each move would do to the SSE as the dictionary stands: one product with a sparse matrix of signs.

    A move changes q by 2 Σ σ p + |Σ σ f d|² and s by Σ σ F d, with σ = +1 for what goes out and -1 for what comes in.
    Only p depends on what else is in the dictionary.
    """

    def __init__(self, pool: Pool, moves: Sequence[Sequence[int]]) -> None:
        self.signs = _signs(pool, moves)
        self.own: Array = np.array([_own(pool, move) for move in moves])
        self.writes: Array = self.signs @ pool.writes  # [n_moves, d_model]
        self.own_writes: Array = (self.writes**2).sum(1)

    def now(self, mixture: Mixture) -> Array:
        """[n_moves] change of the SSE under the best decoder bias before and after."""
        change: Array = 2 * (self.signs @ mixture.projection) + self.own
        return change - (2 * (self.writes @ mixture.total) + self.own_writes) / mixture.pool.n_tokens


def _own(pool: Pool, move: Sequence[int]) -> float:
    """Squared norm of a move's outputs, summed over tokens: |Σ σ f d|²."""
    if len(move) == 1:
        return float(pool.own[move[0]])
    chosen = np.array(move, dtype=np.int64)
    signs = np.where(chosen < pool.starts[1], 1.0, -1.0)
    return float(signs @ pool.gram[chosen][:, chosen] @ signs)


def _signs(pool: Pool, moves: Sequence[Sequence[int]]) -> csr_array:
    """[n_moves, N]: +1 for a latent of the small SAE, which goes out, -1 for one of the large SAE, which comes in."""
    from scipy.sparse import csr_array

    columns = np.array([i for move in moves for i in move], dtype=np.int64)
    ends = np.cumsum([0, *(len(move) for move in moves)])
    values = np.where(columns < pool.starts[1], 1.0, -1.0)
    return csr_array((values, columns, ends), shape=(len(moves), len(pool.rows)))
