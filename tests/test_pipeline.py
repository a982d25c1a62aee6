"""The whole line on a small tier: runs, is reused, goes on after kill -9, and yields every claim."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from worldhelpers import small_tier

from canonlib import tiers
from canonlib.activations import documents
from canonlib.claims import table
from canonlib.claims.compute import claim, compute
from canonlib.compare import nearest, shared_latents
from canonlib.errors import ConfigError, CorruptArtefactError
from canonlib.pipeline import Run
from canonlib.pipeline.paths import ORDERS, dealt
from canonlib.sae.evaluation import ce_loss, replaced_positions
from canonlib.sae.family import train_families
from canonlib.sae.group import Job, configuration
from canonlib.stitch import Group, insert, insertion_losses
from canonlib.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    line = Run(small_tier(), Store(tmp_path_factory.mktemp("store")), progress=False)
    for stage in line.stages():
        stage.work()
    return line


def test_a_second_run_makes_nothing(run: Run) -> None:
    before = {a.key for a in run.store.artefacts()}
    again = Run(run.tier, run.store, progress=False)
    for stage in again.stages():
        stage.work()
    assert {a.key for a in run.store.artefacts()} == before
    assert again.meta.artefact.reused


def test_pairs_hold_each_latents_effect_and_nearest_cosine(run: Run) -> None:
    (pair,) = run.pairs("standard-all")
    small, large = run.family("standard-all").sae(16), run.family("standard-all").sae(32)
    near = nearest(large, small)
    torch.testing.assert_close(pair.cosine, near.cosine[:, 0])
    x = run.data.eval.activations.double()
    j = int(pair.fires.argmax())
    error = x - small(x.float()).double()
    inserted = error - large.encode(x.float())[:, [j]].double() * large.W_dec[j].double()
    change = inserted.square().mean() - error.square().mean()
    assert pair.delta_mse[j].item() == pytest.approx(change.item(), rel=1e-3, abs=1e-9)


def test_paths_lead_to_the_large_sae(run: Run) -> None:
    for family in run.tier.families:
        ends = set()
        for order in ORDERS:
            (path,) = run.paths(family.name, order)
            assert float(path.mse["travelling"][-1]) == pytest.approx(path.mse_large, rel=1e-5)
            assert path.n_inserted <= path.n_swapped < len(path.l0) == len(path.moves) + 1
            assert int(path.size[-1]) == path.large
            if order != "free":
                ends.add(round(float(path.mse["best"][path.n_inserted]), 9))
        assert len(ends) == 1, "every order but one begins with the same latents"
        (path,) = run.paths(family.name)
        points = {int(row["point"]) for row in path.ce}
        assert {0, path.n_inserted, len(path.moves)} <= points
    with pytest.raises(ConfigError, match="'greedy'"):
        run.paths(family.name, "gredy")


def test_orders_make_the_same_moves_and_greedy_swaps_climb_no_more(run: Run) -> None:
    (plain,), (greedy,), (free,) = (run.paths("standard-all", order) for order in ("greedy", "greedy-swaps", "free"))
    moves = [sorted((m["kind"], tuple(m["out"]), tuple(m["into"])) for m in p.moves) for p in (plain, greedy, free)]
    assert moves[0] == moves[1] == moves[2]
    n = plain.n_inserted
    torch.testing.assert_close(plain.mse["best"][: n + 1], greedy.mse["best"][: n + 1])
    assert greedy.mse["best"][n:].mean() <= plain.mse["best"][n:].mean() * (1 + 1e-9)
    mse = plain.mse["best"].tolist()
    assert plain.climb == pytest.approx(max(b / a for i, a in enumerate(mse) for b in mse[i:]) - 1)


def test_dealt_groups_keep_their_sizes_and_latents() -> None:
    groups = [Group((0,), (5, 7), 0.9), Group((1, 2), (1,), 0.8), Group((3,), (2, 3, 8), 0.7)]
    other = dealt(groups, seed=1)
    assert [(g.out, len(g.into)) for g in other] == [(g.out, len(g.into)) for g in groups]
    assert sorted(j for g in other for j in g.into) == [1, 2, 3, 5, 7, 8]
    assert [g.into for g in other] != [g.into for g in groups]


def test_claims_of_seeds_need_seeds(run: Run) -> None:
    assert claim(run, "unique-seeds").verdict != "not tested here"
    few = claim(run, "stitch-news")
    assert few.verdict == "not tested here" and "20 novel latents" in few.reason
    alone = Run(small_tier(repeats=()), run.store, progress=False)
    assert claim(alone, "unique-seeds").verdict == claim(alone, "stitch-news").verdict == "not tested here"


def test_losses_of_single_insertions_are_those_of_the_stitched_sae(run: Run) -> None:
    from canonlib.pipeline.losses import LOSS_DOCUMENTS

    (pair,) = run.doublings("standard-all")
    told = run.losses("standard-all", pair)
    small, large = run.family("standard-all").sae(16), run.family("standard-all").sae(32)
    tokens = documents(run.tier, "eval")[:LOSS_DOCUMENTS]
    where = replaced_positions(tokens, "all")
    assert len(told["latents"]) == len(told["delta_ce"]) == int((pair.fires > 0).sum())
    number = len(told["latents"]) // 2
    stitched = insert(small, large, [told["latents"][number]])
    after = ce_loss(run.lm, tokens, run.tier.hook, where, stitched)
    assert told["delta_ce"][number] == pytest.approx(after - told["ce_small"], abs=1e-9)
    assert told["delta_ce"][number] != 0
    with pytest.raises(ConfigError, match="where has shape"):
        insertion_losses(run.lm, small, large, [0], tokens, run.tier.hook, where[:1])
    with pytest.raises(ConfigError, match="outside the large SAE's range"):
        insertion_losses(run.lm, small, large, [99], tokens, run.tier.hook)


def test_seeds_share_the_first_and_differ_after_it(run: Run) -> None:
    shared, seeded = run.family("standard-all"), run.family("standard-all-seeds")
    assert seeded.artefact(16, seed=0).key == shared.artefact(16).key, "one SAE, trained once"
    assert seeded.artefact(16, seed=1).key != shared.artefact(16).key
    rows = run.repeats("standard-all-seeds")
    assert [(row["seed"], row["small"], row["large"]) for row in rows] == [(0, 16, 32), (1, 16, 32)]
    assert rows[0]["auc"] == run.pairs("standard-all")[0].summary["auc"]
    assert rows[0]["ce_small"] != rows[1]["ce_small"]
    assert set(rows[0]["climb"]) == set(ORDERS)
    pair = run.pairs("standard-all-seeds", seed=1)[0]
    small, large, other = (seeded.sae(n, seed=s) for n, s in ((16, 1), (32, 1), (32, 0)))
    fires = pair.fires > 0
    assert rows[1]["shared"] == pytest.approx(float(shared_latents(large, other)[fires].double().mean()))
    tokens = documents(run.tier, "eval")[:100]
    novel = ((pair.delta_mse < 0) & fires).nonzero()[:, 0].tolist()
    where = replaced_positions(tokens, "all")
    loss = ce_loss(run.lm, tokens, run.tier.hook, where, insert(small, large, novel))
    assert rows[1]["ce_all_novel"] == pytest.approx(loss, abs=1e-9)


def test_an_sae_of_two_families_is_trained_once(run: Run, tmp_path: Path) -> None:
    asked: list[Job] = []

    class Recorder:
        def train(self, tier: object, jobs: list[Job], *rest: object) -> None:
            asked.extend(jobs)

    train_families(run.tier, run.tier.every_family, Store(tmp_path), run.data, False, Recorder())
    wanted = [(f, m) for f in run.tier.every_family for m in f.members]
    assert len(asked) == len(wanted) - 3, "three SAEs of the first seed are in two families"
    assert len({json.dumps(configuration(run.tier, job, run.data.key)) for job in asked}) == len(asked)


def test_meta_saes_of_all_seeds_are_held_against_controls(run: Run) -> None:
    from canonlib.meta import gaussian_directions, train_meta_sae
    from canonlib.pipeline import metastage

    assert metastage.seeds(run.tier) == (0, 1)
    for seed in (0, 1):
        stage, sae = run.meta_of(seed), metastage.load_base(run, seed)
        rows, config = sae.W_dec.detach()[stage.alive], metastage.meta_config(run.tier, seed)
        assert config.seed == seed and stage.meta.config == config
        s = stage.summary
        assert s["variance_explained"] == stage.meta.report.variance_explained
        control = train_meta_sae(gaussian_directions(rows, seed), config, progress=False)
        assert s["variance_gaussian"] == pytest.approx(control.report.variance_explained, abs=1e-4)
        assert len(stage.own) == s["n_entity_latents"] and bool(stage.alive[stage.own].all())
    assert metastage.base_artefact(run).key == run.family("batchtopk-entities").artefact(64).key
    assert metastage.base_artefact(run, 1).key != metastage.base_artefact(run).key


def test_truth_sweep_and_family_hold_what_their_pages_show(run: Run) -> None:
    from canonlib.compare import max_cosine
    from canonlib.meta import variance_explained
    from canonlib.pipeline import metastage

    told = run.meta_truth[1]
    assert told["seed"] == 1
    cosine, itself = told["cosine"]
    assert itself["size"] == 64
    meta, small = run.meta_of(1).meta.sae.W_dec, metastage.live_rows(run, "batchtopk-entities", 16)
    assert (cosine["size"], cosine["meta"]) == (16, pytest.approx(float(max_cosine(meta, small).double().mean())))
    points = run.meta_sweep["sweep"]
    assert {row["vary"] for row in points} == {"size", "k", "rows"}
    same = [
        row["variance_explained"]
        for row in points
        if (row["n_latents"], row["k"], row["n_rows"]) == (16, 4.0, run.meta.summary["n_alive"])
    ]
    assert same and all(value == pytest.approx(run.meta.summary["variance_explained"], abs=1e-4) for value in same)
    assert [row["recipe"] for row in run.meta_sweep["recipes"]] == ["canonlib", "paper", "post", "released", "saebench"]
    family = run.meta_family
    assert family.rows.sizes == (16, 64) and [row["size"] for row in family.summary["sizes"]] == [16, 64]
    assert variance_explained(family.meta, family.rows.rows) == pytest.approx(
        family.summary["variance_explained"], abs=1e-5
    )
    assert metastage.meta_key(run, 1) == run.meta_of(1).artefact.key
    assert [row["size"] for row in family.summary["overlap"]] == [16]


def test_scores_of_entity_latents_are_the_librarys(tmp_path: Path) -> None:
    from canonlib.meta import meta_activations, score_parts
    from canonlib.pipeline import metastage, metatruth

    families = (tiers.Family("batchtopk", "entities", (16, 512), sparsities=(2,), steps=300, batch=512, lr=2e-3),)
    tier = small_tier(train_documents=600, eval_documents=200, families=families, frontier=(), repeats=(),
                      meta_bases=None, meta_base=512)  # fmt: skip
    line = Run(tier, Store(tmp_path), progress=False)
    truth = metatruth.truth_of(line, 0)
    assert len(torch.unique(truth.entity)) >= 10, "too few entity latents for this test to say anything"
    found = metatruth.truth_stage(line, 0)
    rows = metastage.load_base(line).W_dec.detach()[line.meta.alive]
    uses = (meta_activations(line.meta.meta, rows) > 0)[truth.place]
    expected = score_parts(uses, truth.holds, truth.entity, truth.kind).to_json()
    assert next(row["every"] for row in found["meta"] if row["k"] == 4) == expected
    assert {row["name"] for row in found["lists"]} >= {
        metatruth.ORACLE,
        "random directions",
        "latents of the SAE of 16",
    }
    assert len(found["fates"]) == len(truth.facts)


def test_gathered_dictionaries_keep_to_their_size(run: Run) -> None:
    for family in run.tier.families:
        rows = run.gathered(family.name)
        assert [row["size"] for row in rows] == list(family.sizes)
        for row in rows:
            assert sum(map(len, row["latents"].values())) == row["n_latents"] <= row["size"]
            assert row["mse"] > 0 and row["l0"] > 0


def test_evaluation_rows_are_complete_and_sane(run: Run) -> None:
    for name in (f.name for f in (*run.tier.families, *run.tier.frontier)):
        rows = run.evaluation(name)
        assert [r["n_latents"] for r in rows] == [m.size for m in run.family(name).family.members]
        for r in rows:
            assert 0 <= r["dead_fraction"] <= 1
            assert 0 < r["fvu"] < 3
            assert r["ce_clean"] < r["ce_zeroed"]


def test_every_claim_is_computed_and_survives_json(run: Run) -> None:
    claims = compute(run)
    assert len({c.id for c in claims}) == len(claims) >= 10
    assert table.loads(table.dumps(claims)) == claims
    assert claim(run, "stitch-auc") == next(c for c in claims if c.id == "stitch-auc")
    with pytest.raises(ConfigError, match="stitch-acu.*stitch-auc"):
        claim(run, "stitch-acu")


def test_unknown_family_and_hub_tier_are_named(run: Run) -> None:
    with pytest.raises(ConfigError, match="unknown family 'standard'.*standard-all"):
        run.family("standard")
    with pytest.raises(ConfigError, match=r"gpt2-small.*from the hub.*--tier world"):
        Run(tiers.get("gpt2-small"))


def test_a_flipped_byte_is_found_and_named(run: Run, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run.store.root, tmp_path / "store")
    copy = Run(run.tier, Store(tmp_path / "store"), progress=False)
    weights = next((tmp_path / "store" / "sae").glob("*/sae_weights.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CorruptArtefactError, match=r"sae_weights.safetensors"):
        _ = copy.families


SCRIPT = """
import sys
from worldhelpers import small_tier
from canonlib.pipeline import Run
from canonlib.sae import training
from canonlib.store import Store
from dataclasses import replace
training.CHECKPOINT_EVERY = 20
if __name__ == "__main__":
    tier = small_tier()
    tier = replace(tier, families=tuple(replace(f, steps=int(sys.argv[2])) for f in tier.families), repeats=(), meta_bases=None)
    run = Run(tier, Store(sys.argv[1]), progress=False)
    print(len(run.families))
