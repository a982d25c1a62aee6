"""The claims table as Markdown, for the terminal, and inside marked blocks of files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from canonlib.claims.model import Claim
from canonlib.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"
HEADERS = ("Claim", "Paper", "Ours", "Verdict")
MARKS = {
    "agrees": "✓ agrees",
    "holds": "✓ holds",
    "differs": "≠ differs",
    "fails": "✗ fails",
    "not tested here": "– not tested here",
}


_CODE = re.compile(r"(?<![\\`])(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_TAG = re.compile(r"<(?=[A-Za-z/!?])(?!/?b>)|(?<=!)\[")


def harmless(text: str) -> str:
    """Markdown in which no HTML tag but ``<b>`` and no picture is left: what comes from data may hold anything.

    What stands in backticks is shown as it is, and stays.

    >>> harmless("<b>a</b> <img src=x onerror=y> `<i>`")
    '<b>a</b> &lt;img src=x onerror=y> `<i>`'
    """
    done, end = [], 0
    for code in _CODE.finditer(text):
        done += [_plain(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*done, _plain(text[end:])])


def _plain(text: str) -> str:
    return _TAG.sub(lambda found: "&lt;" if found[0] == "<" else "\\[", text)


def in_a_cell(text: str) -> str:
    """``harmless`` text for one cell of a Markdown table: one line, its bars no borders."""
    return harmless(" ".join(text.split())).replace("|", "\\|")


def cells(claim: Claim) -> tuple[str, str, str, str]:
    """What stands in a claim's row, in the order of ``HEADERS``."""
    paper = f"{claim.paper} ({claim.source})" if claim.paper else "—"
    ours = claim.ours + (f" ({claim.reason})" if claim.reason and claim.ours else claim.reason)
    return claim.sentence, paper, ours, MARKS[claim.verdict]


def markdown(claims: Iterable[Claim]) -> str:
    """A Markdown table, one row for each claim."""
    rows = [HEADERS, ("---",) * len(HEADERS), *(cells(c) for c in claims)]
    return "\n".join("| " + " | ".join(map(in_a_cell, row)) + " |" for row in rows) + "\n"


def rich_table(claims: Iterable[Claim]) -> Table:
    """A table for the terminal."""
    from rich.table import Table

    out = Table(*HEADERS, title="Claims", show_lines=True)
    for claim in claims:
        out.add_row(*cells(claim))
    return out


def write_block(path: Path, text: str) -> None:
    """Replace what stands between the claims markers of a file; ConfigError when the markers are missing."""
    old = path.read_text(encoding="utf8")
    if BEGIN not in old or END not in old:
        raise ConfigError(f"{path} has no {BEGIN} ... {END} block to write the claims table into.")
    head, rest = old.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    new = f"{head}{BEGIN}\n{text}{END}{tail}"
    if new != old:
        path.write_text(new, encoding="utf8")


def dumps(claims: Sequence[Claim]) -> str:
    """The claims as JSON text, stable from run to run."""
    return json.dumps([c.to_json() for c in claims], indent=1, ensure_ascii=False) + "\n"


def loads(text: str) -> list[Claim]:
    """Claims from ``dumps``'s text."""
    return [Claim(**row) for row in json.loads(text)]
