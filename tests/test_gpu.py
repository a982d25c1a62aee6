"""The same answers on a GPU as on the CPU: training, stitching, comparing, meta-SAEs, scores. ``pytest -m gpu``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from sae_lens import SAE
from sae_lens.training.sae_trainer import SAETrainer
from saehelpers import brute_force_effect, random_activations, random_sae
from test_fast import KINDS, batches, untrained
from test_fast import trainer as trainer_on_cpu
from test_meta import CONFIG, centred
from test_meta import planted as planted_decoder
from test_select import problem

from canonlib import compare, toy
from canonlib.activations import Split
from canonlib.meta import (
    MetaSAE,
    decompose,
    gaussian_directions,
    held_out_variance,
    meta_activations,
    name_meta_latents,
    pursue,
    readings,
    replace_parts,
    score_parts,
    shared_part_overlap,
    stack,
    train_meta_sae,
    users,
    variance_explained,
)
from canonlib.meta.splitting import count_splits
from canonlib.rows import as_rows
from canonlib.sae import select, training
from canonlib.sae.batches import Batches
from canonlib.sae.entries import Encoder, Entries
from canonlib.sae.fast import FastTrainer
from canonlib.sae.metrics import reconstruction
from canonlib.sae.selectivity import selectivity
from canonlib.stitch import (
    classify,
    combine,
    frankenstein,
    greedy_moves,
    insert,
    insertion_effects,
    plan,
    pool,
    swap,
    swap_groups,
    walk,
)
from canonlib.stitch.assembly import Part
from canonlib.tiers import Family
from canonlib.world import table
from canonlib.world.match import match_facts

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device that this PyTorch can use"),
]

TRUTH = toy.planted(n_tokens=3_000, n_features=96, d_model=48, l0=3.0, noise=0.02)


def on_gpu(sae: Any) -> Any:
    """A copy of an SAE on the GPU."""
    return copy.deepcopy(sae).to("cuda")


def close(gpu: torch.Tensor, cpu: torch.Tensor, **tolerance: Any) -> None:
    torch.testing.assert_close(gpu.detach().cpu(), cpu.detach(), **tolerance)


def apart(one: Any, other: Any) -> float:
    """The largest difference of two SAEs' parameters, relative to the parameter's norm."""
    theirs = other.state_dict()
    found = [float((v.cpu() - theirs[k].cpu()).norm() / theirs[k].norm().cpu()) for k, v in one.state_dict().items()]
    return max(found)


def trainer(kind: type, sae: Any) -> Any:
    """A trainer of test_fast's configuration on the GPU, where ``sae`` goes."""
    config = trainer_on_cpu(SAETrainer, copy.deepcopy(sae), []).cfg
    config.device = "cuda"
    return kind(config, sae.to("cuda"), data_provider=iter(()))


@pytest.mark.parametrize("kind", KINDS)
def test_fast_steps_are_the_cpus_and_saelens_own(kind: str) -> None:
    """In float64, with latents that are dead from the start: losses, activations and weights after 30 steps."""
    ours, here, theirs = (untrained(kind) for _ in range(3))
    fast, cpu, slow = trainer(FastTrainer, ours), trainer_on_cpu(FastTrainer, here, []), trainer(SAETrainer, theirs)
    revived = 0.0
    for batch in batches():
        a, b, c = (each.step(batch) for each in (fast, cpu, slow))
        for each in (fast, cpu, slow):
            each.n_training_steps += 1
        assert a.loss.is_cuda
        for name in c.losses:
            expected = pytest.approx(float(c.losses[name].detach()), rel=1e-9, abs=1e-12)
            assert float(a.losses[name].detach()) == expected, name
            assert float(b.losses[name].detach()) == expected, name
        torch.testing.assert_close(a.feature_acts.to_dense(), c.feature_acts.to_dense())
        revived += float(a.losses["auxiliary_reconstruction_loss"])
    assert revived > 0, "the auxiliary loss never acted"
    fast.release()
    for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10, msg=name)
    close(fast.n_forward_passes_since_fired, cpu.n_forward_passes_since_fired)
    close(fast.act_freq_scores, cpu.act_freq_scores)


