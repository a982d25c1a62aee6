"""Writes the explorer: the page, the library that draws it, and its data as scripts that work without a server.

A browser does not let a page read files beside it when it was opened from a folder, but it does run scripts: so every
piece of data is a script that hands its records over (``canonData(name, ...)``, see ``explore.data``).
"""

from __future__ import annotations

import importlib.metadata as metadata
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from canonlib.errors import ConfigError
from canonlib.explore.data import write_data
from canonlib.explore.folders import DATA, PARTS, replace
from canonlib.explore.subject import Subject
from canonlib.store.files import folder_bytes

BOOK = "../"
"""Where a book keeps its pages, seen from the explorer in it."""
VUE = "trame_client/module/vue3-www/vue.global.js"
"""Where the wheel of trame-client keeps Vue 3 (MIT), as one script."""


@dataclass(frozen=True)
class Site:
    """An explorer on disk."""

    folder: Path
    n_latents: int
    n_meta: int

    @property
    def page(self) -> Path:
        """The file to open."""
        return self.folder / "index.html"

    @property
    def n_bytes(self) -> int:
        """Size on disk."""
        return folder_bytes(self.folder)


def write_explorer(subject: Subject, folder: str | Path, progress: bool = True) -> Site:
    """Write the whole explorer of ``subject`` into ``folder``, whole or not at all; an older one there is replaced.

    Raises ``ConfigError`` when ``folder`` holds anything beside an explorer (see ``folders.place_for``), or when the
    front-end library is not installed, and ``OSError`` when the disk refuses.
    """

    def fill(made: Path) -> None:
        write_app(made)
        write_data(subject, made / DATA, progress)

    replace(Path(folder), fill)
    return Site(Path(folder), subject.n_latents, subject.meta.n_latents)


def write_book_data(subject: Subject, folder: str | Path, progress: bool = True) -> Path:
    """Write the data alone, for a book whose build adds the page, which then leads back to the book.

    Replaces, and raises ``ConfigError`` and ``OSError``, as ``write_explorer``.
    """
    replace(Path(folder), lambda made: write_data(subject, made, progress, book=BOOK), whole=False)
    return Path(folder)


def write_app(folder: Path) -> None:
    """Copy the page and the front-end library into ``folder``, made when missing. Raises as ``vue`` does."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        (folder / name).write_bytes(files("canonlib.explore").joinpath("static", name).read_bytes())
    shutil.copyfile(vue(), folder / "vue.js")


def vue() -> Path:
    """The installed Vue script; ``ConfigError`` says what to install."""
    fix = "run `pip install 'trame-client>=4,<5'`."
    try:
        distribution = metadata.distribution("trame-client")
    except metadata.PackageNotFoundError:
        raise ConfigError(f"the explorer's page is drawn by Vue, which comes with trame-client: {fix}") from None
    path = Path(str(distribution.locate_file(VUE)))
    if not path.is_file():
        raise ConfigError(f"trame-client {distribution.version} holds no {VUE}: {fix}")
    return path