"""


def test_kill_9_in_training_and_run_again(tmp_path: Path) -> None:
    (tmp_path / "go.py").write_text(SCRIPT)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "go.py"), str(tmp_path / "store"), "120"]
    first = subprocess.Popen(
        command, env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    limit = time.monotonic() + 120
    while not list((tmp_path / "store").glob("sae/*/sae_weights.safetensors")) and first.poll() is None:
        assert time.monotonic() < limit, "no SAE was finished in two minutes"
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)  # the parent alone: its workers must not go on without it
    first.wait()
    limit = time.monotonic() + 30
    while subprocess.run(["pgrep", "-g", str(first.pid)], capture_output=True).returncode == 0:
        assert time.monotonic() < limit, "workers outlived their parent"
        time.sleep(0.1)
    done = {p.parent.name for p in (tmp_path / "store").glob("sae/*/manifest.json")}
    out = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, check=True)
    assert out.stdout.strip() == "5"
    everything = {p.parent.name for p in (tmp_path / "store").glob("sae/*/manifest.json")}
    assert done < everything
    assert len(everything) == 10
    assert not Store(tmp_path / "store").verify()


STOPPED = """
import os, signal, sys, time
from worldhelpers import small_tier
from canonlib.pipeline import Run
from functools import partial
from canonlib.pipeline import metaparts
from canonlib.store import Store, build
import canonlib.activations, canonlib.claims.compute, sae_lens, sklearn.metrics, transformer_lens.model_bridge

