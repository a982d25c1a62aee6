"""Families train through SAELens, resume exactly, and are scored by counts that a slow loop confirms."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from worldhelpers import small_tier

from canonlib.activations import Activations, documents, harvest
from canonlib.errors import ConfigError
from canonlib.rows import as_rows
from canonlib.sae import checkpoint, evaluation, training
from canonlib.sae.batches import Batches
from canonlib.sae.family import TrainedFamily
from canonlib.sae.group import Job, groups
from canonlib.sae.metrics import reconstruction
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


EVERY = [
    Family("standard", "all", (32,), (0.5,), steps=60, batch=256, lr=1e-3),
    Family("gated", "all", (32,), (0.5,), steps=60, batch=256, lr=1e-3),
    Family("jumprelu", "all", (32,), (0.1,), steps=60, batch=256, lr=1e-3),
    Family("topk", "all", (32,), (4,), steps=60, batch=256, lr=1e-3),
    Family("batchtopk", "all", (32,), (4,), steps=60, batch=256, lr=1e-3),
    Family("matryoshka_batchtopk", "all", (32,), (4,), steps=60, batch=256, lr=1e-3),
]


@pytest.mark.parametrize("family", EVERY, ids=lambda f: f.architecture)
def test_what_loads_is_what_was_trained(family: Family, data: Activations, tmp_path: Path) -> None:
    """The scale is folded and the threshold right: the loaded SAE has the trained one's output and L0 (no surprise)."""
    rows = data.rows("train")
    one = training.Training(family, family.members[0], rows, seed=0)
    training.train_together([one], rows, seed=0)
    x = data.eval.activations[:512]
    with torch.no_grad():
        trained = one.trainer.sae(x * one.scale) / one.scale
        acts = one.trainer.sae.encode(x * one.scale)
    one.finish(tmp_path)
    sae = training.load(tmp_path)
    saved = {"batchtopk": "jumprelu", "matryoshka_batchtopk": "jumprelu"}
    assert sae.cfg.architecture() == saved.get(family.architecture, family.architecture)
    if "batch" not in family.architecture:  # a threshold in place of the batch's largest: equal on average alone
        torch.testing.assert_close(sae(x), trained, rtol=1e-3, atol=1e-3)
    l0 = [float((a != 0).sum(1).float().mean()) for a in (acts, sae.encode(x))]
    assert l0[1] == pytest.approx(l0[0], rel=0.35)


@pytest.mark.parametrize("family", EVERY, ids=lambda f: f.architecture)
def test_every_architecture_resumes_exactly(
    family: Family, data: Activations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 25)
    rows, member = data.rows("train"), family.members[0]
    whole = training.Training(family, member, rows, seed=0)
    training.train_together([whole], rows, seed=0)
    half = training.Training(family, member, rows, seed=0, checkpoint=tmp_path)
    for step in range(30):
        half.take(training.Batches(rows, family.batch, 0).batch(step))
    resumed = training.Training(family, member, rows, seed=0, checkpoint=tmp_path)
    assert resumed.step == 25
    training.train_together([resumed], rows, seed=0)
    for name, value in whole.trainer.sae.state_dict().items():
        assert torch.equal(value, resumed.trainer.sae.state_dict()[name]), name
    assert whole.losses == resumed.losses


def test_saes_that_share_a_stream_end_as_if_alone(data: Activations) -> None:
    families = [replace(EVERY[0], sizes=(8, 24)), replace(EVERY[4], steps=40)]
    rows = data.rows("train")
    together = [training.Training(f, m, rows, seed=0) for f in families for m in f.members]
    for _ in range(10):  # one of them stands elsewhere when the others begin
        together[1].take(training.Batches(rows, 256, 0).batch(together[1].step))
    training.train_together(together, rows, seed=0)
    for one in together:
        alone = training.Training(one.family, one.member, rows, seed=0)
        training.train_together([alone], rows, seed=0)
        assert one.step == alone.step == one.family.steps
        for name, value in alone.trainer.sae.state_dict().items():
            assert torch.equal(value, one.trainer.sae.state_dict()[name]), name
    other = training.Training(replace(EVERY[0], batch=128), EVERY[0].members[0], rows, seed=0)
    with pytest.raises(ConfigError, match=r"one batch size, got \[128, 256\]"):
        training.train_together([together[0], other], rows, seed=0)


