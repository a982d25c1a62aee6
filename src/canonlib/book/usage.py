"""Which chapter uses what? Names of canonlib in the code cells of the executed chapters, found without running them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from canonlib.book.catalogue import Entry, every_name

FOLDED = frozenset({"hide-input", "hide-cell", "remove-input", "remove-cell"})
"""Tags of cells whose code a reader does not see at once."""
_MAGIC = re.compile(r"^[%!].*$", re.M)


class Use(NamedTuple):
    """One use of a public name."""

    name: str
    """Full name of the entry, or of a class's member."""
    chapter: str
    """Stem of the notebook, such as ``03-stitching``."""
    cell: int
    """Index of the cell in the notebook."""
    shown: bool
    """Whether the cell's code is in view."""


class Found(NamedTuple):
    """Where the chapters use one name."""

    first: Use | None
    """The first use in view: the place that derives the name. None where it is used in folded cells alone."""
    chapters: tuple[str, ...]
    """Every chapter that uses it, in order."""


def chapter_files(book: Path) -> list[Path]:
    """The executed chapters, in order: notebooks whose name begins with a number."""
    return sorted(book.glob("[0-9]*-*.ipynb"))


def by_name(book: Path) -> dict[str, Found]:
    """For each public name that some chapter below ``book`` uses, where."""
    uses: dict[str, list[Use]] = {}
    for path in chapter_files(book):
        for use in chapter_uses(path.stem, json.loads(path.read_text(encoding="utf-8"))):
            uses.setdefault(use.name, []).append(use)
    return {
        name: Found(next((u for u in of_name if u.shown), None), tuple(dict.fromkeys(u.chapter for u in of_name)))
        for name, of_name in sorted(uses.items())
    }


def chapter_uses(chapter: str, notebook: dict[str, Any]) -> list[Use]:
    """All uses in one notebook (nbformat 4), in the order of its cells, each name once a cell."""
    reader, found = _Reader(), []
    for index, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            shown = not FOLDED & set(cell["metadata"].get("tags", []))
            body = ast.parse(_MAGIC.sub("", "".join(cell["source"])), filename=f"{chapter}, cell {index}")
            found += [Use(name, chapter, index, shown) for name in reader.names(body)]
    return found


class _Reader:
    """What names of a notebook stand for, cell after cell."""

    def __init__(self) -> None:
        self.known = every_name()
        self.imported: dict[str, str] = {}
        self.instances: dict[str, Entry] = {}

    def names(self, body: ast.Module) -> list[str]:
        """Public names that a cell uses, in order, each once."""
        found: dict[str, None] = {}
        for statement in body.body:
            for node in ast.walk(statement):
                self._import(node)
            for node in ast.walk(statement):
                name = self._public(node)
                if name:
                    found[name] = None
            if isinstance(statement, ast.Assign):
                self._assign(statement)
        return list(found)

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "canonlib":
            self.imported |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        if isinstance(node, ast.Import):
            self.imported |= {
                a.asname or "canonlib": a.name if a.asname else "canonlib"
                for a in node.names
                if a.name.split(".")[0] == "canonlib"
            }

    def _public(self, node: ast.AST) -> str:
        """The public name that an expression reads; empty for none."""
        dotted = self._dotted(node)
        if dotted in self.known:
            return self.known[dotted].name
        if isinstance(node, ast.Attribute):
            owner = self._owner(node.value)
            if owner is not None and node.attr in owner.members:
                return f"{owner.name}.{node.attr}"
        return ""

    def _owner(self, node: ast.AST) -> Entry | None:
        """The class that an attribute is read from: the class itself, or a variable that holds one of its objects."""
        dotted = self._dotted(node)
        if dotted in self.known:
            return self.known[dotted]
        return self.instances.get(node.id) if isinstance(node, ast.Name) else None

    def _dotted(self, node: ast.AST) -> str:
        """``tiers.get`` as ``canonlib.tiers.get``, as far as imports say; empty for what does not come from canonlib."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, "")
        if isinstance(node, ast.Attribute):
            before = self._dotted(node.value)
            return f"{before}.{node.attr}" if before else ""
        return ""

    def _assign(self, node: ast.Assign) -> None:
        """Note variables that hold an object of a public class; a name given to something else is no import any more."""
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.imported.pop(target.id, None)
                self.instances.pop(target.id, None)
                made = self._made(node.value)
                if made is not None:
                    self.instances[target.id] = made

    def _made(self, node: ast.AST) -> Entry | None:
        """The class of what a call returns: the class called, or the one that a function's annotation names."""
        if not isinstance(node, ast.Call):
            return None
        called = self.known.get(self._dotted(node.func))
        if called is None or called.kind == "class":
            return called
        module = called.home.rpartition(".")[0]
        return self.known.get(f"{module}.{called.value}") or self.known.get(
            f"{'.'.join(module.split('.')[:2])}.{called.value}"
        )
