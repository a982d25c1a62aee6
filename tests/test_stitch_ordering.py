"""The greedy order of a path's moves, against trying every move at every step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from saehelpers import random_activations, random_sae

from canonlib.errors import ConfigError
from canonlib.stitch import Group, Move, greedy_moves, plan, pool, walk

N_SMALL, N_LARGE = 5, 7


def pair(kind: str = "standard", seed: int = 0) -> tuple[Any, Any]:
    """Two random SAEs; the large one's latent 0 never fires, and its latents 1 and 2 are the same."""
    a, b = random_sae(kind, N_SMALL, seed=seed + 3), random_sae("standard", N_LARGE, seed=seed + 4)
    with torch.no_grad():
        b.b_enc[0] = -1e6
        for row in (b.W_dec, b.b_enc, b.W_enc.T):
            row[2] = row[1]
    return a, b


@torch.no_grad()
def error(a: Any, b: Any, done: list[Move], x: torch.Tensor) -> float:
    """MSE of the dictionary after these moves, each latent's output added up, under the best decoder bias."""
    kept = set(range(N_SMALL)) - {i for m in done for i in m.out}
    new = [j for m in done for j in m.into]
    left = x.double().clone()
    for sae, latents in ((a, sorted(kept)), (b, new)):
        left -= sae.encode(x)[:, latents].double() @ sae.W_dec[latents].double()
    return float((left - left.mean(0)).square().mean())


def some_moves() -> list[Move]:
    groups = [Group((0,), (1, 3), 0.9), Group((1, 2), (4,), 0.8)]
    return plan(N_SMALL, N_LARGE, [5, 2], groups)


@pytest.mark.parametrize("kind", ["standard", "jumprelu", "gated"])
@pytest.mark.parametrize("n_done", [0, 2])
def test_each_move_is_the_best_of_those_left(kind: str, n_done: int) -> None:
    (a, b), x = pair(kind), random_activations(40)
    done, moves = some_moves()[:n_done], some_moves()[n_done:]
    order = greedy_moves(pool([a, b], x), moves, done=done)
    assert sorted(order) == sorted(moves)
    for step, chosen in enumerate(order):
        so_far, left = [*done, *order[:step]], order[step:]
        errors = {m: error(a, b, [*so_far, m], x) for m in left}
        assert errors[chosen] == pytest.approx(min(errors.values()), rel=1e-9)


def test_the_greedy_path_has_the_errors_it_was_ordered_by() -> None:
    (a, b), x = pair(), random_activations(40)
    both = pool([a, b], x)
    order = greedy_moves(both, some_moves())
    path = walk(both, order)
    for point in range(len(order) + 1):
        assert float(path.mse["best"][point]) == pytest.approx(error(a, b, order[:point], x), rel=1e-9)


def test_no_move_is_no_order_and_a_silent_latent_changes_nothing() -> None:
    (a, b), x = pair(), random_activations(20)
    both = pool([a, b], x)
    assert greedy_moves(both, []) == []
    silent, harmful = Move("rest", (), (0,)), Move("drop", tuple(range(N_SMALL)), ())
    assert greedy_moves(both, [harmful, silent])[0] == silent


def test_bad_moves_are_named() -> None:
    (a, b), x = pair(), random_activations(20)
    both = pool([a, b], x)
    with pytest.raises(ConfigError, match="more than once"):
        greedy_moves(both, [Move("rest", (), (3,))], done=[Move("insert", (), (3,))])
    with pytest.raises(ConfigError, match="outside the small SAE's range 0 to 4"):
        greedy_moves(both, [Move("drop", (9,), ())])
    with pytest.raises(ConfigError, match="the pool holds 1 SAEs, not 2"):
        greedy_moves(pool([a], x), [])
