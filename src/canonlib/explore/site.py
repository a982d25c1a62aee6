"""Writes the explorer: the page, the library that draws it, and its data as scripts that work without a server.

A browser does not let a page read files beside it when it was opened from a folder, but it does run scripts: so every
piece of data is a script that hands its records over (``canonData(name, ...)``). Pieces are small and read when they
are needed.
"""

from __future__ import annotations

import importlib.metadata as metadata
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from canonlib.errors import ConfigError
from canonlib.explore.folders import DATA, PARTS, replace
from canonlib.explore.records import Record, Vocabulary, latent_records, measure, meta_records
from canonlib.explore.subject import Subject
from canonlib.store.files import folder_bytes, replace_atomically

FORMAT = 1
"""Version of the data's layout; the page refuses another."""
CHUNK = 64
"""Records in one file."""
N_TOKENS_INDEXED = 6
"""Tokens for which a latent is found."""
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
        write_data(subject, made / DATA, progress)
        write_app(made)

    replace(Path(folder), fill)
    return Site(Path(folder), subject.n_latents, subject.meta.n_latents)


def write_book_data(subject: Subject, folder: str | Path, progress: bool = True) -> Path:
    """Write the data alone, for a book whose build adds the page; replaces, and raises ``ConfigError``, as ``write_explorer``."""
    replace(Path(folder), lambda made: write_data(subject, made, progress), whole=False)
    return Path(folder)


def write_app(folder: Path) -> None:
    """Copy the page and the front-end library into ``folder``, made when missing."""
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


def write_data(subject: Subject, folder: Path, progress: bool = True) -> None:
    """Write the data alone into ``folder``: the same subject gives the same bytes."""
    from tqdm.auto import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, found = Vocabulary(), measure(subject, progress)
    index: dict[str, list[Any]] = {"names": [], "tokens": [], "facts": []}
    bar = tqdm(total=subject.n_latents, desc="explorer", unit="latent", disable=not progress)
    for number, chunk in enumerate(_chunks(latent_records(subject, found, vocabulary))):
        for record in chunk:
            _index(index, record, subject)
        _write(folder, f"latents-{number}", chunk)
        bar.update(len(chunk))
    bar.close()
    metas = list(meta_records(subject, found, vocabulary))
    for number, chunk in enumerate(_chunks(metas)):
        _write(folder, f"metas-{number}", chunk)
    _write(folder, "metas", [[m["n"], m["nu"]] for m in metas])
    _write(folder, "tokens", _token_texts(subject, vocabulary))
    _write(folder, "index", index)
    _write(folder, "manifest", _manifest(subject))


def _manifest(subject: Subject) -> dict[str, Any]:
    texts = subject.texts
    return {
        "format": FORMAT,
        "title": subject.title,
        "n_latents": subject.n_latents,
        "n_meta": subject.meta.n_latents,
        "d_model": int(subject.sae.cfg.d_in),
        "chunk": CHUNK,
        "sizes": [{"label": s.label, "n": int(s.sae.cfg.d_sae)} for s in subject.smaller],
        "facts": list(subject.truth.facts) if subject.truth else [],
        "truth": subject.truth is not None,
        "n_tokens": len(texts.split) if texts else 0,
        "spaced": bool(texts and texts.spaced),
        "start": [[j, subject.names[j] if subject.names else ""] for j in subject.start],
    }


def _index(index: dict[str, list[Any]], record: Record, subject: Subject) -> None:
    """What a latent is found by: its name, the tokens it fires on or raises, and its facts."""
    index["names"].append(record["n"])
    index["facts"].append([f[0] for f in record.get("f", []) if f[1] >= 0.5])
    peaks = [text[0][text[2]] for text in record.get("x", [])]
    index["tokens"].append([list(dict.fromkeys(peaks))[:N_TOKENS_INDEXED], record.get("w", [])[:N_TOKENS_INDEXED]])


def _token_texts(subject: Subject, vocabulary: Vocabulary) -> list[str]:
    return [] if subject.texts is None else [subject.texts.words[t] for t in vocabulary.numbers]


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    rest = iter(records)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _write(folder: Path, name: str, content: Any) -> None:
    """A script that hands ``content`` over. ASCII only, and no ``<``: no text in it can end or begin a tag."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    script = f'canonData("{name}",{text});\n'.encode("ascii")
    replace_atomically(folder / f"{name}.js", lambda path: _bytes(path, script))


def _bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def seeded_start(n_latents: int, n: int = 8, seed: int = 0) -> list[int]:
    """Latents to begin with where none is better known than another, ascending."""
    drawn = torch.randperm(n_latents, generator=torch.Generator().manual_seed(seed))[:n]
    return sorted(drawn.tolist())
