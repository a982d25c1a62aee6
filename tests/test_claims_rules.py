"""Verdicts are decided over the seeds: one training that comes out well or badly decides nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from canonlib import tiers
from canonlib.claims import stitching
from canonlib.pipeline.stitching import neighbours


class FakeRun:
    """A run whose pairs are made up: ``told(seed, small)`` is a pair's summary; None is the first training."""

    def __init__(self, told: Any, repeats: bool = True) -> None:
        world = tiers.get("world")
        self.tier = world if repeats else tiers.get("world", repeats=())
        self.told = told

    def pairs(self, name: str, seed: int | None = None) -> list[Any]:
        sizes = self.tier.family(name).sizes
        return [SimpleNamespace(small=a, large=b, summary=self.told(seed, a)) for a, b in neighbours(sizes)]


def summary(auc: float = 0.95, threshold: float | None = 0.7, novel: float = 0.9) -> dict[str, Any]:
    return {"auc": auc, "threshold": threshold, "n_novel": 5, "mse_small": 2.0, "mse_all_novel": 2.0 * novel}


def test_a_bad_first_training_does_not_decide() -> None:
    """0.95 from five seeds with a spread of 0.01; the first training, rounded otherwise, has pairs with 0.80."""
    run = FakeRun(lambda seed, small: summary(auc=0.80 if seed is None else 0.94 + 0.005 * seed))
    claim = stitching.stitch_auc(run)  # type: ignore[arg-type]
    assert claim.verdict == "agrees"
    assert "0.80 over 7 pairs" in claim.ours and "5 seeds" in claim.ours


def test_seeds_that_scatter_around_the_bound_are_not_enough() -> None:
    """Mean 0.86, above the bound; 95% interval 0.86 ± 2.776 · 0.0158 / √5 = 0.84 to 0.88, which is not."""
    run = FakeRun(lambda seed, small: summary(auc=0.84 + 0.01 * (seed or 0)))
    claim = stitching.stitch_auc(run)  # type: ignore[arg-type]
    assert claim.verdict == "differs" and "AUC at least 0.84 " in claim.ours


def test_a_tier_without_seeds_is_decided_by_its_one_training() -> None:
    claim = stitching.stitch_auc(FakeRun(lambda seed, small: summary(auc=0.93), repeats=False))  # type: ignore[arg-type]
    assert claim.verdict == "agrees" and "1 seed," in claim.ours


@pytest.mark.parametrize(
    ("novel", "verdict"), [(lambda s: 0.9 + 0.01 * s, "agrees"), (lambda s: 0.97 + 0.02 * s, "differs")]
)
def test_the_error_falls_at_every_seed_or_the_claim_does_not_hold(novel: Any, verdict: str) -> None:
    run = FakeRun(lambda seed, small: summary(novel=novel(seed or 0)))
    assert stitching.stitch_novel(run).verdict == verdict  # type: ignore[arg-type]


@pytest.mark.parametrize(("threshold", "verdict"), [
    (lambda seed, small: 0.70 + 0.01 * seed, "agrees"),
    (lambda seed, small: 0.59 + 0.01 * seed, "differs"),  # the first training alone would pass
    (lambda seed, small: None if small == 16 else 0.70, "differs"),  # no pair of 16 has both classes
])  # fmt: skip
def test_the_threshold_is_judged_pair_by_pair(threshold: Any, verdict: str) -> None:
    run = FakeRun(lambda seed, small: summary(threshold=0.7 if seed is None else threshold(seed, small)))
    assert stitching.stitch_threshold(run).verdict == verdict  # type: ignore[arg-type]