@pytest.mark.parametrize("rows", [7, 64])
def test_selection_in_blocks(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64 the same entries as on the CPU, and no more than asked for where scores are equal."""
    monkeypatch.setattr(select, "_MIN_ROWS", rows)
    monkeypatch.setattr(select, "_GPU_BLOCK_BYTES", 1)
    x, encoder = problem()
    there = Encoder(*(t.cuda() for t in encoder))
    chosen = {
        "batch": lambda x, e: select.Selector().over_batch(x, e, 120),
        "token": lambda x, e: select.Selector().per_token(x, e, 5),
        "token, negative too": lambda x, e: select.Selector().per_token(x, e, 5, negative=True),
    }
    for name, choose in chosen.items():
        for field, gpu, cpu in zip(Entries._fields, choose(x.cuda(), there), choose(x, encoder), strict=True):
            close(gpu, cpu, msg=f"{name}: {field}")
    ones = [torch.ones(shape, dtype=torch.float64, device="cuda") for shape in ((9, 4), (12, 4), 12)]
    alike = Encoder(ones[1], 0 * ones[2], ones[2])
    assert select.Selector().per_token(ones[0], alike, 3).offsets.diff().tolist() == [3] * 9
    assert len(select.Selector().over_batch(ones[0], alike, 20).latent) == 20


@pytest.mark.parametrize("n_dead", [0, 40, 1500], ids=["none dead", "dense aux", "sparse aux"])
@pytest.mark.parametrize("kind", ["topk", "batchtopk"])
def test_fast_steps_in_float32(kind: str, n_dead: int) -> None:
    """A wider SAE in the precision of use; both ways of the auxiliary loss."""
    fields = {"d_in": 64, "d_sae": 2048, "k": 8}
    ours, here = untrained(kind, "float32", **fields), untrained(kind, "float32", **fields)
    fast, cpu = trainer(FastTrainer, ours), trainer_on_cpu(FastTrainer, here, [])
    generator = torch.Generator().manual_seed(3)
    for each in (fast, cpu):
        each.n_forward_passes_since_fired[:n_dead] = 5
    for _ in range(5):
        batch = torch.randn(512, 64, generator=generator)
        a, b = fast.step(batch), cpu.step(batch)
        assert float(a.loss) == pytest.approx(float(b.loss), rel=1e-4)
        assert (float(b.losses["auxiliary_reconstruction_loss"]) > 0) >= (n_dead > 0)
    fast.release()
    cpu.release()
    assert apart(ours, here) < 2e-3  # Adam's first steps are ± lr, whatever the gradient: a near-tie counts in full


FAMILIES = [
    Family("batchtopk", "all", (64,), sparsities=(3,), steps=120, batch=256, lr=3e-3),
    Family("topk", "all", (64,), sparsities=(3,), steps=120, batch=256, lr=3e-3),
    Family("matryoshka_batchtopk", "all", (64,), sparsities=(3,), steps=120, batch=256, lr=3e-3),
    Family("standard", "all", (64,), sparsities=(0.5,), steps=120, batch=256, lr=3e-3),
    Family("gated", "all", (64,), sparsities=(0.5,), steps=120, batch=256, lr=3e-3),
    Family("jumprelu", "all", (64,), sparsities=(0.1,), steps=120, batch=256, lr=3e-3),
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.architecture)
def test_a_training_ends_in_a_folder_for_any_machine(family: Family, tmp_path: Path) -> None:
    trained = training.train(family, 64, TRUTH.activations, seed=0, out=tmp_path / "gpu", device="cuda")
    here = training.train(family, 64, TRUTH.activations, seed=0, out=tmp_path / "cpu")
    assert trained.W_dec.device.type == "cpu"
    assert SAE.load_from_disk(tmp_path / "gpu").cfg.device == "cpu"
    assert SAE.load_from_disk(tmp_path / "gpu", device="cuda").W_dec.is_cuda
    assert training.read_losses(tmp_path / "gpu") == pytest.approx(training.read_losses(tmp_path / "cpu"), rel=2e-2)
    gpu, cpu = reconstruction(trained, TRUTH.activations), reconstruction(here, TRUTH.activations)
    assert gpu.fvu == pytest.approx(cpu.fvu, rel=0.05)
    assert gpu.l0 == pytest.approx(cpu.l0, rel=0.05)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.architecture)
@pytest.mark.parametrize(("first", "then"), [("cuda", "cuda"), ("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_goes_on_on_either_device(
    family: Family, first: str, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 25)
    rows, member = as_rows(TRUTH.activations), family.members[0]
    whole, half = (training.Training(family, member, rows, 0, folder, device=device)
                   for folder, device in ((None, "cpu"), (tmp_path, first)))  # fmt: skip
    stream = Batches(rows, family.batch, 0)
    for step in range(30):
        half.take(stream.batch(step))
    resumed = training.Training(family, member, rows, 0, tmp_path, device=then)
    assert resumed.step == 25
    for step in range(25, 50):
        resumed.take(stream.batch(step))
    for step in range(50):
        whole.take(stream.batch(step))
    assert resumed.trainer.sae.W_dec.device.type == then
    assert resumed.losses == pytest.approx(whole.losses, rel=1e-3)
    assert apart(resumed.trainer.sae, whole.trainer.sae) < 2e-2
    for a, b in zip(resumed.trainer.optimizer.state.values(), whole.trainer.optimizer.state.values(), strict=True):
        assert float(a["step"]) == float(b["step"]) == 50


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated"])
def test_insertion_effects_are_the_brute_force_ones(architecture: str) -> None:
    small, large = random_sae("standard", 6), random_sae(architecture, 9, seed=4)
    x = random_activations(200)
    found = insertion_effects(on_gpu(small), on_gpu(large), x, batch_size=64)
    by_hand = [brute_force_effect(small, large, j, x) for j in range(9)]
    assert found.delta_mse.tolist() == pytest.approx(by_hand, rel=1e-9, abs=1e-12)
    close(found.fires, insertion_effects(small, large, x).fires)


def pair() -> tuple[Any, Any]:
    """Planted ReLU SAEs of few active latents, so that the sparse products are used; every kind of latent is there."""
    return toy.planted_sae(TRUTH, range(0, 64)), toy.planted_sae(TRUTH, range(32, 96))


def test_effects_and_classes_by_sparse_products() -> None:
    small, large = pair()
    x = torch.cat([TRUTH.activations, torch.zeros(600, 48)])  # the last block has no active latent
    gpu, cpu = (insertion_effects(a, b, x, batch_size=512) for a, b in ((on_gpu(small), on_gpu(large)), (small, large)))
    assert not gpu.delta_mse.is_cuda
    close(gpu.delta_mse, cpu.delta_mse, rtol=1e-4, atol=1e-8)
    assert gpu.mse_small == pytest.approx(cpu.mse_small, rel=1e-5)
    assert gpu.mse_large == pytest.approx(cpu.mse_large, rel=1e-5)
    assert classify(gpu).n_novel > 0
    assert classify(gpu).novel.tolist() == classify(cpu).novel.tolist()


def test_stitched_saes_and_paths() -> None:
    small, large = pair()
    both = (on_gpu(small), on_gpu(large))
    x = TRUTH.activations[:800]
    novel = classify(insertion_effects(small, large, x)).novel.nonzero()[:, 0].tolist()
    made = {
        "insert": [insert(*saes, novel) for saes in (both, (small, large))],
        "swap": [swap(*saes, out=[0, 1], into=torch.tensor([3])) for saes in (both, (small, large))],
        "combine": [combine([Part(a, [0, 5]), Part(b, [1])]) for a, b in (both, (small, large))],
        "two devices": [insert(both[0], large, novel), insert(small, large, novel)],
    }
    for name, (gpu, cpu) in made.items():
        assert gpu.W_dec.is_cuda, name
        close(gpu(x.cuda()), cpu(x), rtol=1e-4, atol=1e-5)
    groups = [swap_groups(*saes, 0.9) for saes in (both, (small, large))]
    assert sorted((g.out, g.into) for g in groups[0]) == sorted((g.out, g.into) for g in groups[1])
    rest = [j for j in range(64) if j not in novel]
    moves = plan(64, 64, novel, swap_groups(*both, 0.9, of_large=rest))
    pools = pool(both, x.cuda()), pool((small, large), x)
    moves = greedy_moves(pools[0], moves)
    paths = [walk(each, moves) for each in pools]
    for bias in ("small", "travelling", "best"):
        close(paths[0].mse[bias], paths[1].mse[bias], rtol=1e-3, atol=1e-7)
    middle = paths[0].sae(len(novel))
    assert middle.W_dec.is_cuda
    assert reconstruction(middle, x).mse == pytest.approx(float(paths[0].mse["best"][len(novel)]), rel=1e-4)
    gathered = [frankenstein(each, budget=20, exchanges=3) for each in pools]
    assert gathered[0].sae.W_dec.is_cuda
    assert gathered[0].mse == pytest.approx(gathered[1].mse, rel=1e-3)


def test_comparisons_whichever_device_each_is_on() -> None:
    a, b = random_sae("standard", 70), random_sae("standard", 90, seed=5)
    near, pairs, shared = compare.nearest(a, b, k=3), compare.pairs_above(a, b, 0.5), compare.shared_latents(a, b, 0.3)
    assert len(pairs.a)
    assert shared.any()
    for x, y in ((on_gpu(a), on_gpu(b)), (on_gpu(a), b), (a, on_gpu(b))):
        found = compare.nearest(x, y, k=3, block=32)
        close(found.cosine, near.cosine)
        assert torch.equal(found.index.cpu(), near.index)
        close(compare.max_cosine(x, y), near.cosine[:, 0])
        above = compare.pairs_above(x, y, 0.5, block=32)
        assert torch.equal(above.a, pairs.a)
        assert torch.equal(above.b, pairs.b)
        assert torch.equal(compare.shared_latents(x, y, 0.3), shared)


@pytest.fixture(scope="module")
def meta() -> MetaSAE:
    """Trained on the GPU, on the rows of test_meta."""
    return train_meta_sae(planted_decoder()[2].cuda(), CONFIG, progress=False)


def test_a_meta_sae_finds_the_planted_atoms(meta: MetaSAE, tmp_path: Path) -> None:
    atoms, _, rows = planted_decoder()
    assert meta.sae.W_dec.is_cuda
    here = train_meta_sae(rows, CONFIG, progress=False)
    assert meta.report.variance_explained == pytest.approx(here.report.variance_explained, abs=0.03)
    assert meta.report.l0 == pytest.approx(here.report.l0, rel=0.05)
    found = centred(meta.sae.W_dec.cpu()) @ centred(atoms).T
    assert (found.amax(0) > 0.9).double().mean() > 0.85
    loaded = MetaSAE.load(meta.save(tmp_path))
    assert loaded.sae.W_dec.device.type == "cpu"
    close(meta_activations(meta, rows), meta_activations(loaded, rows), rtol=1e-4, atol=1e-5)
    assert variance_explained(meta, rows) == pytest.approx(variance_explained(loaded, rows.cuda()), abs=1e-5)


def test_what_a_meta_sae_is_asked(meta: MetaSAE, tmp_path: Path) -> None:
    """The same meta-SAE on both devices, directions on either."""
    rows = planted_decoder()[2]
    here = MetaSAE.load(meta.save(tmp_path))
    for directions in (rows, rows.cuda()):
        for latent in (0, 17):
            gpu, cpu = decompose(meta, latent, directions), decompose(here, latent, rows)
            assert gpu.meta_latents.tolist() == cpu.meta_latents.tolist()
            assert gpu.residual_norm == pytest.approx(cpu.residual_norm, abs=1e-5)
        assert users(meta, directions, 3).latents.tolist() == users(here, rows, 3).latents.tolist()
        assert shared_part_overlap(meta, directions, rows[:50]) == shared_part_overlap(here, rows, rows[:50])
        assert pursue(directions, meta.sae.W_dec, k=2).variance_explained == pytest.approx(
            pursue(rows, here.sae.W_dec, k=2).variance_explained, abs=1e-6
        )
        gaussian = gaussian_directions(directions, seed=0)
        assert gaussian.device == directions.device
    tuned = replace_parts(meta, rows.cuda(), rows[:100], steps=20, progress=False)
    assert tuned.report.variance_explained == pytest.approx(
        replace_parts(here, rows, rows[:100], steps=20, progress=False).report.variance_explained, abs=0.03
    )
    gpu, cpu = (stack({300: each[:300], 600: each}) for each in (rows.cuda(), rows))
    assert count_splits(meta, gpu) == count_splits(here, cpu)
    inside, outside = held_out_variance(rows.cuda(), CONFIG, progress=False)
    assert 0 < outside <= inside < 1


def test_scores_of_one_sae_on_both_devices() -> None:
    sae, x = pair()[0], TRUTH.activations
    gpu, cpu = reconstruction(on_gpu(sae), x), reconstruction(sae, x)
    for name in ("l0", "mse", "fvu", "dead_fraction"):
        assert getattr(gpu, name) == pytest.approx(getattr(cpu, name), rel=1e-4), name
    entity = torch.arange(len(x)) % (len(table.entities()) + 1) - 1
    nothing = torch.zeros(len(x), dtype=torch.long)
    split = Split(x, token=nothing, document=nothing, position=nothing, entity=entity)
    there, here = selectivity(on_gpu(sae), split, batch_size=700), selectivity(sae, split)
    close(there.fires, here.fires)
    close(there.by_entity, here.by_entity)


def test_the_models_loss_with_an_sae_spliced_in() -> None:
    """Model and SAE on the GPU, tokens on the CPU."""
    from canonlib.sae.evaluation import ce_row
    from canonlib.stitch import insertion_losses
    from canonlib.world import model

    tokens = torch.randint(1, 400, (6, 20), generator=torch.Generator().manual_seed(0))
    small, large = (random_sae("standard", n, d_in=128, seed=n, dtype="float32") for n in (20, 30))
    rows, losses = [], []
    for device in ("cuda", "cpu"):
        lm, a, b = model.load().to(device), copy.deepcopy(small).to(device), copy.deepcopy(large).to(device)
        rows.append(ce_row(lm, a, tokens, model.HOOK, "all", bounds=(1.0, 9.0)))
        losses.append(insertion_losses(lm, a, b, [0, 7], tokens, model.HOOK))
    assert rows[0] == pytest.approx(rows[1], rel=1e-4)
    close(losses[0].delta_ce, losses[1].delta_ce, rtol=1e-2, atol=1e-4)


def test_latents_meet_facts(meta: MetaSAE) -> None:
    """Tables that come from a GPU, beside tables of facts that lie on the CPU."""
    rows, holds = planted_decoder()[2], planted_decoder()[1]
    fires = meta_activations(meta, rows) > 0
    assert fires.is_cuda
    for labels in (holds, holds.cuda()):
        found, expected = match_facts(fires, labels, block=100), match_facts(fires.cpu(), holds)
        close(found.true_positives, expected.true_positives)
        close(found.f1, expected.f1)
        assert found.best_per_fact().index.tolist() == expected.best_per_fact().index.tolist()
    facts = [f"atom={i}" for i in range(holds.shape[1])]
    entities = torch.arange(len(holds))
    named = [name_meta_latents(uses, holds, facts, entities, n_permutations=60) for uses in (fires, fires.cpu())]
    assert [(n.fact, n.n_users) for n in named[0]] == [(n.fact, n.n_users) for n in named[1]]
    assert [n.f1 for n in named[0]] == pytest.approx([n.f1 for n in named[1]])
    kinds = torch.zeros(len(holds))
    scores = [score_parts(uses, holds, entities, kinds, n_permutations=60) for uses in (fires, fires.cpu())]
    assert scores[0] == scores[1]


def test_readings_of_tokens(meta: MetaSAE, tmp_path: Path) -> None:
    sae = random_sae("standard", 30, d_in=64, dtype="float32")
    x, here = random_activations(50, 64, dtype=torch.float32), MetaSAE.load(meta.save(tmp_path))
    close(readings(meta, on_gpu(sae), x), readings(here, sae, x), rtol=1e-3, atol=1e-4)
