"""One builder per artefact: a lock file per key, and a note of who holds it."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from canonlib.store.files import explained, write_json

log = logging.getLogger("canonlib.store")

PATIENCE = 5.0
"""Seconds of waiting for another process before saying so."""


def lock_path(room_folder: Path, key: str) -> Path:
    """The lock file of a key; it stays after use, because removing it would let two processes hold two of them."""
    return room_folder / ".locks" / f"{key}.lock"


@contextmanager
def locked(room_folder: Path, key: str) -> Iterator[None]:
    """Hold the lock of ``key``, waiting as long as it takes; who holds it is logged after five seconds.

    Raises ``StoreError`` when the store cannot be written to. The system frees the lock of a process that dies.
    """
    from filelock import FileLock, Timeout

    path = lock_path(room_folder, key)
    owner = path.with_suffix(".json")
    with explained(room_folder.parent, "write to"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            log.warning("waiting for %s/%s, which %s is building", room_folder.name, key[:12], _owner(owner))
            lock.acquire()
    try:
        with explained(room_folder.parent, "write to"):
            since = datetime.now(timezone.utc).isoformat(timespec="seconds")
            write_json(owner, {"pid": os.getpid(), "host": platform.node(), "since": since})
        yield
    finally:
        with suppress(OSError):
            owner.unlink(missing_ok=True)
        lock.release()


@contextmanager
def locked_if_free(room_folder: Path, key: str) -> Iterator[bool]:
    """Hold the lock of ``key`` if nobody else does; yields whether it is held. Raises ``StoreError``."""
    from filelock import FileLock, Timeout

    path = lock_path(room_folder, key)
    with explained(room_folder.parent, "write to"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            held = False
        else:
            held = True
    try:
        yield held
    finally:
        if held:
            lock.release()


def _owner(path: Path) -> str:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return f"process {facts['pid']} on {facts['host']} (since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
