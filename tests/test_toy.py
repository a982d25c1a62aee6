"""The planted dictionary: what it says of itself holds, and an SAE finds it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from canonlib.errors import ConfigError
from canonlib.sae import training
from canonlib.tiers import Family
from canonlib.toy import planted, recovery


def test_counts_and_activations_follow_from_the_features() -> None:
    truth = planted(20_000, n_features=6, d_model=12, l0=1.5, skew=1.0, seed=3)
    # More dimensions than features: the strengths can be solved for, and they are zero or at least 1.
    strength = torch.linalg.lstsq(truth.directions.T.double(), truth.activations.T.double()).solution.T
    there = strength > 0.5
    assert torch.equal(there.sum(0), truth.fires)
    assert float(strength[there].min()) == pytest.approx(1.0, abs=0.01)
    assert float(strength[~there].abs().max()) < 1e-4
    assert truth.l0 == pytest.approx(1.5, rel=0.05)
    assert float(truth.fires[0] / truth.fires[3]) == pytest.approx(4.0, rel=0.1)
    assert torch.allclose(truth.directions.norm(dim=1), torch.ones(6))


def test_the_seed_decides_all_and_bad_numbers_are_named() -> None:
    assert torch.equal(planted(50, seed=1).activations, planted(50, seed=1).activations)
    assert not torch.equal(planted(50, seed=1).activations, planted(50, seed=2).activations)
    with pytest.raises(ConfigError, match="l0 = 9 .*lower l0 or skew"):
        planted(10, n_features=10, l0=9, skew=1)
    with pytest.raises(ConfigError, match="n_tokens must be"):
        planted(0)


def test_a_batchtopk_sae_recovers_256_features_in_64_dimensions(tmp_path: Path) -> None:
    truth = planted()
    family = Family("batchtopk", "all", (256,), (5,), steps=1_500, batch=1_024, lr=3e-3)
    sae = training.train(family, 256, truth.activations, seed=0, out=tmp_path)
    often = truth.fires >= 1_000
    assert int(often.sum()) > 200
    assert float(recovery(truth, sae)[often].mean()) >= 0.95
    chance = torch.randn(256, 64, generator=torch.Generator().manual_seed(99))
    assert float(recovery(truth, chance)[often].mean()) < 0.5
