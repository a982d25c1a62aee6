"""Puts a new explorer where an older one stands, whole or not at all, and never where anything else would be lost.

The new one is made in a folder beside (``.NAME-xxxx.making``), whose lock says that its writer lives. What a writer
that was killed has left is cleared away by the next one, and an older explorer that lay in it is put back first.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from canonlib.errors import ConfigError

PARTS = (
    "index.html", "explorer.css", "store.js", "search.js", "text.js", "address.js", "labels.js", "help.js", "reading.js",
    "graph.js", "latent.js", "meta.js", "walk.js", "results.js", "list.js", "home.js", "keys.js", "main.js",
)  # fmt: skip
"""What the page is made of, beside Vue and the data."""
DATA = "data"
"""Folder of the data, beside the page."""
GENERATOR = '<meta name="generator" content="canonlib explore">'
"""Says in ``index.html`` who wrote the page."""
BEGINNING = 'canonData("manifest",'
"""How ``manifest.js`` begins."""
_PAGE = frozenset({*PARTS, "vue.js"})
_PIECE = re.compile(r"(?:(?:latents|metas)-\d+|manifest|index|metas|tokens|dead)\.js")
_ENDING = ".making"


def place_for(folder: Path, whole: bool = True) -> Path:
    """Where ``folder`` leads (links are followed), once it is sure that writing there loses nothing.

    whole: an explorer with its page, or (False) the data alone. Raises ``ConfigError``, one line, when something else
    stands there, when a file or a link that leads nowhere is in the way, and when there is no right to write.
    """
    place = Path(os.path.realpath(folder))
    if folder.is_symlink() and not place.exists():
        raise ConfigError(f"{folder} is a link to {place}, which is not there: make that folder, or give another.")
    here = Path.cwd()
    if place == here or place in here.parents:
        raise ConfigError(
            f"{folder} is the folder you are in, or above it: give a new one, such as {folder / 'explorer'}."
        )
    _require_room(folder, place)
    if place.is_dir() and any(place.iterdir()):
        (_require_explorer if whole else _require_data)(folder, place)
    return place


def replace(folder: Path, fill: Callable[[Path], None], whole: bool = True) -> Path:
    """Let ``fill`` write into a new folder, then put that where ``folder`` leads; returns the place.

    Raises ``ConfigError`` as ``place_for`` does, before and after ``fill``, and ``OSError`` when the disk refuses.
    """
    clear_leftovers(Path(os.path.realpath(folder)))
    place = place_for(folder, whole)
    place.parent.mkdir(parents=True, exist_ok=True)
    with _beside(place) as scratch:
        made = scratch / "made"
        made.mkdir()
        fill(made)
        place_for(folder, whole)  # a file may have come there meanwhile
        if place.exists():
            place.rename(scratch / "old")
        made.rename(place)
    return place


def clear_leftovers(place: Path) -> None:
    """Remove what killed writers of ``place`` have left beside it; an older explorer in there goes back to its place.

    Raises ``OSError`` when the disk refuses.
    """
    from filelock import FileLock, Timeout

    for scratch in sorted(place.parent.glob(f".{glob.escape(place.name)}-*{_ENDING}")):
        # What tempfile put between, and no more: a folder beside may have a name that begins as this one's.
        own = re.fullmatch(r"[a-z0-9_]+", scratch.name[len(place.name) + 2 : -len(_ENDING)])
        if not own or not (scratch / "lock").is_file():
            continue
        lock = FileLock(scratch / "lock")
        try:
            with lock.acquire(timeout=0):
                _put_back(scratch, place)
        except Timeout:
            continue  # its writer lives
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A folder beside ``place`` that is gone at the end; what stood at ``place`` is there again if nothing took it."""
    from filelock import FileLock

    scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}-", suffix=_ENDING))
    try:
        with FileLock(scratch / "lock"):
            try:
                yield scratch
            finally:
                _put_back(scratch, place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put_back(scratch: Path, place: Path) -> None:
    old = scratch / "old"
    if old.exists() and not place.exists():
        old.rename(place)


def _require_room(folder: Path, place: Path) -> None:
    if place.exists() and not place.is_dir():
        raise ConfigError(f"{folder} is a file: give the name of a folder.")
    there = next(p for p in place.parents if p.exists())
    if not there.is_dir():
        raise ConfigError(f"{folder} cannot be made, because {there} is a file: give another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder} cannot be written: no permission in {there}. Give another folder.")


def _require_explorer(folder: Path, place: Path) -> None:
    """``ConfigError`` unless ``place`` is an explorer and nothing else."""
    page, data = place / "index.html", place / DATA
    if not (page.is_file() and GENERATOR in _text(page)) and not _is_data(data):
        alone = _is_data(place)
        told = "holds an explorer's data alone" if alone else "is there and holds no explorer"
        fix = "add --data-only, or give another folder" if alone else "give another folder, or remove it first"
        raise ConfigError(f"{folder} {told}: {fix}.")
    strangers = [p.name for p in _sorted(place) if not _known(p, _PAGE) and not (p == data and _plain_folder(p))]
    if page.is_file() and GENERATOR not in _text(page):
        strangers.insert(0, page.name)
    if _plain_folder(data):
        strangers += [f"{DATA}/{p.name}" for p in _sorted(data) if not _is_piece(p)]
    _require_alone(folder, strangers)


def _require_data(folder: Path, place: Path) -> None:
    """``ConfigError`` unless ``place`` holds an explorer's data and nothing else."""
    if (place / "index.html").is_file() and _is_data(place / DATA):
        raise ConfigError(
            f"{folder} holds a whole explorer, and --data-only writes data alone: give {folder / DATA}, or leave "
            "--data-only out."
        )
    if not _is_data(place):
        raise ConfigError(f"{folder} is there and holds no explorer's data: give another folder, or remove it first.")
    _require_alone(folder, [p.name for p in _sorted(place) if not _is_piece(p)])


def _require_alone(folder: Path, strangers: list[str]) -> None:
    if strangers:
        more = f" (and {len(strangers) - 1} more)" if len(strangers) > 1 else ""
        raise ConfigError(
            f"{folder} holds an explorer and, beside it, {strangers[0]}{more}, which would be lost: move it away, or "
            "give another folder."
        )


def _is_data(folder: Path) -> bool:
    manifest = folder / "manifest.js"
    return manifest.is_file() and _text(manifest, len(BEGINNING)) == BEGINNING


def _is_piece(path: Path) -> bool:
    return bool(_PIECE.fullmatch(path.name)) and path.is_file() and not path.is_symlink()


def _known(path: Path, names: frozenset[str]) -> bool:
    return path.name in names and path.is_file() and not path.is_symlink()


def _plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _text(path: Path, most: int = 4096) -> str:
    """The beginning of a file; what is no text reads as such."""
    with path.open("rb") as file:
        return file.read(most).decode("utf-8", errors="replace")
