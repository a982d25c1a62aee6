"""API pages that follow the code: one directive documents a room with every public module in it."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

_ROW = re.compile(r"(\w+): (.+)")
_CODE = re.compile(r"(``.+?``|`[^`\n]+`(?:_+)?)")


def room_modules(room: str) -> list[str]:
    """The public modules of a room, package first: ``canonlib.viz`` gives itself, ``canonlib.viz.figures``, ..."""
    spec = importlib.util.find_spec(room)
    if spec is None:
        return []
    inside = pkgutil.iter_modules(spec.submodule_search_locations or [])
    names = sorted(m.name for m in inside if not m.ispkg and not m.name.startswith("_"))
    return [room, *(f"{room}.{name}" for name in names)]


class CanonRoom(Directive):
    """``.. canon-room:: canonlib.viz``: an ``automodule`` for each public module, or a line saying it is empty."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Nodes of all modules of the room."""
        modules = room_modules(self.arguments[0])
        lines: list[str] = []
        for module in modules:
            if module != self.arguments[0]:
                lines += [f".. rubric:: {module}", ""]
            lines += [f".. automodule:: {module}", "   :members:", "   :member-order: bysource", ""]
        if not modules:
            lines = ["This room is not built yet."]
        container = nodes.container()
        self.state.nested_parse(StringList(lines, source="canon-room"), self.content_offset, container)
        return container.children


def _escape(text: str) -> str:
    """Prose with reStructuredText's marks made literal, so that ``|x|`` or ``a * b`` cannot break a strict build."""
    return re.sub(r"([*|])", r"\\\1", re.sub(r"(\w)_(?=\W|$)", r"\1\\_", text))


def _marked(line: str) -> str:
    """One line of prose: single back-quotes become code, what is not code is escaped."""
    parts = _CODE.split(line)
    for k, part in enumerate(parts):
        if not k % 2:
            parts[k] = _escape(part)
        elif not part.startswith("``"):
            parts[k] = f"`{part.rstrip('_')}`"
    return "".join(parts)


def _paragraphs(lines: list[str]) -> list[str]:
    """Our docstrings' layout as reStructuredText: ``name: text`` rows and bullets, each on one line, set apart."""
    out: list[str] = []
    for line in lines:
        text = line.strip()
        row = _ROW.match(line)
        bullet = row or text.startswith(("* ", "- "))
        deeper = out and out[-1].strip() and len(line) - len(line.lstrip()) > 0
        if bullet:
            if out and out[-1].strip() and not out[-1].startswith("* "):
                out.append("")
            out.append(f"* ``{row[1]}``: {_marked(row[2])}" if row else f"* {_marked(text[2:])}")
        elif text and deeper:
            out[-1] += " " + _marked(text)
        else:
            if text and out and out[-1].startswith("* "):
                out.append("")
            out.append(_marked(text))
    return out


def plain_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Sphinx hook for docstrings of canonlib: they use plain text, back-quotes, rows and bullets, and no RST.

    Docstrings with fields (from napoleon), literal blocks or examples are left as they are.
    """
    if any(re.match(r"\s*(:\w+|>>>|\.\. |\|)", line) or line.rstrip().endswith("::") for line in lines):
        return
    lines[:] = _paragraphs(lines)
