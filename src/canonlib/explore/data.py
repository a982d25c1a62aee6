"""The explorer's files: records in pieces, the index that a search goes through, and what they say of themselves.

Each is a script that hands its content over (``canonData(name, content)``), small, and read when it is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from canonlib.explore.about import examples, fingerprint, provenance
from canonlib.explore.records import Measured, Record, Vocabulary, latent_records, measure, meta_records
from canonlib.explore.subject import Subject
from canonlib.store.files import replace_atomically

FORMAT = 3
"""Version of the data's layout; the page refuses another."""
CHUNK = 64
"""Records in one file."""
N_USERS_LISTED = 3
"""Names of users that stand for the name of a meta-latent which has none."""
DETECTS = 0.5
"""F1 from which a latent is found by a fact that it detects."""


def write_data(subject: Subject, folder: Path, progress: bool = True, book: str = "") -> None:
    """Write the data alone into ``folder``: the same subject gives the same bytes.

    book: where the book's pages lie, seen from the page, "" for an explorer without a book.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, found = Vocabulary(), measure(subject, progress)
    index, start = Index(subject), dict.fromkeys(subject.start, Record())
    latents = latent_records(subject, found, vocabulary, progress)
    for number, chunk in enumerate(_chunks(_watched(latents, subject.n_latents, "latents", progress))):
        for record in chunk:
            if (latent := index.add(record)) in start:
                start[latent] = record
        _write(folder, f"latents-{number}", chunk)
    metas, listed = meta_records(subject, found, vocabulary, progress), []
    for number, chunk in enumerate(_chunks(_watched(metas, subject.meta.n_latents, "meta-latents", progress))):
        listed += [_listed(record, subject) for record in chunk]
        _write(folder, f"metas-{number}", chunk)
    _write(folder, "metas", listed)
    tokens = [subject.texts.words[t] for t in vocabulary.numbers] if subject.texts else []
    _write(folder, "tokens", tokens)
    _write(folder, "index", index.columns)
    if subject.alive is not None and not subject.alive.all():  # the page asks for it where the manifest counts any
        _write(folder, "dead", (~subject.alive).nonzero()[:, 0].tolist())
    shown = {"book": book, "examples": examples(list(start.values()), subject, tokens)}
    _write(folder, "manifest", _manifest(subject, found) | shown)


class Index:
    """What latents are found by, column by column; columns that nothing is known for stay away."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._words: dict[str, int] = {}
        names = ["names", "tokens", "raises", "parts"]
        names += ["facts", "detects", "scores"] if subject.truth else []
        self.columns: dict[str, list[Any]] = {name: [] for name in names} | {"words": []}

    def add(self, record: Record) -> int:
        """Take the next latent in; returns its number."""
        told = self.columns
        number = len(told["names"])
        told["names"].append(record["n"])
        peaks = [text[0][text[2]] for text in record.get("x", [])]
        told["tokens"].append(list(dict.fromkeys(peaks)))
        told["raises"].append([self._word(w) for w in record.get("w", [])])
        told["parts"].append([m for m, _ in record["p"]])
        if self._subject.truth is not None:
            told["facts"].append(record.get("t", []))
            told["detects"].append([f[0] for f in record["f"] if f[1] >= DETECTS])
            scores = self._subject.truth.name_f1
            told["scores"].append(round(score, 3) if scores and (score := scores[number]) is not None else None)
        return number

    def _word(self, text: str) -> int:
        if text not in self._words:
            self._words[text] = len(self._words)
            self.columns["words"].append(text)
        return self._words[text]


def _listed(record: Record, subject: Subject) -> Record:
    """What a list of meta-latents shows of one, and the tokens it is found by; by its users it is found in the index."""
    named = dict.fromkeys(subject.names[u[0]] for u in record["u"] if subject.names and subject.names[u[0]])
    kept = {"n": record["n"], "nu": len(record["u"])} | {key: record[key] for key in ("a", "d") if key in record}
    return kept | {"u": list(named)[:N_USERS_LISTED], "w": record.get("w", [])}


def _manifest(subject: Subject, found: Measured) -> dict[str, Any]:
    texts, silent = subject.texts, found.silent
    return {
        "format": FORMAT,
        "of": fingerprint(subject),
        "title": subject.title,
        "n_latents": subject.n_latents,
        "n_meta": subject.meta.n_latents,
        "n_alive": None if subject.alive is None else int(subject.alive.sum()),
        "n_silent": None if silent is None else int(silent.sum()),
        "d_model": int(subject.sae.cfg.d_in),
        "chunk": CHUNK,
        "sizes": [{"label": s.label, "n": int(s.sae.cfg.d_sae)} for s in subject.smaller],
        "unclassed": found.unclassed,
        "facts": list(subject.truth.facts) if subject.truth else [],
        "truth": subject.truth is not None,
        "score": subject.meta_score if any(s is not None for s in subject.meta_scores) else "",
        "n_tokens": len(texts.split) if texts else 0,
        "unit": texts.unit if texts else "",
        "spaced": bool(texts and texts.spaced),
        "start": [[j, subject.names[j] if subject.names else ""] for j in subject.start],
        "about": provenance(subject, found),
    }


def _watched(records: Iterable[Record], n: int, what: str, progress: bool) -> Iterator[Record]:
    from tqdm.auto import tqdm

    # What is measured before the first record has bars of its own: this one begins when there is something to count.
    bar = None
    for record in records:
        bar = bar or tqdm(total=n, desc=what, disable=not progress)
        bar.update()
        yield record
    if bar is not None:
        bar.close()


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
