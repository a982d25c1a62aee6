"""Work side by side: everything is done, an error stops the rest, threads and the environment are as promised."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from canonlib.errors import ConfigError
from canonlib.processes import side_by_side, workers_here


def write(path: Path) -> None:
    import torch

    if path.name == "bad":
        raise ConfigError("this one is bad")
    time.sleep(0.3 * path.name.startswith("slow"))
    path.write_text(f"{torch.get_num_threads()} {os.environ['OPENBLAS_NUM_THREADS']} {os.getpid()}")


def test_every_item_is_worked_on_with_one_thread_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    side_by_side(write, [tmp_path / name for name in "abc"], "writing", progress=False, workers=2)
    told = [(tmp_path / name).read_text().split() for name in "abc"]
    assert all(line[:2] == ["1", "1"] and int(line[2]) != os.getpid() for line in told)
    assert os.environ["OMP_NUM_THREADS"] == "2" and "OPENBLAS_NUM_THREADS" not in os.environ


def test_an_error_is_raised_and_the_rest_is_dropped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    side_by_side(write, [], "writing")
    assert capfd.readouterr().err == "", "nothing to do starts nothing"
    later = [tmp_path / f"slow{i}" for i in range(20)]
    with pytest.raises(ConfigError, match="this one is bad"):
        side_by_side(write, [tmp_path / "bad", *later], "writing", progress=False, workers=1)
    assert sum(path.exists() for path in later) < 5


def test_workers_come_from_the_call_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANONLIB_WORKERS", "3")
    assert workers_here() == 3 and workers_here(2) == 2 and workers_here(99) == 8
    with pytest.raises(ConfigError, match="workers"):
        workers_here(0)
    monkeypatch.setenv("CANONLIB_WORKERS", "two")
    with pytest.raises(ConfigError, match="CANONLIB_WORKERS must be a whole number of processes, got 'two'"):
        workers_here()
