from __future__ import annotations

import json

import pytest
import torch

from canonlib.errors import ConfigError
from canonlib.stitch import InsertionEffects, auc_interval, classify, cosine_predictor


def effects(delta: list[float], fires: list[int]) -> InsertionEffects:
    return InsertionEffects(torch.tensor(delta, dtype=torch.float64), torch.tensor(fires), 1.0, 0.5, 100)


def test_every_latent_has_exactly_one_class() -> None:
    classes = classify(effects([-0.1, 0.2, 0.0, 0.0, -0.3], [5, 5, 3, 0, 1]))
    assert classes.novel.tolist() == [True, False, False, False, True]
    assert classes.reconstruction.tolist() == [False, True, True, False, False]  # fires, changes nothing: not novel
    assert classes.silent.tolist() == [False, False, False, True, False]
    assert torch.equal(classes.novel.int() + classes.reconstruction.int() + classes.silent.int(), torch.ones(5).int())
    assert (classes.n_novel, classes.n_reconstruction, classes.n_silent) == (2, 2, 1)
    assert classes.share_novel == 0.5  # of the four that fire


def test_predictor_by_hand() -> None:
    # novel: .1 .3 .6; reconstruction: .5 .8. Of the 6 pairs only (.6, .5) is the wrong way round: AUC = 5/6.
    # 'novel if cosine ≤ .3': tpr 2/3, fpr 0, J = .667; at .6: tpr 1, fpr 1/2, J = .5; so .3, right on 4 of 5.
    # The silent latent's cosine of .0 must not count.
    found = cosine_predictor(
        torch.tensor([0.8, 0.1, 0.6, 0.0, 0.5, 0.3]), effects([0.1, -0.1, -0.1, 0.0, 0.2, -0.5], [1, 1, 1, 0, 1, 1])
    )
    assert found.auc == pytest.approx(5 / 6)
    assert found.threshold == pytest.approx(0.3)
    assert found.accuracy == pytest.approx(4 / 5)
    assert found.share_novel == pytest.approx(3 / 5)
    assert (found.n_novel, found.n_reconstruction, found.n_silent) == (3, 2, 1)
    assert found.thresholds.tolist() == pytest.approx([float("-inf"), 0.1, 0.3, 0.5, 0.6, 0.8])
    assert found.tpr.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 1, 1])
    assert found.fpr.tolist() == pytest.approx([0, 0, 0, 1 / 2, 1 / 2, 1])


def test_auc_is_the_share_of_pairs_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    cosine = (torch.rand(60, generator=generator) * 10).round() / 10  # many ties
    delta = cosine - 0.5 + 0.4 * torch.randn(60, generator=generator)
    found = cosine_predictor(cosine, effects(delta.tolist(), [1] * 60))
    novel, other = cosine[delta < 0], cosine[delta >= 0]
    pairs = novel.unsqueeze(1) - other.unsqueeze(0)
    assert found.auc == pytest.approx(float(((pairs < 0) + 0.5 * (pairs == 0)).mean()))
    best = max(
        float((novel <= t).double().mean() - (other <= t).double().mean()) for t in [*cosine.tolist(), float("-inf")]
    )
    assert float((found.tpr - found.fpr).max()) == pytest.approx(best)


@pytest.mark.parametrize(
    ("delta", "fires", "only"),
    [([-1.0, -2.0], [1, 1], "novel"), ([1.0, 0.0], [1, 1], "reconstruction"), ([0.0, 0.0], [0, 0], "silent")],
)
def test_one_class_has_no_curve_and_a_reason(delta: list[float], fires: list[int], only: str) -> None:
    found = cosine_predictor(torch.tensor([0.2, 0.9]), effects(delta, fires))
    assert found.auc is None and found.threshold is None and found.accuracy is None
    assert f"every latent is {only}" in found.reason
    json.dumps(found.to_json(), allow_nan=False)
    assert (found.to_json()["share_novel"] is None) == (only == "silent")


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match=r"shape \[3\] .* 2 latents"):
        cosine_predictor(torch.zeros(3), effects([-1.0, 1.0], [1, 1]))
    with pytest.raises(ConfigError, match="1 values that are not finite"):
        cosine_predictor(torch.tensor([0.1, float("nan")]), effects([-1.0, 1.0], [1, 1]))


def test_auc_interval_of_one_novel_latent_by_hand() -> None:
    # One novel latent at .5 among reconstruction latents at .1 (nine) and .9 (one): each draw's AUC is the share of the
    # ten draws that hit the .9, binomial(10, 1/10) / 10, whose 2.5% and 97.5% points are 0 and 3 of 10.
    cosine = torch.tensor([0.5] + [0.1] * 9 + [0.9])
    found = effects([-1.0] + [1.0] * 10, [1] * 11)
    assert auc_interval(cosine, found, draws=5_000) == (0.0, pytest.approx(0.3))
    assert cosine_predictor(cosine, found).auc == pytest.approx(0.1)


def test_auc_interval_counts_ties_half_and_repeats_itself() -> None:
    tied = effects([-1.0, -1.0, 1.0, 1.0], [1] * 4)
    assert auc_interval(torch.full((4,), 0.5), tied) == (0.5, 0.5)
    generator = torch.Generator().manual_seed(0)
    cosine = torch.rand(80, generator=generator)
    noisy = effects((cosine - 0.3 + 0.4 * torch.randn(80, generator=generator)).tolist(), [1] * 80)
    low, high = auc_interval(cosine, noisy)
    auc = cosine_predictor(cosine, noisy).auc
    assert auc is not None and low < auc < high
    assert auc_interval(cosine, noisy) == (low, high)
    narrow = auc_interval(cosine, noisy, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_auc_interval_leaves_silent_latents_out_and_survives_one_class() -> None:
    cosine = torch.tensor([0.1, 0.9, 0.2, 0.95])
    assert auc_interval(cosine, effects([-1.0, 1.0, 0.0, 0.0], [1, 1, 0, 0])) == (1.0, 1.0)
    low, high = auc_interval(cosine, effects([-1.0] * 4, [1] * 4))
    assert low != low and high != high
    with pytest.raises(ConfigError, match="level must lie between 0 and 1"):
        auc_interval(cosine, effects([-1.0, 1.0, 1.0, 1.0], [1] * 4), level=95)
    with pytest.raises(ConfigError, match="draws"):
        auc_interval(cosine, effects([-1.0, 1.0, 1.0, 1.0], [1] * 4), draws=0)
