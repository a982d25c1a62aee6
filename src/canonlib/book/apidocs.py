"""API pages that follow the code: one directive documents a room with every public module in it, one lists all rooms."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import nested_parse_with_titles

from canonlib.book.catalogue import ROOMS, Entry, entries, exports, room_entries, room_modules

_ROW = re.compile(r"(\w+): (.+)")
_CODE = re.compile(r"(``.+?``|`[^`\n]+`(?:_+)?)")
_LONGEST_VALUE = 60


class _Generated(Directive):
    """A directive whose content is reStructuredText made by ``lines``."""

    required_arguments: ClassVar[int] = 1

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Nodes of what the lines say."""
        container = nodes.container()
        container.document = self.state.document
        nested_parse_with_titles(self.state, StringList(self.lines(), source=self.name), container)
        return container.children


class CanonRoom(_Generated):
    """``.. canon-room:: canonlib.viz``: a section for each public module, or a line saying that it is not built yet."""

    def lines(self) -> list[str]:
        """Docstrings and entries of all modules of the room; each name once, as it is imported."""
        room = self.arguments[0]
        modules, lines = room_modules(room), []
        for module in modules:
            if module != room:
                lines += [f"``{module}``", "-" * (len(module) + 4), ""]
            lines += [f".. automodule:: {module}", ""]
            lines += [line for entry in entries(module) for line in _directive(entry)]
        return lines or ["This room is not built yet."]


class CanonNames(_Generated):
    """``.. canon-names:: canonlib.viz``: a table of the room's public names, each with its docstring's first sentence.

    Without an argument: such a table for every room, under the room's name.
    """

    required_arguments: ClassVar[int] = 0
    optional_arguments: ClassVar[int] = 1

    def lines(self) -> list[str]:
        """The table, or all tables."""
        if self.arguments:
            return _table(self.arguments[0])
        lines: list[str] = []
        for room in ROOMS:
            title = f"``canonlib.{room}``"
            lines += (
                [title, "-" * len(title), "", *_table(f"canonlib.{room}")] if room_modules(f"canonlib.{room}") else []
            )
        return lines


def _table(room: str) -> list[str]:
    """A definition list of names: a table would not fit a phone."""
    own = room_entries(room)
    borrowed = [f":py:obj:`{name} <{home}>`" for name, home in exports(room).items() if not home.startswith(f"{room}.")]
    lines = [line for e in own for line in (f":py:obj:`{e.short} <{e.name}>`", f"   {_marked(e.summary)}", "")]
    return [*lines, *([f"From other rooms: {', '.join(borrowed)}.", ""] if borrowed else [])]


def _directive(entry: Entry) -> list[str]:
    """The entry as autodoc's directive; a constant by hand, since autodoc finds its docstring in its home alone."""
    if entry.kind == "data":
        short = entry.value.count("\n") == 0 and len(entry.value) <= _LONGEST_VALUE
        value = [f"   :value: {entry.value}"] if short and entry.value else []
        text = _paragraphs(entry.doc.strip().splitlines())
        module = entry.name.rpartition(".")[0]
        options = [f"   :module: {module}", *value, ""]
        return [f".. py:data:: {entry.short}", *options, *(f"   {line}" for line in text), ""]
    if entry.kind == "function":
        return [f".. autofunction:: {entry.name}", ""]
    return [f".. auto{entry.kind}:: {entry.name}", "   :members:", "   :member-order: bysource", ""]


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
    """Our docstrings' layout as reStructuredText: ``name: text`` rows and bullets, each on one line, set apart.

    An example (from ``>>>`` to the next blank line) stays as it is, a block of its own.
    """
    out: list[str] = []
    example = False
    for line in lines:
        text = line.strip()
        row = _ROW.match(line)
        bullet = row or text.startswith(("* ", "- "))
        deeper = out and out[-1].strip() and len(line) - len(line.lstrip()) > 0
        starts = text.startswith(">>>") and not example
        example = bool(text) and (example or starts)
        if example:
            if starts and out and out[-1].strip():
                out.append("")
            out.append(line)
        elif bullet:
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


def no_type(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Sphinx hook, before napoleon's: what stands before a colon in a field's docstring is no type.

    An empty first line keeps napoleon from taking "Latents that never fire: part of neither share" apart.
    """
    if what in ("attribute", "data", "property") and lines and ":" in lines[0]:
        lines.insert(0, "")


def plain_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Sphinx hook for docstrings of canonlib: they use plain text, back-quotes, rows, bullets and examples, and no RST.

    Docstrings with fields (from napoleon) or literal blocks are left as they are.
    """
    prose, example = [], False
    for line in lines:
        example = bool(line.strip()) and (example or line.strip().startswith(">>>"))
        prose += [] if example else [line]
    if any(re.match(r"\s*(:\w+|\.\. |\|\s)", line) or line.rstrip().endswith("::") for line in prose):
        return
    lines[:] = _paragraphs(lines)


def leave_mocked(app: Any) -> None:
    """Sphinx hook: no mocked library is imported after all, only because autodoc looks for its classes' overloads."""
    for name in app.config.autodoc_mock_imports:
        ModuleAnalyzer.cache["module", name] = PycodeError(f"{name} is mocked")
