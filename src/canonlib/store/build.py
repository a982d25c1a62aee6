"""An artefact in the making: a temporary folder, a checkpoint folder, and the step that makes it final."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from canonlib.errors import StoreError
from canonlib.machine import this_machine
from canonlib.store.artefact import MANIFEST, Artefact, manifest_checksum, open_artefact
from canonlib.store.files import DISK_ERRORS, errno_of, explained, files_below, fsync_path, store_error, write_json
from canonlib.store.hashing import FORMAT, sha256_file, to_jsonable
from canonlib.store.numbers import require_numbers

ALLOWED = (".safetensors", ".json", ".jsonl", ".txt")
"""Kinds of files an artefact may hold: nothing that runs code when read."""

PACKAGES = ("canonlib", "torch", "numpy", "sae-lens", "transformer-lens", "transformers", "safetensors")


@dataclass
class Build:
    """What a builder gets: ``folder`` to write its files into and ``checkpoint``, which outlives a killed build.

    ``config`` is the configuration as the caller gave it.
    """

    folder: Path
    checkpoint: Path
    config: Any
    room: str
    key: str
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def resuming(self) -> bool:
        """Whether an earlier, unfinished build has left something in ``checkpoint``."""
        return any(self.checkpoint.iterdir())

    def note(self, **facts: Any) -> None:
        """Add facts (losses, counts, a ``description``) to the manifest. Raises ``ConfigError`` if not JSON-able."""
        self.notes.update(to_jsonable(facts, "notes", class_names=False))


def run_build(room_folder: Path, key: str, config: Any, code_version: str, build: Callable[[Build], None]) -> Artefact:
    """Build the artefact ``key`` in ``room_folder`` and move it into place; the caller holds the key's lock.

    Raises ``StoreError`` when the disk refuses or the builder wrote files of a forbidden kind; whatever else the
    builder raises passes through. In every case the temporary folder goes and the checkpoint stays.
    """
    root, target = room_folder.parent, room_folder / key
    with explained(root, "write to"):
        _remove_leftovers(room_folder, key)
        checkpoint = room_folder / f".checkpoint-{key}"
        checkpoint.mkdir(exist_ok=True)
        folder = room_folder / f".building-{key}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
    b = Build(folder, checkpoint, config, room_folder.name, key)
    start = time.monotonic()
    try:
        with _disk_errors_explained(root):
            build(b)
        with explained(root, "write to"):
            _seal(b, code_version, time.monotonic() - start)
            os.rename(folder, target)
            fsync_path(room_folder)
    except BaseException:  # also Ctrl-C: half an artefact must not stay
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            checkpoint.rmdir()  # succeeds only when empty
        raise
    shutil.rmtree(checkpoint, ignore_errors=True)
    artefact = open_artefact(target, reused=False)
    artefact.trust()
    return artefact


def _remove_leftovers(room_folder: Path, key: str) -> None:
    # Whoever made these held the lock that is ours now, so they are dead, on whichever machine they ran.
    for kind in ("building", "deleting"):
        for leftover in room_folder.glob(f".{kind}-{key}-*"):
            shutil.rmtree(leftover)


@contextmanager
def _disk_errors_explained(root: Path) -> Iterator[None]:
    # The builder's own errors are its own; only what the store's disk says becomes a StoreError.
    try:
        yield
    except Exception as exc:
        name = getattr(exc, "filename", None)  # absent when the error came from writing to an open file
        ours = name is None or Path(os.fsdecode(name)).is_relative_to(root)
        if ours and errno_of(exc) in DISK_ERRORS:
            raise store_error(root, exc, "write to") from exc
        if name is not None and ours and isinstance(exc, FileNotFoundError) and not root.exists():
            raise StoreError(
                f"the store {root} was removed while it was being written: run again to start it anew."
            ) from exc
        raise


def _seal(b: Build, code_version: str, seconds: float) -> None:
    """Check what the builder wrote, make it durable, and write the manifest. Raises ``StoreError``, ``OSError``."""
    where = f"the builder of {b.room}/{b.key[:12]}"
    files: dict[str, dict[str, Any]] = {}
    for path in files_below(b.folder):
        name = path.relative_to(b.folder).as_posix()
        if path.is_symlink() or not path.is_file():
            raise StoreError(f"{where} left {name!r}, which is no regular file: write the content itself.")
        if name == MANIFEST:
            raise StoreError(f"{where} wrote {MANIFEST}, the store's own file: choose another name.")
        if path.suffix not in ALLOWED:
            raise StoreError(f"{where} wrote {name!r}: an artefact may hold only {', '.join(ALLOWED)} files.")
        if path.suffix == ".safetensors":
            require_numbers(path, f"{where} wrote {name!r}")
        fsync_path(path)
        files[name] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    if not files:
        raise StoreError(f"{where} wrote no files: write at least one into Build.folder.")
    for folder in (b.folder, *(p for p in b.folder.rglob("*") if p.is_dir())):
        fsync_path(folder)
    manifest = _manifest(b, code_version, seconds, files)
    manifest["checksum"] = manifest_checksum(manifest)
    write_json(b.folder / MANIFEST, manifest)


def _manifest(b: Build, code_version: str, seconds: float, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "room": b.room,
        "key": b.key,
        "code": code_version,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "platform": platform.platform(),
        "machine": this_machine()._asdict(),
        "versions": _versions(),
        "config": to_jsonable(b.config),
        "notes": b.notes,
        "files": files,
    }


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return versions
