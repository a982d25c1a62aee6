"""The command line's answers to bad input: one line, exit code 2, and nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def canonlib(*arguments: str, store: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "CANONLIB_STORE": str(store), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "canonlib.cli", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--tier", "wrold"), "unknown tier 'wrold'. Did you mean 'world'?"),
        (("run", "--seed", "-1"), "seed must be a whole number of at least 0, got -1"),
        (("run", "--tier", "gpt2-small"), "tier 'gpt2-small' needs"),
        (("claims", "--tier", "gpt2-small"), "from the hub"),
        (("world", "facts", "Einstien"), "unknown entity 'Einstien'"),
        (("notebooks", "9"), "9"),
        (("notebooks", "3", "-p", "sede", "1"), "sede"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = canonlib(*arguments, store=tmp_path / "store")
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = canonlib("run", "--quiet", store=tmp_path / "file" / "store")
    assert done.returncode == 2, done.stderr
    assert str(tmp_path / "file") in done.stderr
    assert "CANONLIB_STORE" in done.stderr
    assert (tmp_path / "file").read_text() == "not a folder"


def test_facts_and_samples_are_printed(tmp_path: Path) -> None:
    assert "occupation  physicist" in canonlib("world", "facts", "Einstein", store=tmp_path).stdout
    one, again = (canonlib("world", "sample", "--n", "2", "--seed", "7", store=tmp_path).stdout for _ in range(2))
    assert one == again
    assert one.count("<bos>") == 2


def test_help_teaches(tmp_path: Path) -> None:
    text = canonlib("run", "--help", store=tmp_path).stdout
    assert "canonlib run --tier world" in text
    assert "goes on where it stopped" in text
