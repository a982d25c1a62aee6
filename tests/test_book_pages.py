"""The pages that are written from files: how to cite, troubleshooting, the changelog."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the book's tools are not installed (pip install -e .[book])")
pytest.importorskip("yaml")

from canonlib.book import pages
from canonlib.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_of_the_docstring_runs():
    assert doctest.testmod(pages).failed == 0


def test_bibtex_of_this_work_follows_the_citation_file():
    citation = pages.read_citation(ROOT / "CITATION.cff")
    entry = pages.software_bibtex(citation)
    assert citation["title"] in entry
    assert f"version = {{{citation['version']}}}" in entry
    assert entry.count("{") == entry.count("}")
    people = {**citation, "authors": [{"family-names": "Leask", "given-names": "P."}, {"name": "A team"}]}
    assert "author  = {Leask, P. and {A team}}" in pages.software_bibtex({**people, "date-released": "2026-01-02"})
    assert "year    = {2026}" in pages.software_bibtex({**people, "date-released": "2026-01-02"})


def test_a_citation_without_a_title_is_refused(tmp_path):
    (tmp_path / "CITATION.cff").write_text("version: 1\n")
    with pytest.raises(ConfigError, match="CITATION.cff: title is missing"):
        pages.read_citation(tmp_path / "CITATION.cff")


def test_every_bibliography_entry_is_found_whole():
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    entries = pages.bib_entries(text)
    assert len(entries) == len(re.findall(r"^@", text, re.M))
    assert all(e.count("{") == e.count("}") for e in entries.values())
    asked = re.search(r"canon-citing\}\n((?:\w+\n)+)```", (ROOT / "book" / "citing.md").read_text(), re.S)[1].split()
    assert asked
    assert set(asked) <= set(entries)


def messages() -> list[str]:
    """Texts in the library's source (and in the reader of the contents file), placeholders as ``...``."""
    others = importlib.util.find_spec("sphinx_external_toc")
    folders = [ROOT / "src", *map(Path, others.submodule_search_locations if others else [])]
    found = []
    for path in [p for folder in folders for p in folder.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else "..." for v in node.values]
                found.append("".join(map(str, parts)))
    return found


def quoted(text: str) -> list[str]:
    """Messages in double quotes and code type in the first column of the tables of ``text``.

    In plain type the site would turn ``--`` into a dash, and what a reader searches for would not be found.
    """
    rows = re.findall(r"^\| (.+?) \| ", text, re.M)
    return [found[1] for row in rows for found in re.findall(r'"(`+) ?(.+?) ?\1"', row)]


def absent(text: str) -> list[str]:
    source = [s.lower() for s in messages()]
    patterns = {q: re.compile(".*".join(map(re.escape, q.lower().split("..."))), re.S) for q in quoted(text)}
    return [q for q, pattern in patterns.items() if not any(pattern.search(s) for s in source)]


def test_every_message_that_troubleshooting_quotes_is_in_the_source():
    text = (ROOT / "book" / "troubleshooting.md").read_text(encoding="utf-8")
    assert len(quoted(text)) >= 15
    assert absent(text) == []
    marks = sum(row.count('"') for row in re.findall(r"^\| (.+?) \| ", text, re.M))
    assert marks == 2 * len(quoted(text)), "a message in plain type"


def test_a_message_that_nobody_prints_is_found():
    assert absent('| "`the kernel died`" | x |\n| "`the flux ... is low`" | y |\n') == ["the flux ... is low"]


def test_troubleshooting_has_something_for_every_command():
    from canonlib.cli import ROOMS

    text = (ROOT / "book" / "troubleshooting.md").read_text(encoding="utf-8")
    assert [name for name in ROOMS if f"canonlib {name}" not in text] == []
