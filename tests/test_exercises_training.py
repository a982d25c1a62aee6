"""The checks of the chapter on training: right answers, each slip by name, no answer, nonsense."""

from __future__ import annotations

import math

import pytest
import torch
from saehelpers import random_activations, random_sae

from canonlib.errors import ConfigError
from canonlib.exercises import check_fvu, check_members_needed, check_rescaling, check_shrunk_activation
from canonlib.sae.metrics import reconstruction

SAE, X = random_sae("standard", 20), random_activations(200)
MEASURED = reconstruction(SAE, X)


@pytest.mark.parametrize(("answer", "said"), [
    (MEASURED.fvu, "✓ Yes, an FVU of"),
    (torch.tensor(MEASURED.fvu), "✓"),
    (MEASURED.explained_variance, "✗ That is the share of the variance that is *explained*"),
    (MEASURED.mse * X.numel() / float(X.square().sum()), "✗ The denominator lacks the mean"),
    (MEASURED.mse, "✗ That is the MSE"),
    (MEASURED.mse * X.shape[1], "✗ That is the error per token"),
    (math.sqrt(MEASURED.fvu), "✗ That is a ratio of lengths"),
    (100.0, "✗ 100 is too high"),
    (float("nan"), "✗ One finite number"),
    (None, "· No answer yet"),
])  # fmt: skip
def test_fvu(answer, said):
    assert str(check_fvu(answer, SAE, X)).startswith(said)


@pytest.mark.parametrize(("answer", "said"), [
    (1.8, "✓ Yes"),
    (1.6, "✗ The square's derivative"),
    (2, "✗ That is the activation without a penalty"),
    (2.2, "✗ Check the sign"),
    (2 / 1.2, "✗ The penalty takes a fixed amount; it does not divide"),
    (0.1, "✗ 0.1 is too low"),
    (None, "· No answer yet"),
    ([1, 2], "✗ One finite number"),
])  # fmt: skip
def test_the_shrunk_activation(answer, said):
    assert str(check_shrunk_activation(answer, strength=2, penalty=0.4)).startswith(said)


def test_a_shrunk_activation_is_a_share_of_nothing_and_never_negative():
    assert "not a share" in str(check_shrunk_activation(3 * 0.8, strength=3, penalty=0.4))
    assert check_shrunk_activation(0, strength=0.1, penalty=1)
    assert "never below zero" in str(check_shrunk_activation(-0.4, strength=0.1, penalty=1))
    with pytest.raises(ConfigError, match="penalty is 0"):
        check_shrunk_activation(1, strength=1, penalty=0)


A = random_activations(50, seed=3)
B = 0.8 * A + 0.3 * random_activations(50, seed=4)
FACTOR = float((A * B).sum() / B.square().sum())


@pytest.mark.parametrize(("answer", "said"), [
    (FACTOR, "✓ Yes"),
    (float((A * B).sum() / A.square().sum()), "✗ That fits the reconstruction by the activation"),
    (1 / FACTOR, "✗ That is one over the factor"),
    (float(A.norm() / B.norm()), "✗ That makes the two equally long"),
    (float(((A * B).sum(1) / B.square().sum(1)).mean()), "✗ That is the mean of the tokens' own factors"),
    (9, "✗ 9 is too high"),
    (None, "· No answer yet"),
])  # fmt: skip
def test_the_factor(answer, said):
    assert str(check_rescaling(answer, A, B)).startswith(said)


def test_the_factor_is_the_best_one():
    errors = [float((A - factor * B).square().sum()) for factor in (FACTOR - 0.05, FACTOR, FACTOR + 0.05)]
    assert min(errors) == errors[1]
    with pytest.raises(ConfigError, match="same tokens"):
        check_rescaling(1, A, B[:10])


@pytest.mark.parametrize(("answer", "said"), [
    (11, "✓ Yes, 11 of 20"),
    (15, "✗ That asks for a *recall*"),
    (10, "✗ One more"),
    (0.7 / 1.3, "✗ That is the share"),
    (20, "✗ That forgets the 2"),
    (3, "✗ 3 is too low"),
    (None, "· No answer yet"),
    ("half", "✗ One finite number"),
])  # fmt: skip
def test_members_needed(answer, said):
    assert str(check_members_needed(answer, n_members=20, cut=0.7)).startswith(said)


def test_members_needed_for_a_cut_that_cannot_be():
    with pytest.raises(ConfigError, match="cut is 1"):
        check_members_needed(1, n_members=20, cut=1)
