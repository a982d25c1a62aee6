"""Links both ways between the API pages and the chapters, made when the site is built; no notebook is changed.

Each entry of the API gets a line that says in which chapter, under which heading, the name is first used in view; each
chapter closes with a list of the names that it uses. Both follow from the code cells (``usage``). Names that work behind
those have the section that derives them (``derived``).
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes

from canonlib.book.catalogue import every_name
from canonlib.book.derived import Place, derived_names
from canonlib.book.usage import Found, Use, by_name, chapter_files

TITLE = "The library in this chapter"
"""Heading of a chapter's list."""


def find(app: Any) -> None:
    """Read the chapters, before any page is."""
    app.canon_found = by_name(Path(app.srcdir))
    app.canon_sections, app.canon_headings = {}, {}


def changed(app: Any, env: Any) -> list[str]:
    """Pages to write again: all that carry links, when the links are not those of the last build."""
    links = repr(sorted(app.canon_found.items()))
    if getattr(env, "canon_links", None) == links:
        return []
    env.canon_links = links
    pages = [*_chapters(app), *(docname for docname in env.found_docs if docname.startswith("api/"))]
    return [page for page in pages if page in env.found_docs]


def add(app: Any, doctree: nodes.document, docname: str) -> None:
    """Put the links into a page that is about to be written."""
    if docname in _chapters(app):
        _close_chapter(app, doctree, docname)
    for described in list(doctree.findall(addnodes.desc)):
        signatures = [s for s in described.findall(addnodes.desc_signature) if s.parent is described]
        name = f"{signatures[0].get('module')}.{signatures[0].get('fullname')}" if signatures else ""
        line = _origin(app, docname, app.canon_found.get(name), derived_names().get(name, (None, None))[1])
        if line is not None:
            _mark(described, line)


def _chapters(app: Any) -> list[str]:
    return [path.stem for path in chapter_files(Path(app.srcdir))]


def number(chapter: str) -> str:
    """The chapter's number: ``3`` for ``03-stitching``."""
    return re.match(r"0*(\d+)", chapter)[1]  # type: ignore[index]


def _mark(described: addnodes.desc, line: nodes.paragraph) -> None:
    """Put the line below an entry's own text, above its members."""
    (content,) = (child for child in described.children if isinstance(child, addnodes.desc_content))
    places = [i for i, child in enumerate(content.children) if isinstance(child, addnodes.desc)]
    content.insert(places[0] if places else len(content), line)


def _origin(app: Any, page: str, found: Found | None, derived: Place | None) -> nodes.paragraph | None:
    """``Chapter 3: What one latent does; also in 4 and 7`` with links; None for a name that no chapter knows."""
    line = nodes.paragraph(classes=["canon-chapters"])
    others = list(found.chapters) if found is not None else []
    place = None
    if found is not None and found.first is not None:
        place = (found.first.chapter, *_section(app, found.first))
    elif derived is not None:
        place = (derived.chapter, _anchor(app, derived), derived.heading)
    if place is not None:
        first, anchor, heading = place
        others = [other for other in others if other != first]
        line += nodes.Text("Chapter ")
        line += _link(app, page, first, "", number(first))
        line += nodes.Text(": ")
        line += _link(app, page, first, anchor, heading)
    if place is None and not others:
        return None
    if others:
        before = "; also in chapter" if place is not None else "In folded cells of chapter"
        line += nodes.Text(f"{before}{'s' if len(others) > 1 else ''} ")
        for i, other in enumerate(others):
            line += [nodes.Text(", ")] if i else []
            line += _link(app, page, other, "", number(other))
    line += nodes.Text("" if line.astext().endswith("?") else ".")
    return line


def _link(app: Any, page: str, target: str, anchor: str, text: str, code: bool = False) -> nodes.reference:
    """A link from a page to a place on another (or the same) page."""
    uri = "" if page == target else app.builder.get_relative_uri(page, target)
    link = nodes.reference("", "", internal=True, refuri=f"{uri}#{anchor}" if anchor else uri)
    link += nodes.literal(text, text) if code else nodes.inline(text, text)
    return link


def _section(app: Any, use: Use) -> tuple[str, str]:
    """Anchor and heading of the section in which a cell stands; the chapter itself for one before the first heading."""
    if use.chapter not in app.canon_sections:
        tree = app.env.get_doctree(use.chapter)
        app.canon_sections[use.chapter] = {
            cell["cell_index"]: _heading(cell) for cell in tree.findall(nodes.container) if "cell_index" in cell
        }
    return app.canon_sections[use.chapter][use.cell]


def _anchor(app: Any, place: Place) -> str:
    """Anchor of a section; the chapter's top when no heading of its is so called (a test holds that each is there)."""
    if place.chapter not in app.canon_headings:
        tree = app.env.get_doctree(place.chapter)
        app.canon_headings[place.chapter] = {s[0].astext(): s["ids"][0] for s in tree.findall(nodes.section)}
    found: str = app.canon_headings[place.chapter].get(place.heading, "")
    return found


def _heading(node: nodes.Element) -> tuple[str, str]:
    while not isinstance(node, nodes.section):
        node = node.parent
    return node["ids"][0], node[0].astext()


def _close_chapter(app: Any, doctree: nodes.document, chapter: str) -> None:
    """A folded list at the end of the chapter: what it is the first to use in view, with a sentence each; and the rest."""
    first: list[tuple[str, tuple[str, str]]] = []
    again: list[tuple[str, tuple[str, str]]] = []
    behind = [
        (name, shown)
        for name, (_, derived) in derived_names().items()
        if derived.chapter == chapter and _unseen(app, name) and (shown := _place(app, name))
    ]
    for name, found in app.canon_found.items():
        place = _place(app, name)
        if place and chapter in found.chapters and name in every_name():
            here = found.first is not None and found.first.chapter == chapter
            (first if here else again).append((name, place))
    again = [(name, place) for name, place in again if name not in dict(behind)]
    if not first and not again and not behind:
        return
    box = nodes.container(classes=["canon-library"])
    box += nodes.raw("", f"<details><summary>{escape(TITLE)}</summary>", format="html")
    if first:
        box += nodes.paragraph("", "", nodes.Text("Derived or first used here:"))
        listed = nodes.bullet_list()
        for name, place in first:
            line = nodes.paragraph("", "", _named(app, chapter, name, place), nodes.Text(f": {_summary(name)}"))
            listed += nodes.list_item("", line)
        box += listed
    for title, names in (("Derived here, at work behind these: ", behind), ("Used too: ", again)):
        line = nodes.paragraph("", "", nodes.Text(title))
        for i, (name, place) in enumerate(names):
            line += [nodes.Text(", ")] if i else []
            line += _named(app, chapter, name, place)
        line += nodes.Text(".")
        box += [line] if names else []
    box += nodes.raw("", "</details>", format="html")
    next(iter(doctree.findall(nodes.section))).append(box)


def _unseen(app: Any, name: str) -> bool:
    """Whether no cell in view uses the name."""
    found = app.canon_found.get(name)
    return found is None or found.first is None


def _place(app: Any, name: str) -> tuple[str, str] | None:
    """Page and anchor of an entry of the API; None when no page shows it."""
    entry = app.env.get_domain("py").objects.get(name)
    return (entry.docname, entry.node_id) if entry else None


def _named(app: Any, page: str, name: str, place: tuple[str, str]) -> nodes.reference:
    return _link(app, page, *place, name.removeprefix("canonlib."), code=True)


def _summary(name: str) -> str:
    """The entry's first sentence as plain text."""
    return every_name()[name].summary.replace("`", "")
