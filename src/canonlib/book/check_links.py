"""Fail when a link inside the built site leads nowhere: to a page that is not there, or a place that is not on it.

``python -m canonlib.book.check_links book/_build/html``; needs no network and asks nothing of other sites' pages
(``make linkcheck`` does that).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ROUTE = re.compile(r"^[/?!]|=")
"""A fragment that a page's script reads as its state, such as ``#latent=3``: no place on the page has that name."""


class _Page(HTMLParser):
    """Collects the links of one page and the names of its places."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.places: set[str] = set()
        self.repeated: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        if tag in ("a", "area") and "href" in values:
            self.links.append(values["href"].strip())
        if "id" in values:
            (self.repeated if values["id"] in self.places else self.places).add(values["id"])
        if tag == "a" and "name" in values:
            self.places.add(values["name"])


def read_page(page: Path) -> _Page:
    """The links and places of one HTML file."""
    parsed = _Page()
    parsed.feed(page.read_text(encoding="utf-8", errors="replace"))
    return parsed


def target_of(page: Path, root: Path, path: str) -> Path:
    """The file that the path of a link on ``page`` means; a folder means its ``index.html``."""
    if not path:
        return page
    target = root / path.lstrip("/") if path.startswith("/") else page.parent / path
    return target / "index.html" if target.is_dir() else target


def link_problem(link: str, page: Path, root: Path, places: Callable[[Path], set[str]]) -> str | None:
    """Why a link leads nowhere; None when it does, or leads out of the site."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return f"not a link: {link}"
    if parts.scheme or parts.netloc:
        return None
    target, place = target_of(page, root, unquote(parts.path)), unquote(parts.fragment)
    if not target.is_file():
        return f"no such page: {link}"
    if not target.resolve().is_relative_to(root.resolve()):
        return f"leaves the site's folder: {link}"
    # "#" and "#top" mean the top of any page.
    if place in ("", "top") or _ROUTE.search(place) or target.suffix != ".html" or place in places(target.resolve()):
        return None
    return f"no such place: {link}"


def page_problems(page: Path, root: Path, places: Callable[[Path], set[str]]) -> Iterator[str]:
    """What is wrong with the links on one page, each link once, and ids that two elements share."""
    parsed = read_page(page)
    for link in dict.fromkeys(parsed.links):
        if problem := link_problem(link, page, root, places):
            yield problem
    linked = {unquote(urlsplit(link).fragment) for link in parsed.links if link.startswith("#")}
    yield from (f"two places of one name: #{name}" for name in sorted(parsed.repeated & linked))


def problems(root: Path) -> list[str]:
    """All findings below ``root``, one line each; empty when every link inside the site leads somewhere.

    Raises ``FileNotFoundError`` when there is no page at all: a check of nothing must not pass.
    """
    # Themes ship templates below _static; their links are filled in elsewhere.
    pages = [page for page in sorted(root.rglob("*.html")) if "_static" not in page.relative_to(root).parts]
    if not pages:
        raise FileNotFoundError(f"no .html file below {root}: build the book first (make html).")

    @cache
    def places(page: Path) -> set[str]:
        return read_page(page).places

    return [f"{page.relative_to(root)}: {line}" for page in pages for line in page_problems(page, root, places)]


def main(arguments: list[str] | None = None) -> int:
    """Print the findings; 0 when none, 1 when some, 2 when there is nothing to check."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        sys.stderr.write("usage: python -m canonlib.book.check_links FOLDER\n")
        return 2
    try:
        found = problems(Path(given[0]))
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.stdout.write(
        f"{len(found)} problems: {'links that lead nowhere' if found else 'every inner link leads somewhere'}\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