def test_a_checkpoint_of_another_training_is_refused_and_kept(data: Activations, tmp_path: Path) -> None:
    rows, family = data.rows("train"), STANDARD
    one = training.Training(family, family.members[0], rows, seed=0, checkpoint=tmp_path)
    checkpoint.save(one.trainer, tmp_path, [], one.config)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    changed = replace(family, lr=5e-4, sparsities=(0.25,))
    with pytest.raises(ConfigError, match=r"lr is 0.001 there and 0.0005 here; sparsity is 0.5 there and 0.25 here"):
        training.Training(changed, changed.members[0], rows, seed=0, checkpoint=tmp_path)
    with pytest.raises(ConfigError, match=r"n_tokens is \d+ there and 99 here"):
        training.Training(family, family.members[0], as_rows(rows.sample(100)[:100]), seed=0, checkpoint=tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def spoilt_checkpoints(folder: Path) -> Iterator[str]:
    """Spoil a checkpoint in one way after another, and mend it again."""
    state, tensors = folder / "checkpoint.json", folder / "step-3.safetensors"
    for path in (state, tensors):
        whole = path.read_bytes()
        for place in [*range(0, len(whole), len(whole) // 20), len(whole) - 2]:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            yield f"{path.name}, byte {place}"
        for content in (b"", b"torn", b"[" * 100_000, b"null", whole[:-3]):
            path.write_bytes(content)
            yield f"{path.name} holds {content[:9]!r}"
        path.unlink()
        path.mkdir()
        yield f"{path.name} is a folder"
        path.rmdir()
        path.write_bytes(whole)
    saved = json.loads(state.read_text())
    state.write_text(json.dumps({key: value for key, value in saved.items() if key not in ("sha256", "checksum")}))
    yield "written before checkpoints had checksums"


def test_a_checkpoint_that_is_not_what_was_written_starts_the_training_anew(
    data: Activations, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, family = data.rows("train"), STANDARD
    one = training.Training(family, family.members[0], rows, seed=0, checkpoint=tmp_path)
    for batch in data.train.activations[: 3 * family.batch].split(family.batch):
        one.take(batch)
    checkpoint.save(one.trainer, tmp_path, one.losses, one.config)
    assert training.Training(family, family.members[0], rows, seed=0, checkpoint=tmp_path).step == 3
    for what in spoilt_checkpoints(tmp_path):
        caplog.clear()
        anew = training.Training(family, family.members[0], rows, seed=0, checkpoint=tmp_path)
        assert anew.step == 0 and anew.losses == [], what
        assert "starts anew" in caplog.text, what


def test_activations_that_are_not_finite_stop_a_training_with_shard_and_row(data: Activations, tmp_path: Path) -> None:
    x = data.train.activations[:2_000].clone()
    x[1_500, 7] = float("nan")
    with pytest.raises(ConfigError, match="activations, row 1500, coordinate 7 is nan"):
        training.train(STANDARD, 32, x, seed=0, out=tmp_path / "sae")
    assert not (tmp_path / "sae").exists()


def test_weights_and_biases_gets_what_saelens_logs(data: Activations, tmp_path: Path, monkeypatch) -> None:
    import wandb
    from sae_lens.config import LoggingConfig

    logged: list[dict[str, float]] = []
    monkeypatch.setattr(wandb, "log", lambda values, step: logged.append(values))
    logger = LoggingConfig(log_to_wandb=True, wandb_log_frequency=20)
    training.train(BATCHTOPK, 32, data.rows("train", "entities"), seed=0, out=tmp_path, logger=logger)
    assert len(logged) == 3
    assert logged[0]["metrics/l0"] == pytest.approx(2, abs=0.01)
    assert {"losses/mse_loss", "metrics/explained_variance", "metrics/topk_threshold"} <= logged[0].keys()


def test_jobs_are_dealt_by_stream_and_cost() -> None:
    tier = small_tier()
    jobs = [Job(f, m) for f in tier.families for m in f.members]
    dealt = groups(jobs, 2)
    assert sorted(map(str, (j for g in dealt for j in g))) == sorted(map(str, jobs))
    for group in dealt:
        assert len({(j.family.tokens, j.family.batch, j.member.seed) for j in group}) == 1
    costs = [sum(j.cost for j in g) for g in dealt]
    assert costs == sorted(costs, reverse=True)
    assert len(groups(jobs, 1)) == 2
    seeds = replace(tier.families[0], seeds=(0, 1))
    assert len(groups([Job(seeds, m) for m in seeds.members], 1)) == 2


def test_a_family_member_that_is_not_there_is_told(data: Activations) -> None:
    family = TrainedFamily(STANDARD, {})
    with pytest.raises(ConfigError, match=r"no SAE with 64 latents, sparsity 0.5 and seed 0.*Sizes: \(32,\)"):
        family.sae(64)


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


def test_ce_losses_and_l0_equal_saelens_evals(data: Activations, tmp_path: Path) -> None:
    """SAELens splices at every token that is not ignored, ``<bos>`` here, as ours does; the mean is over predictions."""
    from sae_lens.evals import get_recons_loss
    from sae_lens.training.activation_scaler import ActivationScaler

    tier, lm = small_tier(), model.load()
    tokens = documents(tier, "eval")[:12]
    sae = training.train(STANDARD, 32, data.rows("train"), seed=0, out=tmp_path)
    row = evaluation.ce_row(lm, sae, tokens, tier.hook, "all")
    with torch.no_grad():
        theirs = get_recons_loss(
            sae, lm, ActivationScaler(), tokens, compute_kl=False, compute_ce_loss=True, ignore_tokens=[0],
            hook_name=tier.hook,
        )  # fmt: skip
    assert row["ce_clean"] == pytest.approx(theirs["ce_loss_without_sae"].mean().item(), abs=1e-5)
    assert row["ce_spliced"] == pytest.approx(theirs["ce_loss_with_sae"].mean().item(), abs=1e-5)
    assert row["ce_spliced"] > row["ce_clean"] + 0.05
    acts = sae.encode(data.eval.activations)
    assert reconstruction(sae, data.eval.activations).l0 == pytest.approx(acts.bool().float().sum(-1).mean().item())
