"""The checks of the chapter on stitching: right answers, each slip by name, no answer, nonsense."""

from __future__ import annotations

import pytest
import torch
from saehelpers import random_sae

from canonlib.compare import max_cosine
from canonlib.errors import ConfigError
from canonlib.exercises import check_classes, check_max_cosine, check_misplaced, check_overshoot
from canonlib.stitch import InsertionEffects

SMALL, LARGE = random_sae("standard", 6, seed=1), random_sae("standard", 9, seed=2)
A, B = LARGE.W_dec.detach(), SMALL.W_dec.detach()
UNIT_A, UNIT_B = (rows / rows.norm(dim=1, keepdim=True) for rows in (A, B))


def encoder(sae):
    rows = sae.W_enc.detach().T
    return rows / rows.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(("answer", "said"), [
    (max_cosine(LARGE, SMALL), "✓ Yes"),
    ((A @ B.T).amax(1), "✗ These are raw dot products: fold the norms"),
    ((A @ UNIT_B.T).amax(1), "✗ The larger SAE's directions are not folded"),
    ((UNIT_A @ B.T).amax(1), "✗ The smaller SAE's directions are not folded"),
    ((encoder(LARGE) @ encoder(SMALL).T).amax(1), "✗ These are cosines of encoder directions"),
    ((UNIT_A @ UNIT_B.T).abs().amax(1), "✗ Take the largest cosine, not the largest absolute"),
    ((UNIT_A @ UNIT_B.T).mean(1), "✗ These are the mean cosines"),
    ((UNIT_A @ UNIT_B.T).amax(0), "✗ The shape is [6], and [9] is asked for"),
    (torch.zeros(9), "✗ The shape is right; the values differ"),
    (None, "· No answer yet"),
    ("near", "✗ A tensor is asked for"),
])  # fmt: skip
def test_max_cosine(answer, said):
    assert str(check_max_cosine(answer, LARGE, SMALL)).startswith(said)


EFFECTS = InsertionEffects(
    delta_mse=torch.tensor([-1.0, -2.0, 3.0, 4.0, -5.0, 6.0, 0.0, 0.0], dtype=torch.float64),
    fires=torch.tensor([5, 5, 5, 5, 5, 5, 0, 0]), mse_small=10.0, mse_large=8.0, n_tokens=20,
)  # fmt: skip
COSINE = torch.tensor([0.1, 0.2, 0.3, 0.9, 0.8, 0.7, 0.1, 0.9])
ASKED = [0, 2, 3, 4]
N, R = "novel", "reconstruction"


@pytest.mark.parametrize(("answer", "said"), [
    ([N, R, R, N], "✓ All 4 right"),
    (["Novel ", R, R, N], "✓"),
    ([R, N, N, R], "✗ None is right"),
    ([N, N, R, R], "✗ 2 of 4 are right. That is what the best cut on the cosine says"),
    ([N, R, R, R], "✗ 3 of 4 are right; the best cut on the cosine has 2"),
    ([N, R], "✗ 4 words are asked for"),
    ([N, R, R, "new"], "✗ 'new' is not one of the choices"),
    (5, "✗ A list of 4 words"),
    (None, "· No answer yet"),
])  # fmt: skip
def test_classes(answer, said):
    assert str(check_classes(answer, EFFECTS, ASKED, COSINE, threshold=0.5)).startswith(said)


@pytest.mark.parametrize(("answer", "said"), [
    ((1, 1), "✓ Yes, 1 below and 1 above"),
    (torch.tensor([1, 1]), "✓"),
    ((2, 1), "✗ Silent latents are counted"),
    ((3, 3), "✗ These are all the firing latents"),
    ((2, 2), "✗ These are the latents that the cosine puts right"),
    ((0, 5), "✗ The shape is right; the values differ by up to 4"),
    (1, "✗ The shape is []"),
    (None, "· No answer yet"),
])  # fmt: skip
def test_misplaced(answer, said):
    assert str(check_misplaced(answer, EFFECTS, COSINE, threshold=0.5)).startswith(said)


def test_misplaced_the_wrong_way_round():
    lower = EFFECTS.delta_mse * torch.tensor([1, 1, 1, -1, 1, 1, 1, 1])  # a second one above the line helps
    effects = InsertionEffects(lower, EFFECTS.fires, 10.0, 8.0, 20)
    assert check_misplaced((0, 2), effects, COSINE, threshold=0.25)
    assert "wrong way round" in str(check_misplaced((2, 0), effects, COSINE, threshold=0.25))


@pytest.mark.parametrize(("answer", "said"), [
    ((4 / 1.5, 4), "✓ Yes: between 2.67 and 4.00"),
    ((8 / 2.5, 4), "✗ The product of the two counts twice"),
    ((4, 4 / 1.5), "✗ The bounds are the wrong way round"),
    ((2 / 1.5, 2), "✗ Those are the activations that lower the error *most*"),
    ((4 / 1.5, 2), "✗ The upper bound is the break-even"),
    ((2 / 1.5, 4), "✗ The two together write 2f"),
    ((0, 1), "✗ The shape is right"),
    (3, "✗ The shape is []"),
    (None, "· No answer yet"),
])  # fmt: skip
def test_overshoot(answer, said):
    assert str(check_overshoot(answer, reach=2, cosine=0.5)).startswith(said)


def test_the_bounds_are_where_the_error_turns():
    """Both signs, one step inside and one outside of the stretch that the check calls right."""
    r, reach, cosine = torch.tensor([2.5, 0.0]), 2.0, 0.5
    tilt = reach / 2.5  # both directions have this dot product with r per unit of its length
    d = torch.tensor([[tilt, (1 - tilt**2) ** 0.5], [tilt, -((1 - tilt**2) ** 0.5)]])
    cosine = float(d[0] @ d[1])
    low, high = 2 * reach / (1 + cosine), 2 * reach
    assert check_overshoot((low, high), reach=reach, cosine=cosine)

    def effect(f, who):
        return float((r - f * d[who].sum(0)).square().sum() - r.square().sum())

    assert effect(high - 0.01, [0]) < 0 < effect(high + 0.01, [0])
    assert effect(low - 0.01, [0, 1]) < 0 < effect(low + 0.01, [0, 1])


@pytest.mark.parametrize("cosine", [0, -0.2, 1.5])
def test_no_such_stretch(cosine):
    with pytest.raises(ConfigError, match="cosine is"):
        check_overshoot((1, 2), reach=1, cosine=cosine)
