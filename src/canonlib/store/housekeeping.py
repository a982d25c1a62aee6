"""Keeping a store healthy: finding damage, and removing what nobody needs."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from canonlib.errors import StoreError
from canonlib.store.artefact import FIX, MANIFEST, REPAIR, open_artefact
from canonlib.store.files import explained, files_below, folder_bytes, remove_folder
from canonlib.store.locks import locked_if_free

if TYPE_CHECKING:
    from canonlib.store.store import Store

log = logging.getLogger("canonlib.store")

_HIDDEN = re.compile(r"\.(building|deleting|checkpoint)-([0-9a-f]{64})(-.*)?")


@dataclass(frozen=True)
class Problem:
    """One damaged file: where it is, what is wrong, what to do."""

    room: str
    key: str
    file: str
    reason: str
    fix: str = REPAIR


@dataclass(frozen=True)
class Removal:
    """Something ``gc`` removed (or would remove): where it was, its size in bytes, and why it went."""

    path: Path
    room: str
    key: str
    nbytes: int
    reason: str


@dataclass(frozen=True)
class Wanted:
    """What ``gc`` is to remove besides the folders of dead builds."""

    older_than: timedelta | None
    corrupt: bool
    everything: bool
    stale_checkpoints: timedelta


def verify(store: Store, rooms: Iterable[str] | None) -> list[Problem]:
    """Every damaged file of a store, all bytes read afresh. Raises ``StoreError`` when it cannot be read."""
    return [problem for folder in store.folders(rooms) for problem in _problems(folder)]


def _problems(folder: Path) -> Iterator[Problem]:
    try:
        artefact = open_artefact(folder)
    except StoreError as exc:
        yield Problem(folder.parent.name, folder.name, MANIFEST, _without_fix(exc))
        return
    for name, reason in artefact.problems():
        yield Problem(artefact.room, artefact.key, name, _without_fix(reason))


def _without_fix(message: object) -> str:
    return str(message).removesuffix(FIX).strip()


def gc(store: Store, wanted: Wanted, rooms: Iterable[str] | None, dry_run: bool) -> list[Removal]:
    """Remove what ``wanted`` says from a store; the list of what went.

    What cannot be removed is logged, and the rest goes all the same. Raises ``StoreError`` when the store cannot be read
    at all, and for a disk that refuses every removal.
    """
    removed: list[Removal] = []
    refused: StoreError | None = None
    for room_folder in store.room_folders(rooms):
        with explained(store.root, "read"):
            chosen = [*_hidden(room_folder, wanted), *_artefacts(store, room_folder, wanted)]
        for path, key, reason in chosen:
            try:
                with locked_if_free(room_folder, key) as free, explained(store.root, "remove from"):
                    if not free or not os.path.lexists(path):
                        continue  # being built, or another gc was faster
                    removal = Removal(path, room_folder.name, key, folder_bytes(path), reason)
                    if not dry_run:
                        remove_folder(path, key)
                    removed.append(removal)
            except StoreError as exc:
                refused = exc
                log.warning("%s", exc)
    if refused is not None and not removed:
        raise refused
    return removed


def _hidden(room_folder: Path, wanted: Wanted) -> Iterator[tuple[Path, str, str]]:
    for path in sorted(room_folder.iterdir()):
        match = _HIDDEN.fullmatch(path.name)
        if match is None:
            continue
        kind, key = match.group(1), match.group(2)
        if kind != "checkpoint":
            yield path, key, "left by a build that died" if kind == "building" else "half deleted"
        elif (room_folder / key).is_dir():
            yield path, key, "checkpoint of a finished build"
        elif wanted.everything or _idle_seconds(path) > wanted.stale_checkpoints.total_seconds():
            yield path, key, "checkpoint of a build nobody finished"


def _idle_seconds(folder: Path) -> float:
    newest = 0.0
    for path in [folder, *files_below(folder)]:
        with suppress(FileNotFoundError):  # a living build replaces its checkpoints
            newest = max(newest, path.lstat().st_mtime)
    return time.time() - newest


def _artefacts(store: Store, room_folder: Path, wanted: Wanted) -> Iterator[tuple[Path, str, str]]:
    for folder in store.folders([room_folder.name]):
        reason = _why_remove(folder, wanted)
        if reason:
            yield folder, folder.name, reason


def _why_remove(folder: Path, wanted: Wanted) -> str | None:
    if wanted.everything:
        return "all were asked for"
    if wanted.corrupt:
        problem = next(_problems(folder), None)
        if problem is not None:
            return f"damaged: {problem.file}"
    if wanted.older_than is not None:
        # A clock that went wrong may have dated it in the future: the further off, the older.
        age = datetime.now(timezone.utc) - _created(folder)
        if abs(age) > wanted.older_than:
            return f"{age.days} days old" if age > timedelta(0) else f"dated {-age.days} days ahead"
    return None


def _created(folder: Path) -> datetime:
    try:
        return open_artefact(folder).created
    except (StoreError, ValueError):  # without a manifest, the folder's own age; a link's, not of what it leads to
        return datetime.fromtimestamp(folder.lstat().st_mtime, timezone.utc)
