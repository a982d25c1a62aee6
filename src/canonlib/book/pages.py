"""Pages that cannot drift: directives that write, when the book is built, what files of the repository say.

``{canon-status}`` shows ``book/execution.json``, ``{canon-citing}`` shows ``CITATION.cff`` and entries of
``book/references.bib``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from canonlib.book.status import RECORDS, status_table
from canonlib.errors import ConfigError, unknown


class _Written(Directive):
    """A directive whose content is written by ``lines``, as MyST, and parsed in its place."""

    has_content: ClassVar[bool] = True

    def lines(self, book: Path) -> list[str]:
        """The MyST lines for the book folder ``book``."""
        raise NotImplementedError

    def files(self, book: Path) -> list[Path]:
        """What the lines are made from: the page is built again when one of these changes."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """The parsed nodes; an error in a file stops the build with its message."""
        env = self.state.document.settings.env
        book = Path(env.srcdir)
        for file in self.files(book):
            env.note_dependency(str(file))
        try:
            lines = self.lines(book)
        except ConfigError as error:
            raise self.severe(str(error)) from error
        container = nodes.container()
        self.state.nested_parse(StringList(lines, source=type(self).__name__), self.content_offset, container)
        return container.children


class CanonStatus(_Written):
    """``{canon-status}``: a row per executed notebook, and the versions it ran with."""

    def files(self, book: Path) -> list[Path]:
        """The records and the notebooks that they are of."""
        return [book / RECORDS, *sorted(book.glob("*.ipynb"))]

    def lines(self, book: Path) -> list[str]:
        """Both tables."""
        return status_table(book)


class CanonCiting(_Written):
    """``{canon-citing}`` with bibliography keys as content: BibTeX of this work, then of each key."""

    def files(self, book: Path) -> list[Path]:
        """The two files of references."""
        return [book.parent / "CITATION.cff", book / "references.bib"]

    def lines(self, book: Path) -> list[str]:
        """One block for this work when there are no keys, else one with the entries of all keys; ``ConfigError`` for another."""
        citation, references = self.files(book)
        keys = [word for line in self.content for word in line.split()]
        entries = bib_entries(references.read_text(encoding="utf-8"))
        for key in keys:
            if key not in entries:
                raise unknown("bibliography key", key, entries)
        blocks = [entries[key] for key in keys] if keys else [software_bibtex(read_citation(citation))]
        return ["```bibtex", *"\n\n".join(blocks).splitlines(), "```"]


def read_citation(path: Path) -> dict[str, Any]:
    """``CITATION.cff`` as a dictionary; ``ConfigError`` names a field that the citation needs and lacks."""
    import yaml

    citation = yaml.safe_load(path.read_text(encoding="utf-8"))
    for field in ("title", "version", "authors", "license"):
        if not isinstance(citation, dict) or not citation.get(field):
            raise ConfigError(f"{path.name}: {field} is missing or empty; the page on citing needs it.")
    return dict(citation)


def software_bibtex(citation: dict[str, Any]) -> str:
    """The BibTeX entry of this work from the fields of ``CITATION.cff``.

    >>> software_bibtex({"title": "T", "version": "1", "license": "MIT", "authors": [{"name": "The A"}]}).splitlines()
    ['@software{canonlib,', '  title   = {{T}},', '  author  = {{The A}},', '  version = {1},', '  license = {MIT}', '}']
    """
    people = [
        f"{{{a['name']}}}" if "name" in a else f"{a['family-names']}, {a.get('given-names', '')}"
        for a in citation["authors"]
    ]
    rows = [f"title   = {{{{{citation['title']}}}}}", f"author  = {{{' and '.join(people)}}}",
            f"version = {{{citation['version']}}}"]  # fmt: skip
    rows += [f"year    = {{{str(citation['date-released'])[:4]}}}"] if "date-released" in citation else []
    rows += [f"license = {{{citation['license']}}}"]
    rows += [f"url     = {{{citation[name]}}}" for name in ("url", "repository-code") if name in citation][:1]
    return "@software{canonlib,\n  " + ",\n  ".join(rows) + "\n}"


def bib_entries(text: str) -> dict[str, str]:
    """The entries of a BibTeX file by key, each as it stands there (an entry ends with a ``}`` on a line alone)."""
    found = re.finditer(r"^@\w+\{([^,\s]+),.*?^\}", text, re.M | re.S)
    return {entry[1]: entry[0] for entry in found}
