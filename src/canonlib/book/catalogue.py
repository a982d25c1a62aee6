"""What is public? Every room's names, read from the source: where each is defined, and under which name it is imported.

Nothing is imported here, so that the site is built without the heavy libraries. A name that a room's package exports is
known by that name (``canonlib.meta.decompose``), wherever it is defined; the others by their module's.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOMS = ("errors", "machine", "store", "tiers", "world", "activations", "rows", "contexts", "toy", "sae", "compare", "intervals",
         "stitch", "meta", "judge", "pipeline", "processes", "claims", "exercises", "viz", "explore", "book")  # fmt: skip
"""Rooms of the reference, in the order in which data moves through them."""
_PACKAGE = Path(__file__).resolve().parents[1]


class Entry(NamedTuple):
    """A public name: a function, a class, an exception or a constant."""

    name: str
    """Its full name as users import it."""
    home: str
    """Its full name where it is defined."""
    kind: str
    """``function``, ``class``, ``exception`` or ``data``."""
    doc: str
    """The docstring; empty for none."""
    members: tuple[str, ...] = ()
    """Public methods, properties and documented fields of a class, in the order of the source."""
    value: str = ""
    """Source of a constant's value; of a function the name of the class that it returns, where it is one."""

    @property
    def short(self) -> str:
        """The name alone."""
        return self.name.rpartition(".")[2]

    @property
    def summary(self) -> str:
        """The docstring's first sentence."""
        text = " ".join(self.doc.split("\n\n")[0].split())
        return re.split(r"(?<=[.?!]) (?=[A-Z`])", text, maxsplit=1)[0]


def room_modules(room: str) -> list[str]:
    """The public modules of a room, package first: ``canonlib.viz`` gives itself, ``canonlib.viz.figures``, ..."""
    folder = _PACKAGE.joinpath(*room.split(".")[1:])
    if folder.with_suffix(".py").is_file():
        return [room]
    if not (folder / "__init__.py").is_file():
        return []
    names = sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
    return [room, *(f"{room}.{name}" for name in names)]


def source(module: str) -> Path:
    """The file of a module or package of canonlib."""
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"


@cache
def tree(module: str) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(source(module).read_text(encoding="utf-8"))


@cache
def exports(package: str) -> dict[str, str]:
    """What a package's ``__all__`` names, and where each is defined; empty without one."""
    listed: list[str] = []
    imported: dict[str, str] = {}
    for node in tree(package).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            listed = ast.literal_eval(node.value)
        if isinstance(node, ast.ImportFrom):
            imported |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return {name: imported.get(name, f"{package}.{name}") for name in listed}


@cache
def entries(module: str) -> tuple[Entry, ...]:
    """The public names that a module defines, in the order of the source.

    Functions and classes without a leading underscore; constants where they have a docstring or the room exports them.
    """
    room = ".".join(module.split(".")[:2])
    known = {home: f"{room}.{name}" for name, home in exports(room).items()}
    body, found = tree(module).body, []
    for node, after in zip(body, [*body[1:], None], strict=True):
        entry = _entry(node, after, module, set(known))
        if entry is not None:
            found.append(entry._replace(name=known.get(entry.home, entry.home)))
    return tuple(found)


def _entry(node: ast.stmt, after: ast.stmt | None, module: str, exported: set[str]) -> Entry | None:
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
        returns = ast.unparse(node.returns) if isinstance(node.returns, ast.Name) else ""
        return Entry("", f"{module}.{node.name}", "function", ast.get_docstring(node) or "", value=returns)
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
        kind = (
            "exception" if any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases) else "class"
        )
        return Entry("", f"{module}.{node.name}", kind, ast.get_docstring(node) or "", _members(node))
    name, value = constant(node)
    doc = following_docstring(after)
    if name and not name.startswith("_") and (doc or f"{module}.{name}" in exported):
        return Entry("", f"{module}.{name}", "data", doc, value=value)
    return None


def constant(node: ast.stmt) -> tuple[str, str]:
    """Name and source of the value of ``NAME = value``; empty texts for other statements."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if len(targets) != 1 or not isinstance(targets[0], ast.Name):
        return "", ""
    value = getattr(node, "value", None)
    return targets[0].id, "" if value is None else ast.unparse(value)


def following_docstring(node: ast.stmt | None) -> str:
    """The text of a bare string that stands below a constant or a field; empty for anything else."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


def _members(node: ast.ClassDef) -> tuple[str, ...]:
    found = []
    for item, after in zip(node.body, [*node.body[1:], None], strict=True):
        name = item.name if isinstance(item, ast.FunctionDef) else constant(item)[0]
        if name and not name.startswith("_") and (isinstance(item, ast.FunctionDef) or following_docstring(after)):
            found.append(name)
    return tuple(found)


def room_entries(room: str) -> list[Entry]:
    """What a room offers: the names that its package exports, or every public name where it exports none.

    A name that a package borrows from another room is left out: its entry stands there.
    """
    every = [entry for module in room_modules(room) for entry in entries(module)]
    if not room_modules(room) or not exports(room):
        return every
    return [entry for entry in every if entry.home in exports(room).values()]


@cache
def every_name() -> dict[str, Entry]:
    """The entry of every dotted name by which something public can be reached: its own, its home's, and borrowed ones."""
    found: dict[str, Entry] = {}
    for room in ROOMS:
        for module in room_modules(f"canonlib.{room}"):
            for entry in entries(module):
                found |= {entry.name: entry, entry.home: entry}
    for room in ROOMS:
        if room_modules(f"canonlib.{room}"):
            for name, home in exports(f"canonlib.{room}").items():
                if home in found:
                    found[f"canonlib.{room}.{name}"] = found[home]
    return found
