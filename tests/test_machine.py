"""What computes is named, and the settings that processors share are set in time or refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from canonlib import machine
from canonlib.errors import ConfigError
from canonlib.store.hashing import artefact_key

CPUINFO = """processor : 0
vendor_id : AuthenticAMD
model name : AMD EPYC(TM) 9R14  Processor
flags : fpu sse2 avx2 fma avx512f avx512_bf16
"""
ARM = "processor : 0\nFeatures : fp asimd sve i8mm\n"


@pytest.fixture
def cpuinfo(monkeypatch, tmp_path):
    """Let the machine be what a text says."""

    def be(text: str | None):
        class Info:
            def __init__(self, name):
                self.path = tmp_path / "cpuinfo"

            def is_file(self):
                return text is not None

            def read_text(self, **_):
                return text

        monkeypatch.setattr(machine, "Path", Info)
        machine.processor.cache_clear()

    yield be
    machine.processor.cache_clear()


@pytest.mark.parametrize(("text", "name", "sets"), [
    (CPUINFO, "AMD EPYC 9R14 Processor", ("avx2", "fma", "avx512f", "avx512_bf16")),
    (ARM, None, ("asimd", "sve", "i8mm")),
    (None, None, ()),
])  # fmt: skip
def test_the_processor_is_named_with_the_sets_that_matter(cpuinfo, text, name, sets):
    cpuinfo(text)
    found = machine.processor()
    assert found[1] == sets and found[0]
    assert name is None or found[0] == name


def test_arithmetic_is_its_own_unless_something_asks_for_another(monkeypatch):
    for name in (machine.REPRODUCIBLE, "MKL_CBWR"):
        monkeypatch.delenv(name, raising=False)
    assert machine.this_machine().arithmetic == "its own"
    assert machine.arithmetic({"MKL_CBWR": "AVX2"}) == "MKL AVX2"
    assert machine.arithmetic({"MKL_CBWR": "AVX2", machine.REPRODUCIBLE: "1"}) == "alike"


def test_a_value_that_is_neither_is_refused(monkeypatch):
    monkeypatch.setenv(machine.REPRODUCIBLE, "yes")
    with pytest.raises(ConfigError, match="CANONLIB_REPRODUCIBLE must be 1"):
        machine.settle()


def test_settings_that_come_too_late_are_refused_by_the_command_and_by_the_store(monkeypatch):
    """PyTorch reads them when it is loaded, and here it is."""
    pytest.importorskip("torch")
    for name in machine.alike():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(machine.REPRODUCIBLE, "1")
    with pytest.raises(ConfigError, match="before torch is imported"):
        machine.settle()
    with pytest.raises(ConfigError, match="before torch is imported"):
        artefact_key("room", {}, "code")
    assert "MKL_CBWR" not in os.environ


def test_what_is_computed_alike_has_keys_of_its_own(monkeypatch):
    monkeypatch.delenv(machine.REPRODUCIBLE, raising=False)
    own = artefact_key("room", {"a": 1}, "code")
    monkeypatch.setenv(machine.REPRODUCIBLE, "1")
    for name, value in machine.alike().items():
        monkeypatch.setenv(name, value)
    assert artefact_key("room", {"a": 1}, "code") != own
    monkeypatch.setenv(machine.REPRODUCIBLE, "0")
    assert artefact_key("room", {"a": 1}, "code") == own


SHOW = """
from canonlib import machine
machine.settle()
import torch
from canonlib.processes import side_by_side
import show
if __name__ == "__main__":
    print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), flush=True)
    side_by_side(show.show, [0], "show", progress=False)
"""
CHILD = """
import os, sys
def show(_):
    import torch
    print(torch.backends.cpu.get_cpu_capability(), os.environ["MKL_CBWR"], torch.get_num_threads(), flush=True)
"""


@pytest.mark.skipif("avx2" not in machine.processor()[1], reason="needs an x86 processor with AVX2")
def test_the_settings_reach_pytorch_and_the_processes_that_are_started(tmp_path):
    (tmp_path / "main.py").write_text(SHOW)
    (tmp_path / "show.py").write_text(CHILD)
    env = {k: v for k, v in os.environ.items() if k not in machine.alike()}
    env |= {machine.REPRODUCIBLE: "1", "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split("\n")[:2] == ["AVX2 1", "AVX2 COMPATIBLE 1"], done.stderr
