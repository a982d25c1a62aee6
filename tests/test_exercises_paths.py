"""The checks of the chapter on paths: right answers, each slip by name, no answer, nonsense."""

from __future__ import annotations

import pytest
import torch
from saehelpers import random_activations, random_sae

from canonlib.errors import ConfigError
from canonlib.exercises import check_gathered, check_swap_cost, check_widest_split
from canonlib.sae.metrics import reconstruction
from canonlib.stitch import Group, frankenstein, pool

GROUPS = [
    Group((0,), (1,), 0.95),
    Group((2,), (3, 4, 5), 0.9),
    Group((6,), (7, 8), 0.8),
    Group((9, 10, 11, 12), (13,), 0.8),
    Group((14, 15), (16, 17, 18, 19), 0.7),
]


@pytest.mark.parametrize(("answer", "said"), [
    ([5, 3, 4], "✓ Yes, latent 2 is split into 3"),
    (GROUPS[1], "✓"),
    ([2], "✗ That is the latent of the smaller SAE"),
    (GROUPS[4], "✗ That group replaces several latents"),
    (GROUPS[3], "✗ That is a merger"),
    ([7, 8], "✗ A split, and not the widest: this has 2 parts, and one has 3"),
    ([3, 4], "✗ 1 of the 3 latents is missing"),
    (8, "✗ A list of latents is asked for"),
    (None, "· No answer yet"),
])  # fmt: skip
def test_the_widest_split(answer, said):
    assert str(check_widest_split(answer, GROUPS)).startswith(said)


def test_of_equal_splits_either_is_right():
    groups = [Group((0,), (1, 2), 0.9), Group((3,), (4, 5), 0.9)]
    assert check_widest_split([1, 2], groups)
    assert check_widest_split([4, 5], groups)
    with pytest.raises(ConfigError, match="no split"):
        check_widest_split([1], GROUPS[:1])


X, HELD_OUT = random_activations(300, seed=1), random_activations(300, seed=2)
SAES = [random_sae("standard", n, seed=n) for n in (5, 8, 12)]


@pytest.fixture(scope="module")
def found():
    best = frankenstein(pool(SAES, X), 8)
    return best, {"size": 8, "mse": reconstruction(best.sae, HELD_OUT).mse}


def said(answer, row):
    return str(check_gathered(answer, SAES[1], HELD_OUT, row))


def test_a_gathered_dictionary_is_measured(found):
    best, row = found
    assert row["mse"] < reconstruction(SAES[1], HELD_OUT).mse
    assert said(best, row).startswith("✓ Yes. MSE")
    assert said(best.sae, row).startswith("✓")


def test_slips_of_gathering(found):
    best, row = found
    assert said(SAES[1], row).startswith("✗ That is the trained SAE itself")
    assert said(SAES[2], row).startswith("✗ It has 12 latents, and 8 are allowed")
    assert said(frankenstein(pool(SAES, X), 1), row).startswith("✗ Only 1 of 8 latents")
    assert said(best, row | {"mse": 0.5 * row["mse"]}).startswith("✗ Better than trained, and there is more to gain")
    assert said(random_sae("standard", 8, seed=99), row).startswith("✗ It is worse than the trained SAE")
    unbiased = random_sae("standard", 8, seed=99)
    unbiased.b_dec.data.zero_()
    assert said(unbiased, row).startswith("✗ The decoder bias is zero")


def test_what_is_no_dictionary(found):
    _, row = found
    assert said(None, row).startswith("· No answer yet")
    assert said(0.3, row).startswith("✗ An SAE is asked for")
    assert said(random_sae("standard", 8, d_in=7), row).startswith("✗ This SAE is of activations with 7 coordinates")


@pytest.mark.parametrize(("answer", "said"), [
    (2.4, "✓ Yes"),
    (torch.tensor(2.4), "✓"),
    (1.2, "✗ Both directions are part of the difference"),
    (0.6, "✗ That is per unit of activation"),
    (2 * 0.6**0.5, "✗ That is the length"),
    (4 * 0.51, "✗ That is the part of one direction"),
    (4, "✗ That is what an insertion"),
    (13.6, "✗ Check the sign"),
    (0, "✗ 0 is too low"),
    (None, "· No answer yet"),
    ("dear", "✗ One finite number"),
])  # fmt: skip
def test_the_cost_of_a_swap(answer, said):
    assert str(check_swap_cost(answer, strength=2, cosine=0.7)).startswith(said)


def test_the_cost_of_a_swap_is_what_the_error_does():
    r, d, e = torch.tensor([0.0, 0, 3]), torch.tensor([1.0, 0, 0]), torch.tensor([0.6, 0.8, 0])
    change = float((r + 3 * d - 3 * e).square().sum() - r.square().sum())
    assert check_swap_cost(change, strength=3, cosine=0.6)
    assert "square" in str(check_swap_cost(2 * 3 * 0.4, strength=3, cosine=0.6))
    with pytest.raises(ConfigError, match="cosine is 2"):
        check_swap_cost(1, strength=1, cosine=2)