metaparts.side_by_side = partial(metaparts.side_by_side, workers=1)  # one by one: each is there to be stopped
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born ignoring it
seal = build._seal

def stop(b, *more):  # also in the processes that train SAEs, which import this file anew
    if b.room == os.environ.get("STOP_IN"):  # its files are written and not yet final: the worst moment
        os.killpg(0, getattr(signal, os.environ["STOP_BY"]))
        time.sleep(60)
    return seal(b, *more)

build._seal = stop

def work(room, how):
    os.setsid()
    os.environ.update(STOP_IN=room, STOP_BY=how)
    line = Run(small_tier(), Store(sys.argv[1]), progress=False)
    for stage in line.stages():
        stage.work()

if __name__ == "__main__":
    for line in sys.stdin:  # a child for each: the imports above take as long as a stage
        pid = os.fork()
        if not pid:
            work(*line.split())
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def contents(store: Store) -> dict[str, dict[str, str]]:
    """Checksums of every file, by artefact."""
    return {
        f"{a.room}/{a.key}": {name: entry["sha256"] for name, entry in a.manifest["files"].items()}
        for a in store.artefacts()
    }


def told(children: subprocess.Popen[str], order: str) -> int:
    """The exit code of the child that a process makes for one line."""
    assert children.stdin is not None and children.stdout is not None
    children.stdin.write(f"{order}\n")
    children.stdin.flush()
    return int(children.stdout.readline())


