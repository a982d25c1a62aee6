"""What differs between two executions of the same chapters: words, or numbers alone.

A training on another processor ends at another SAE, so numbers move. What must not move is what is said: the outputs
that the notebook tests compare, sentences, titles of figures, verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

COMPARED = "nbval-check-output"
"""Tag of the cells whose outputs the notebook tests compare."""
PLOTLY = "application/vnd.plotly.v1+json"
NUMBER = re.compile(r"(?<![A-Za-z_])[+−-]?\d[\d,]*(?:\.\d+)?")
_NAMED = re.compile(r"`[^`]+`|(?<!\*)\*[^*\n]+\*(?!\*)|\b\w+=\w+")
"""Names that data chose, as prose writes them: in italics or as code, and facts such as ``currency=Yen``."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Change:
    """One thing that is said otherwise."""

    place: str
    """Such as ``03-stitching, cell 12``."""
    kind: str
    """"compared output", "sentence", "title" or "verdict"."""
    before: str
    after: str


@dataclass
class Comparison:
    """What differs between two executions of one chapter."""

    chapter: str
    said: list[Change] = field(default_factory=list)
    """What is said otherwise."""
    moved: list[tuple[str, str]] = field(default_factory=list)
    """Place, and the numbers that moved there."""
    sources: int = 0
    """Cells of which the source differs: these chapters are not two executions of one text."""

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return bool(self.said or self.moved or self.sources)


def masked(text: str) -> str:
    """``text`` with its numbers and the names that data chose taken out, so that only what is said is left.

    >>> masked("At 1,024 latents *Germany* has 0.71, currency=Yen -3%.")
    'At # latents # has #, # #%.'
    """
    return " ".join(NUMBER.sub("#", _NAMED.sub("#", text)).split())


def prose(text: str) -> list[str]:
    """The sentences of a Markdown text, without its tables.

    >>> prose("One is 1. Two is 2.\\n\\n| a | b |\\n|---|---|\\n| x | 1 |")
    ['One is 1.', 'Two is 2.']
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("|")]
    return [part.strip() for part in _SENTENCE.split("\n".join(lines)) if part.strip()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "".join(value or ())


def _words(output: Mapping[str, Any]) -> str:
    """An output's text: Markdown before plain text, and what was printed; empty for figures and HTML."""
    data = output.get("data", {})
    if PLOTLY in data or "text/html" in data:
        return ""
    return _text(data.get("text/markdown") or data.get("text/plain") or output.get("text"))


def _titles(outputs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Titles of the figures, in order. (Alternative texts describe what is drawn: they are data, as that is.)"""
    titles = (output.get("data", {}).get(PLOTLY, {}).get("layout", {}).get("title") or {} for output in outputs)
    return [text for title in titles if (text := title if isinstance(title, str) else title.get("text"))]


def _pairs(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Runs of texts that differ when masked, as (before, after); one side may be empty."""
    matcher = SequenceMatcher(None, [masked(t) for t in before], [masked(t) for t in after], autojunk=False)
    for what, i, j, k, m in matcher.get_opcodes():
        if what != "equal":
            yield " ".join(before[i:j]), " ".join(after[k:m])


def compare_chapter(chapter: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare two executed notebooks of one chapter, given as JSON; cells are counted as a reader counts them, from 1."""
    found = Comparison(chapter)
    old, new = ([c for c in book["cells"] if c["cell_type"] == "code"] for book in (before, after))
    if len(old) != len(new):
        found.sources = abs(len(old) - len(new))
    for number, (one, other) in enumerate(zip(old, new, strict=False), 1):
        place = f"{chapter}, cell {number}"
        if _text(one["source"]) != _text(other["source"]):
            found.sources += 1
        elif one["outputs"] != other["outputs"]:
            _compare_cell(found, place, one, other)
    return found


def _compare_cell(found: Comparison, place: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    old, new = one["outputs"], other["outputs"]
    if COMPARED in one.get("metadata", {}).get("tags", ()):
        found.said.append(Change(place, "compared output", _shown(old), _shown(new)))
        return
    for kind, read in (("sentence", _said), ("title", _titles)):
        found.said += [Change(place, kind, *pair) for pair in _pairs(read(old), read(new))]
    moved = _moved(" ".join(map(_words, old)), " ".join(map(_words, new)))
    drawn = sum("data" in o and not _words(o) for o in old)
    found.moved.append((place, moved or (f"in {drawn} figures or views" if drawn else "in its layout")))


def _said(outputs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Sentences of all Markdown outputs; what a cell prints is data, and is not among them."""
    return [sentence for o in outputs if "text/markdown" in o.get("data", {}) for sentence in prose(_words(o))]


def _shown(outputs: Iterable[Mapping[str, Any]]) -> str:
    return " ".join(" ".join([*map(_words, outputs), *_titles(outputs)]).split()) or "(a figure)"


def _moved(before: str, after: str, most: int = 6) -> str:
    """ "0.48 → 0.56, 14 → 15", the first ``most`` that moved, and how many there are; empty for none."""
    old, new = NUMBER.findall(before), NUMBER.findall(after)
    if len(old) != len(new):
        return f"{len(old)} numbers, {len(new)} here" if old or new else ""
    moved = [f"{a} → {b}" for a, b in zip(old, new, strict=True) if a != b]
    rest = f" and {len(moved) - most} more" if len(moved) > most else ""
    return (
        ", ".join(moved[:most]) + rest if moved else "words of a table or of what is printed" if before != after else ""
    )


def compare_claims(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Verdicts that differ, and wordings that do (numbers apart), of two lists of claims as JSON."""
    old, new = ({claim["id"]: claim for claim in claims} for claims in (before, after))
    found = []
    for name in [*old, *(name for name in new if name not in old)]:
        one, other = old.get(name, {}), new.get(name, {})
        verdicts = one.get("verdict", "no such claim"), other.get("verdict", "no such claim")
        if verdicts[0] != verdicts[1]:
            found.append(Change(f"claim {name}", "verdict", *verdicts))
            continue
        for key in ("sentence", "reason"):
            found += [Change(f"claim {name}", "sentence", *pair) for pair in
                      _pairs(prose(one.get(key, "")), prose(other.get(key, "")))]  # fmt: skip
    return found
