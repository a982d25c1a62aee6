"""Who brings what was lacking, on counts made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from saehelpers import random_sae

from canonlib.pipeline.losses import sample
from canonlib.pipeline.repeats import _shared, apart, brought
from canonlib.pipeline.stitching import Pair
from canonlib.sae.selectivity import Selectivity

MENTIONS = torch.tensor([10, 10, 10])
MEMBERSHIP = torch.tensor([[True, True, False]])  # one fact, of entities 0 and 1


def counted(by_entity: list[list[int]]) -> Selectivity:
    counts = torch.tensor(by_entity)
    return Selectivity(counts, counts.sum(1), MENTIONS)


def made_pair(delta_mse: list[float], fires: list[int]) -> Pair:
    n = len(fires)
    return Pair(1, n, {}, torch.tensor(delta_mse), torch.zeros(n), torch.zeros(n).long(), torch.tensor(fires))


def test_brought_by_hand() -> None:
    small = counted([[10, 0, 0]])  # entity 0's own; the fact only with F1 2 * 10 / (10 + 20) = 0.67
    large = counted([
        [10, 0, 0],   # had, and a reconstruction latent
        [10, 10, 0],  # the fact: lacking, and novel
        [0, 0, 3],    # F1 0.46: does not speak
        [0, 10, 0],   # entity 1's own: lacking, though a reconstruction latent
        [0, 0, 0],    # silent
    ])  # fmt: skip
    row = brought(made_pair([1.0, -1.0, -1.0, 1.0, 0.0], [10, 20, 3, 10, 0]), small, large, MEMBERSHIP)
    assert row == {"n_novel": 1, "novel": 1.0, "n_reconstruction": 2, "reconstruction": 0.5}


def test_no_latent_that_speaks_has_no_share() -> None:
    quiet = counted([[1, 0, 0]])
    row = brought(made_pair([-1.0], [1]), quiet, quiet, MEMBERSHIP)
    assert (row["n_novel"], row["n_reconstruction"]) == (0, 0)
    assert math.isnan(row["novel"]) and math.isnan(row["reconstruction"])


def test_a_seed_counts_once_whatever_its_pairs() -> None:
    nan = float("nan")
    told = [(0, 1.0, 0.5), (0, 1.0, 0.1), (0, nan, 0.3), (1, 0.2, 0.4), (2, nan, 1.0)]
    rows = [{"seed": s, "brought_novel": a, "brought_reconstruction": b} for s, a, b in told]
    first, second, third = apart(rows)
    assert (first, second) == (pytest.approx(0.7), pytest.approx(-0.2))
    assert math.isnan(third)


def test_latents_that_never_fire_are_not_asked_whether_they_are_shared() -> None:
    saes = [random_sae("standard", 4, seed=s) for s in (0, 1)]
    with torch.no_grad():
        saes[1].W_dec[0] = saes[0].W_dec[0]  # the first latent alone is shared, and it never fires
        saes[1].W_enc[:, 0] = saes[0].W_enc[:, 0]
    assert _shared(saes[0], saes[1:], torch.tensor([False, True, True, True])) == 0.0
    assert _shared(saes[0], saes[1:], torch.tensor([True, True, True, True])) == 0.25
    assert math.isnan(_shared(saes[0], [], torch.tensor([True, True, True, True])))


@pytest.mark.parametrize(("size", "expected"), [(9, [3, 0, 2, 4, 5]), (3, [3, 2, 5]), (1, [3])])
def test_the_sample_runs_from_the_most_welcome_to_the_most_harmful(size: int, expected: list[int]) -> None:
    pair = made_pair([-1.0, 0.0, 0.5, -2.0, 1.0, 3.0], [1, 0, 1, 1, 1, 1])
    assert sample(pair, size) == expected
