"""The path from a small SAE to a large one, one move at a time, with the exact error at every point.

First latents are inserted, then groups of similar latents are swapped, and what remains on either side follows: latents
of the large SAE without a partner are inserted, latents of the small one without a partner taken out. Then all of the
large SAE and nothing of the small one is left. The decoder bias has to travel too, so three are followed at once (they
cost nothing, see ``stitch.pooling``): the small SAE's, one that moves in a straight line to the large SAE's, and the
one with the least error at each point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from canonlib.errors import ConfigError, unknown
from canonlib.stitch.assembly import Part, checked_latents, combine
from canonlib.stitch.groups import Group
from canonlib.stitch.mixture import Mixture
from canonlib.stitch.pooling import Array, Pool

Bias = Literal["small", "travelling", "best"]
BIASES: tuple[Bias, ...] = ("small", "travelling", "best")


class Move(NamedTuple):
    """One step: ``out`` of the small SAE, ``into`` from the large one."""

    kind: str
    """``insert`` (novel), ``swap`` (a group), ``rest`` (a latent of the large SAE without a partner), ``drop`` (of the
    small one)."""
    out: tuple[int, ...]
    into: tuple[int, ...]


def plan(n_small: int, n_large: int, inserted: Sequence[int], groups: Sequence[Group]) -> list[Move]:
    """The whole path: ``inserted`` latents in that order, ``groups`` in that order, then what remains on both sides.

    Raises ``ConfigError`` when a latent is in two groups, or both inserted and in a group, or out of range.

    >>> [move.kind for move in plan(2, 3, inserted=[2], groups=[Group(out=(0,), into=(1,), cosine=0.9)])]
    ['insert', 'swap', 'rest', 'drop']
    """
    new = checked_latents([*inserted, *(j for g in groups for j in g.into)], n_large)
    gone = checked_latents([i for g in groups for i in g.out], n_small, "small SAE")
    moves = [Move("insert", (), (j,)) for j in new[: len(inserted)]]
    moves += [Move("swap", g.out, g.into) for g in groups]
    moves += [Move("rest", (), (j,)) for j in sorted(set(range(n_large)) - set(new))]
    return moves + [Move("drop", (i,), ()) for i in sorted(set(range(n_small)) - set(gone))]


def moved(pool: Pool, moves: Sequence[Move]) -> list[list[int]]:
    """For each move the pool's numbers of its latents, the small SAE's first.

    Raises ``ConfigError`` for a pool that is not of two SAEs, and for latents that move twice or are out of range.
    """
    pool.require_pair()
    gone = iter(pool.numbers(0, (i for move in moves for i in move.out)))
    new = iter(pool.numbers(1, (j for move in moves for j in move.into)))
    return [[*(next(gone) for _ in move.out), *(next(new) for _ in move.into)] for move in moves]


@dataclass(frozen=True, eq=False)
class Path:
    """Every point of a path; point 0 is the small SAE, point i what ``moves[:i]`` make of it, the last the large SAE."""

    pool: Pool
    moves: tuple[Move, ...]
    mse: dict[str, torch.Tensor]
    """For each bias [n_moves + 1] mean squared error per coordinate, float64."""
    l0: torch.Tensor
    """[n_moves + 1] active latents per token."""
    size: torch.Tensor
    """[n_moves + 1] dictionary size."""
    best_bias: Array
    """[n_moves + 1, d_model] the decoder bias with the least error at each point."""

    def dictionary(self, point: int) -> tuple[list[int], list[int]]:
        """The latents of the small and of the large SAE at that point; ``ConfigError`` for a point off the path."""
        if not 0 <= point <= len(self.moves):
            raise ConfigError(f"point {point} is not on the path: it has points 0 to {len(self.moves)}.")
        done = self.moves[:point]
        gone = {i for move in done for i in move.out}
        return [i for i in range(self.pool.starts[1]) if i not in gone], [j for move in done for j in move.into]

    def bias(self, point: int, kind: Bias = "best") -> Array:
        """The decoder bias ``[d_model]`` of that kind at that point; ``ConfigError`` lists the kinds for another."""
        if kind not in BIASES:
            raise unknown("bias", kind, BIASES)
        if kind == "best":
            return self.best_bias[point]
        return self.pool.b_dec[0] if kind == "small" else _travelling(self.pool, point, len(self.moves))

    def sae(self, point: int, bias: Bias = "best") -> Any:
        """The stitched SAE at that point, a SAELens SAE whose error is the path's to the SAE's own precision."""
        parts = [Part(s, latents) for s, latents in zip(self.pool.saes, self.dictionary(point), strict=True) if latents]
        b_dec = torch.from_numpy(self.bias(point, bias)).to(parts[0].sae.b_dec.device)
        return combine(parts, b_dec, operation="path")


def walk(pool: Pool, moves: Sequence[Move]) -> Path:
    """Make the ``moves`` one after the other, from the pool's first SAE towards its second.

    Cost: a row of the pool's ``gram`` for each latent that moves; no token is looked at. Raises ``ConfigError`` for a
    pool that is not of two SAEs, and for latents that move twice or are out of range.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> from canonlib.stitch import pool
    >>> path = walk(pool([small, large], truth.activations), [Move("insert", (), (j,)) for j in range(6, 12)])
    >>> path.size.tolist()
    [6, 7, 8, 9, 10, 11, 12]
    >>> bool((path.mse["best"].diff() < 0).all())
    True
    """
    numbers = moved(pool, moves)
    mixture = Mixture(pool, start=0)
    points: list[tuple[float, float, float, float, int]] = []
    best = np.empty((len(moves) + 1, pool.rows.shape[1]))

    def note(point: int) -> None:
        best[point] = mixture.best_bias
        biases = (pool.b_dec[0], _travelling(pool, point, len(moves)), best[point])
        points.append((*(mixture.mse(b) for b in biases), mixture.l0, mixture.size))  # type: ignore[arg-type]

    note(0)
    for point, latents in enumerate(numbers, 1):
        mixture.change(latents)
        note(point)
    columns = torch.tensor(points, dtype=torch.float64).T
    mse: dict[str, torch.Tensor] = {name: columns[i].clone() for i, name in enumerate(BIASES)}
    return Path(pool, tuple(moves), mse, columns[3].clone(), columns[4].long(), best)


def _travelling(pool: Pool, point: int, n_moves: int) -> Array:
    """The bias that goes in a straight line from the small SAE's to the large SAE's, ``[d_model]``."""
    share = point / max(1, n_moves)
    moved_on: Array = (1 - share) * pool.b_dec[0] + share * pool.b_dec[1]
    return moved_on
