"""What the chapters ran with: one record per executed notebook, in ``book/execution.json``.

A record follows its notebook. It is written anew only when the notebook's bytes are no longer those that it names, so
a run that changes no result changes no record either, and a fresh clone stays clean.
"""

from __future__ import annotations

import hashlib
import importlib.metadata as metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from canonlib.errors import ConfigError
from canonlib.machine import Machine, this_machine

RECORDS = "execution.json"
LIBRARIES = ("torch", "transformer-lens", "sae-lens", "transformers", "numpy", "scipy", "scikit-learn", "plotly")
"""The libraries whose versions a chapter's results could depend on."""
FIELDS: dict[str, Any] = {"sha256": str, "seconds": (int, float), "memory_mib": (int, type(None)), "cores": int, "python": str,
                          "versions": dict, "machine": dict}  # fmt: skip


def digest(notebook: Path) -> str:
    """SHA-256 of the notebook's bytes with Unix line ends (a clone on Windows may have others)."""
    return hashlib.sha256(notebook.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def read_records(book: Path) -> dict[str, dict[str, Any]]:
    """The records of the folder ``book`` by chapter; empty without a file, ``ConfigError`` when it is not readable."""
    path = book / RECORDS
    if not path.is_file():
        return {}
    again = "delete it and run `canonlib notebooks`, which writes it anew"
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path.name} is no JSON ({error}); {again}.") from error
    if not isinstance(records, dict):
        raise ConfigError(f"{path.name} must hold one record per chapter, got {records!r:.60}; {again}.")
    for chapter, record in records.items():
        for name, kind in FIELDS.items():
            value = record.get(name) if isinstance(record, dict) else None
            if not isinstance(value, kind) or name not in record:
                raise ConfigError(f"{path.name}: {name} of {chapter} is {value!r}; {again}.")
        if set(record["machine"]) != set(Machine._fields):
            raise ConfigError(f"{path.name}: machine of {chapter} has {sorted(record['machine'])}; {again}.")
    return records


def library_versions() -> dict[str, str]:
    """Installed versions of ``LIBRARIES`` without local parts such as ``+cpu``; those not installed are left out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue
    return found


def record_execution(notebook: Path, seconds: float, memory_mib: int | None = None, threads: int = 1) -> bool:
    """Record that the executed ``notebook`` took ``seconds``, with that many threads, and at most that much memory (None:
    not known).

    Says whether the file beside it was written.

    Chapters may end at the same time, in processes of their own: the file is changed under a lock, in one step.
    Records of chapters that are no longer there go.
    """
    from filelock import FileLock

    book = notebook.parent
    (book / "_build").mkdir(exist_ok=True)
    with FileLock(book / "_build" / f"{RECORDS}.lock"):
        records = read_records(book)
        if records.get(notebook.stem, {}).get("sha256") == digest(notebook):
            return False
        records[notebook.stem] = {
            "sha256": digest(notebook), "seconds": round(seconds, 1), "memory_mib": memory_mib, "cores": os.cpu_count() or 1,
            "python": platform.python_version(), "versions": library_versions(),
            "machine": this_machine(threads)._asdict(),
        }  # fmt: skip
        _write(book, {name: records[name] for name in sorted(records) if (book / f"{name}.ipynb").is_file()})
    return True


def follow(notebook: Path, before: str) -> bool:
    """Let the record of ``notebook`` name its bytes as they are now, when it named those of digest ``before``.

    For changes that are no run, such as the tag that the install cell names. Says whether the file was written.
    """
    book = notebook.parent
    records = read_records(book)
    if records.get(notebook.stem, {}).get("sha256") != before:
        return False
    records[notebook.stem]["sha256"] = digest(notebook)
    _write(book, records)
    return True


def _write(book: Path, records: dict[str, dict[str, Any]]) -> None:
    partial = book / f".{RECORDS}.partial"
    partial.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    partial.replace(book / RECORDS)


def problems(book: Path) -> list[str]:
    """One line for each notebook of ``book`` without a record, or whose record is of other bytes."""
    records, found = read_records(book), []
    for notebook in sorted(book.glob("*.ipynb")):
        record = records.get(notebook.stem)
        if record is None:
            found.append(f"{notebook.name}: no record in {RECORDS}; run `canonlib notebooks {notebook.stem}`")
        elif record["sha256"] != digest(notebook):
            found.append(f"{notebook.name}: {RECORDS} is of another run; run `canonlib notebooks {notebook.stem}`")
    return found


def status_table(book: Path) -> list[str]:
    """The records of ``book`` as lines of MyST: a row per chapter, the machines, then versions, with chapters that differ."""
    records, outdated = read_records(book), {line.split(".ipynb")[0] for line in problems(book)}
    lines = ["| page | seconds | memory, MiB | cores | Python | record |", "|---|---:|---:|---:|---|---|"]
    for notebook in sorted(book.glob("*.ipynb"), key=lambda path: (not path.stem[0].isdigit(), path.stem)):
        row = records.get(notebook.stem, {})
        cells = [row.get(name) or "–" for name in ("seconds", "memory_mib", "cores", "python")]
        state = "of another run" if notebook.stem in outdated else "of this notebook"
        state = state if notebook.stem in records else "none"
        lines.append(f"| [](/{notebook.name}) | {' | '.join(map(str, cells))} | {state} |")
    return [*lines, "", *_machine_table(records), *_version_table(records)]


def machine_of(record: dict[str, Any]) -> Machine:
    """The machine that a record names."""
    said = record["machine"]
    return Machine(**{**said, "instructions": tuple(said["instructions"])})


def _machine_table(records: dict[str, dict[str, Any]]) -> list[str]:
    """What computed: a row for each kind of machine, with the pages that it ran."""
    by_machine: dict[Machine, list[str]] = {}
    for page, record in sorted(records.items()):
        by_machine.setdefault(machine_of(record), []).append(page)
    lines = ["| processor | instruction sets | threads | arithmetic | pages |", "|---|---|---:|---|---|"]
    for machine, pages in by_machine.items():
        shown = "all" if len(by_machine) == 1 else ", ".join(pages)
        sets = ", ".join(machine.instructions) or "–"
        lines.append(f"| {machine.processor} | {sets} | {machine.threads} | {machine.arithmetic} | {shown} |")
    return [*lines, ""] if by_machine else []


def _version_table(records: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| library | version |", "|---|---|"]
    for name in sorted({name for record in records.values() for name in record["versions"]}):
        by_version: dict[str, list[str]] = {}
        for chapter, record in sorted(records.items()):
            by_version.setdefault(record["versions"].get(name, "not installed"), []).append(chapter)
        shown = "; ".join(f"{v} ({', '.join(c)})" for v, c in sorted(by_version.items()))
        lines.append(f"| {name} | {next(iter(by_version)) if len(by_version) == 1 else shown} |")
    return lines if len(lines) > 2 else []
