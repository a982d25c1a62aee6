"""The Ray engine on a real cluster of two nodes in processes of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worldhelpers import small_tier

from canonlib.activations import harvest
from canonlib.cli.run import choose_engine
from canonlib.errors import ConfigError
from canonlib.sae import training
from canonlib.sae.cluster import OnRay
from canonlib.sae.family import train_families
from canonlib.store import Store

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'canonlib[cluster]'")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="process signals")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *([path] if path else [])])
    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    both.add_node(num_cpus=1)
    ray.init(address=both.address, log_to_driver=False, logging_level="ERROR")
    yield both
    ray.shutdown()
    both.shutdown()
    os.environ["PYTHONPATH"] = path


def weights(store: Store) -> dict[str, dict[str, str]]:
    """Checksums of every SAE's files, by key."""
    return {a.key: {n: f["sha256"] for n, f in a.manifest["files"].items()} for a in store.artefacts(["sae"])}


def test_the_result_equals_the_local_engines(cluster: Any, tmp_path: Path) -> None:
    tier = small_tier()
    assert ray.cluster_resources()["CPU"] == 2
    stores = [Store(tmp_path / name) for name in ("ray", "local")]
    for store, engine in zip(stores, (OnRay(), None), strict=True):
        families = train_families(tier, tier.families, store, harvest(tier, store, False), False, engine)
        assert [len(f.artefacts) for f in families] == [2, 2]
    assert weights(stores[0]) == weights(stores[1])


def kill_one_training(store: Store, told: dict[str, Any]) -> None:
    """Wait for a checkpoint, then kill the process that wrote it: a build's folder is named after its process."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        for state in store.root.glob("sae/.checkpoint-*/checkpoint.json"):
            key = state.parent.name.removeprefix(".checkpoint-")
            for building in store.root.glob(f"sae/.building-{key}-*"):
                told["pid"] = int(building.name.split("-")[2])
                os.kill(told["pid"], signal.SIGKILL)
                return
        time.sleep(0.02)


def test_a_lost_workers_training_goes_on_from_its_checkpoint(cluster: Any, tmp_path: Path) -> None:
    long = tuple(replace(f, steps=2_000) for f in small_tier().families[:1])
    tier = small_tier(families=long)
    stores = [Store(tmp_path / name) for name in ("ray", "local")]
    told: dict[str, Any] = {}
    data = harvest(tier, stores[0], False)
    killer = threading.Thread(target=kill_one_training, args=(stores[0], told))
    killer.start()
    train_families(tier, long, stores[0], data, False, OnRay())
    killer.join()
    assert told, "no training was killed: it ended before its first checkpoint was seen"
    notes = [a.manifest["notes"]["resumed_from"] for a in stores[0].artefacts(["sae"])]
    assert max(notes) >= training.CHECKPOINT_EVERY
    train_families(tier, long, stores[1], harvest(tier, stores[1], False), False)
    assert weights(stores[0]) == weights(stores[1])


def test_what_cannot_work_is_told_as_it_is(cluster: Any, tmp_path: Path) -> None:
    store, tier = Store(tmp_path), small_tier()
    with pytest.raises(ConfigError, match="asks for 1 GPUs and the cluster has 0"):
        train_families(tier, tier.families, store, harvest(tier, store, False), False, OnRay(gpus=1))
    with pytest.raises(ConfigError, match="unknown engine 'rya'.*'ray'"):
        choose_engine("rya", None, 0)
    with pytest.raises(ConfigError, match="belong to --engine ray"):
        choose_engine("local", "auto", 0)
    assert choose_engine("local", None, 0) is None


def test_a_trainings_own_error_comes_through(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tier = small_tier()
    store = Store(tmp_path)
    broken = replace(tier, hook="blocks.9.hook_resid_pre")
    with pytest.raises(ConfigError, match=r"unknown hook 'blocks.9"):
        train_families(broken, broken.families, store, harvest(tier, store, False), False, OnRay())


def test_the_command_line_takes_ray(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from canonlib import tiers
    from canonlib.cli import app

    tier = small_tier()
    monkeypatch.setattr(tiers, "get", lambda name, **fields: tier)
    monkeypatch.setenv("CANONLIB_STORE", str(tmp_path))
    done = CliRunner().invoke(app, ["run", "--tier", "world", "--engine", "ray", "--quiet"])
    assert done.exit_code == 0, done.output
    assert "SAE families" in done.output
    assert len(Store(tmp_path).artefacts(["sae"])) == 13, "10 of the families and the frontier, 3 of another seed"