@pytest.mark.skipif(os.name == "nt", reason="process groups")
def test_stopped_in_every_stage_and_run_again(run: Run, tmp_path: Path) -> None:
    (tmp_path / "go.py").write_text(STOPPED)
    # As many threads as the run it is held against: the last bits of a sum depend on their number.
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    rooms = (
        "knowledge", "activations", "sae", "evaluation", "stitch", "losses", "path", "gathered", "repeats",
        "meta", "meta-truth", "meta-sweep", "meta-family",
    )  # fmt: skip
    assert set(rooms) == {a.room for a in run.store.artefacts()}
    store = Store(tmp_path / "store")
    command = [sys.executable, str(tmp_path / "go.py"), str(store.root)]
    finished: set[str] = set()
    with subprocess.Popen(
        command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as children:
        for i, room in enumerate(rooms):  # both ways of stopping, by turns
            how = (signal.SIGKILL, signal.SIGINT)[i % 2]
            ended = told(children, f"{room} {how.name}")
            assert ended == -how or (how == signal.SIGINT and ended != 0), room
            now = set(contents(store))
            assert finished <= now, f"stopping in {room} lost artefacts"
            assert not [key for key in now if key.startswith(f"{room}/")]
            finished = now
        assert told(children, "none SIGINT") == 0
    assert contents(store) == contents(run.store)
    assert not list(store.root.glob("*/.building-*"))
    assert not list(store.root.glob("*/.checkpoint-*"))
