"""Summaries, the table and the facts about the machine for train_step.py."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).resolve().parents[1] / "src" / "canonlib" / "book" / "results"  # a page of the book draws them
PACKAGES = (
    "torch", "numpy", "scipy", "scikit-learn", "canonlib", "sae-lens", "sae-bench", "dictionary-learning", "overcomplete",
)  # fmt: skip
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")


def machine(threads: int) -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = [line.partition(":") for line in info.read_text().splitlines()] if info.exists() else []
    facts = {key.strip(): value.strip() for key, _, value in lines}
    flags = facts.get("flags", "").split()
    return {
        "cpu": facts.get("model name", platform.processor() or platform.machine()),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "threads": threads,
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
    }


def versions() -> dict[str, str | None]:
    installed = {d.name.lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}
    return {name: installed.get(name) for name in PACKAGES}


def write_result(
    benchmark: str, name: str, threads: int, measured: dict[str, Any], unsaid: tuple[str, ...] = ()
) -> None:
    """One JSON file in src/canonlib/book/results/ with machine and versions, and the figures but ``unsaid`` on the terminal."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    result = {"benchmark": benchmark, "machine": machine(threads), "versions": versions(), **measured}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in measured.items() if key not in unsaid}, indent=2))


def summarise_rounds(found: dict[str, Any], batch: int) -> None:
    """Add medians, least values, tokens per second and ratios to ``found``."""
    ours = found.get("canonlib")
    for values in found.values():
        for clock in ("wall", "cpu"):
            ms = values[f"{clock}_ms"]
            values[f"{clock}_ms_median"], values[f"{clock}_ms_min"] = statistics.median(ms), min(ms)
            ratios = [a / b for a, b in zip(ms, ours[f"{clock}_ms"])] if ours else []
            values[f"{clock}_ratio_to_canonlib"] = statistics.median(ratios) if ratios else None
        values["tokens_per_second"] = round(batch / values["wall_ms_median"] * 1e3)


def seconds_to(curve: dict[str, list[float]], fvu: float, clock: str) -> float | None:
    """Seconds until the held-out FVU first fell to ``fvu``, between two points by the straight line."""
    points = list(zip(curve["fvu"], curve[clock]))
    for (before, started), (after, ended) in pairwise(points):
        if after <= fvu:
            return started + (ended - started) * (before - fvu) / max(before - after, 1e-12)
    return None


def summarise_curves(found: dict[str, Any]) -> None:
    """Add the seconds at which each reached the FVU at which the last of them ended."""
    reached = max(curve["fvu"][-1] for curve in found.values())
    for curve in found.values():
        curve |= {"fvu_final": curve["fvu"][-1], "fvu_common": reached}
        curve |= {f"{clock}_to_common_fvu": seconds_to(curve, reached, clock) for clock in ("wall_s", "cpu_s")}


ROUND_COLUMNS = {
    "wall ms": "wall_ms_median", "least": "wall_ms_min", "cpu ms": "cpu_ms_median", "least ": "cpu_ms_min",
    "tokens/s": "tokens_per_second", "wall ×ours": "wall_ratio_to_canonlib", "cpu ×ours": "cpu_ratio_to_canonlib",
    "peak MiB": "peak_mib", "FVU": "held_out_fvu",
}  # fmt: skip
CURVE_COLUMNS = {
    "FVU": "fvu_final", "wall s": "wall_s", "cpu s": "cpu_s",
    "wall s to common FVU": "wall_s_to_common_fvu", "cpu s to common FVU": "cpu_s_to_common_fvu",
}  # fmt: skip


def cell(value: Any) -> str:
    value = value[-1] if isinstance(value, list) else value
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
    return str(value)


def table(found: dict[str, Any], columns: dict[str, str]) -> str:
    rows = [["", *columns]] + [[n, *(cell(v.get(key)) for key in columns.values())] for n, v in found.items()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
