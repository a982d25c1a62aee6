"""Families train through SAELens, resume exactly, and are scored by counts that a slow loop confirms."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from worldhelpers import small_tier

from canonlib.activations import Activations, documents, harvest
from canonlib.errors import ConfigError
from canonlib.sae import evaluation, training
from canonlib.sae.batches import Batches
from canonlib.sae.selectivity import fact_membership, selectivity
from canonlib.store import Store
from canonlib.tiers import Family
from canonlib.world import model, table

STANDARD = Family("standard", "all", (32,), sparsities=(0.5,), steps=60, batch=256, lr=1e-3)
BATCHTOPK = Family("batchtopk", "entities", (32,), sparsities=(2,), steps=60, batch=256, lr=1e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Activations:
    return harvest(small_tier(), Store(tmp_path_factory.mktemp("store")), progress=False)


def test_batches_depend_on_seed_and_step_alone_and_cover_each_epoch() -> None:
    rows = torch.arange(10.0)[:, None]
    batches = Batches(rows, 4, seed=1)
    first_five = torch.cat([batches.batch(step) for step in range(5)])[:, 0]
    assert sorted(first_five[:10].tolist()) == list(range(10))
    assert sorted(first_five[10:].tolist()) == list(range(10))
    assert torch.equal(Batches(rows, 4, seed=1).batch(3), first_five[12:16, None])
    assert not torch.equal(Batches(rows, 10, seed=2).batch(0), Batches(rows, 10, seed=1).batch(0))
    with pytest.raises(ConfigError, match="at least one row"):
        Batches(rows[:0], 4, seed=1)


@pytest.mark.parametrize("family", [STANDARD, BATCHTOPK], ids=lambda f: f.architecture)
def test_training_lowers_the_error_and_loads_as_a_saelens_folder(
    family: Family, data: Activations, tmp_path: Path
) -> None:
    rows = data.train.only(family.tokens).activations
    sae = training.train(family, 32, rows, seed=0, out=tmp_path / "sae", metadata={"hook_name": "here"})
    losses = training.read_losses(tmp_path / "sae")
    assert losses[-1] < losses[0]
    assert sae.cfg.architecture() == {"standard": "standard", "batchtopk": "jumprelu"}[family.architecture]
    assert sae.cfg.metadata.hook_name == "here"
    assert sae.cfg.normalize_activations == "none"
    error = (sae(rows) - rows).square().sum() / (rows - rows.mean(0)).square().sum()
    assert error < 0.9


@pytest.mark.parametrize("family", [STANDARD, BATCHTOPK], ids=lambda f: f.architecture)
def test_a_killed_training_ends_as_an_uninterrupted_one(
    family: Family, data: Activations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 20)
    rows, half = data.train.only(family.tokens).activations, tmp_path / "checkpoint"
    half.mkdir()
    whole = training.train(family, 32, rows, seed=0, out=tmp_path / "whole")

    def die(step: int, losses: dict[str, float]) -> None:
        if step == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(family, 32, rows, seed=0, out=tmp_path / "killed", checkpoint=half, report=die)
    assert (half / "step-40.safetensors").is_file()
    resumed = training.train(family, 32, rows, seed=0, out=tmp_path / "resumed", checkpoint=half)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert training.read_losses(tmp_path / "whole") == training.read_losses(tmp_path / "resumed")


def test_impossible_sizes_are_named(data: Activations, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sizes must be a whole number of at least 1, got 0"):
        training.train(STANDARD, 0, data.eval.activations, 0, tmp_path)
    with pytest.raises(ConfigError, match="k = 2.* dictionary size .1"):
        training.train(BATCHTOPK, 1, data.eval.activations, 0, tmp_path)


def test_selectivity_equals_a_loop_over_tokens(data: Activations, tmp_path: Path) -> None:
    split = data.eval.take(torch.arange(400))
    sae = training.train(STANDARD, 8, data.train.activations, seed=0, out=tmp_path)
    found = selectivity(sae, split, batch_size=150)
    fires, everyone = sae.encode(split.activations) > 0, table.entities()
    for latent in range(8):
        on = {i for i in range(400) if fires[i][latent]}
        assert int(found.fires[latent]) == len(on)
        for e in {int(x) for x in split.entity if x >= 0}:
            named = {i for i in range(400) if int(split.entity[i]) == e}
            assert int(found.by_entity[latent, e]) == len(on & named)
            f1 = 2 * len(on & named) / (len(on) + len(named))
            assert math.isclose(found.entity_f1()[latent, e].item(), f1)
    facts, membership = fact_membership()
    j = [str(f) for f in facts].index("country=Germany")
    german = {i for i in range(400) if split.entity[i] >= 0 and everyone[split.entity[i]].facts["country"] == "Germany"}
    on = {i for i in range(400) if fires[i][0]}
    assert math.isclose(found.fact_f1(membership)[0, j].item(), 2 * len(on & german) / (len(on) + len(german)))


def test_splicing_the_identity_changes_nothing_and_zeros_do() -> None:
    tier, lm = small_tier(), model.load()
    tokens = documents(tier, "eval")[:10]
    where = evaluation.replaced_positions(tokens, "all")
    assert not where[:, 0].any()
    clean = evaluation.ce_loss(lm, tokens, tier.hook)
    assert evaluation.ce_loss(lm, tokens, tier.hook, where, lambda x: x) == pytest.approx(clean, abs=1e-6)
    assert evaluation.ce_loss(lm, tokens, tier.hook, where, torch.zeros_like) > clean + 0.5
    logits = model.load_transformers()(tokens).logits[:, :-1]
    slow = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).item()
    assert clean == pytest.approx(slow, abs=1e-4)
