"""What computes: the processor, its instruction sets, and a way of computing that other processors share.

The last bits of a sum depend on the order in which a processor's libraries add, and a training carries them into the
second digit. ``alike()`` gives the settings under which x86 processors take one common path.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from canonlib.errors import ConfigError

INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "i8mm")
"""Instruction sets for which libraries have kernels of their own, by Linux's names."""
REPRODUCIBLE = "CANONLIB_REPRODUCIBLE"
"""Environment variable: 1 computes as other processors do, at a price (``alike``)."""
_ALIKE = {
    "MKL_CBWR": "COMPATIBLE",  # products of matrices: the one path that MKL promises on every maker's processors
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "OPENBLAS_CORETYPE": "Haswell",  # NumPy's and SciPy's products
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's exponentials and logarithms
    "OMP_NUM_THREADS": "1",  # a sum is split among threads
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class Machine(NamedTuple):
    """What a result was computed with, as far as its last digits may depend on it."""

    processor: str
    """Its maker's name for it, such as ``AMD EPYC 9R14``."""
    instructions: tuple[str, ...]
    """Which of ``INSTRUCTIONS`` it has; empty where the system does not tell (Linux does)."""
    arithmetic: str
    """"its own", "alike" (``CANONLIB_REPRODUCIBLE``), or what ``MKL_CBWR`` asks for."""
    threads: int = 1
    """Threads that shared a sum: one in everything that the book shows."""


@cache
def processor() -> tuple[str, tuple[str, ...]]:
    """The processor's name and its instruction sets, those of ``INSTRUCTIONS``; what the system does not tell is empty."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = (facts.get("flags") or facts.get("Features", "")).split()
    name = facts.get("model name") or platform.processor() or platform.machine()
    return " ".join(name.replace("(R)", "").replace("(TM)", "").split()), tuple(f for f in INSTRUCTIONS if f in flags)


def reproducible() -> bool:
    """Whether ``CANONLIB_REPRODUCIBLE`` asks for arithmetic that other processors share.

    Raises ``ConfigError`` for a value other than 0, 1 and nothing.
    """
    said = os.environ.get(REPRODUCIBLE, "")
    if said not in ("", "0", "1"):
        raise ConfigError(f"{REPRODUCIBLE} must be 1 (compute as other processors do) or 0, got {said!r}.")
    return said == "1"


def alike() -> dict[str, str]:
    """Environment variables under which x86 processors with AVX2 compute the same bits; read when libraries load.

    Tried on an Intel with AVX-512 and on an AMD EPYC in emulation, with ``benchmarks/same_bits.py``: nothing differs. (Under
    MKL's AVX2 path long sums do.) The price is MKL's slowest path: three times the time of all stages on that Intel.
    """
    return dict(_ALIKE)


def arithmetic(environment: Mapping[str, str] | None = None) -> str:
    """How a process with these environment variables (by default this one) computes: see ``Machine.arithmetic``."""
    given = os.environ if environment is None else environment
    if given.get(REPRODUCIBLE) == "1":
        return "alike"
    return f"MKL {given['MKL_CBWR']}" if given.get("MKL_CBWR") else "its own"


def this_machine(threads: int = 1) -> Machine:
    """The machine that runs this process, for something that ``threads`` threads compute."""
    name, instructions = processor()
    return Machine(name, instructions, arithmetic(), threads)


def settle() -> None:
    """Where ``CANONLIB_REPRODUCIBLE`` is 1, set what ``alike`` says for this process and those that it starts.

    Raises ``ConfigError`` when PyTorch or NumPy are loaded already without these settings: it would be too late.
    """
    if not reproducible():
        return
    late = [name for name in ("torch", "numpy") if name in sys.modules]
    if late and any(os.environ.get(name) != value for name, value in _ALIKE.items()):
        raise ConfigError(
            f"{REPRODUCIBLE}=1 must be known before {late[0]} is imported: set it in the shell, and use the command "
            "`canonlib`, or call canonlib.machine.settle() first."
        )
    os.environ.update(_ALIKE)


def in_words(machine: Machine) -> str:
    """One line for people.

    >>> in_words(Machine("AMD EPYC 9R14", ("avx2", "avx512f"), "its own"))
    'AMD EPYC 9R14 (avx2, avx512f; 1 thread, arithmetic its own)'
    """
    sets = ", ".join(machine.instructions) or "instruction sets not known"
    threads = f"{machine.threads} thread{'' if machine.threads == 1 else 's'}"
    return f"{machine.processor} ({sets}; {threads}, arithmetic {machine.arithmetic})"
