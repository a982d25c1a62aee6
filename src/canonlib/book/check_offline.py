"""Fail when a built page would load anything from a network, or a local file that is not there.

``python -m canonlib.book.check_offline book/_build/html``
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADS = {
    "script": ["src"], "img": ["src", "srcset"], "iframe": ["src"], "frame": ["src"], "source": ["src", "srcset"],
    "audio": ["src"], "video": ["src", "poster"], "track": ["src"], "embed": ["src"], "object": ["data"],
    "input": ["src"], "image": ["href", "xlink:href"], "use": ["href", "xlink:href"],
}  # fmt: skip
_LINK_RELS = {"stylesheet", "preload", "modulepreload", "icon", "shortcut", "prefetch", "preconnect", "dns-prefetch",
              "manifest", "apple-touch-icon"}  # fmt: skip
_REMOTE = re.compile(r"^\s*(?:(?:https?|wss?):)?//", re.I)
_REMOTE_IN_SET = re.compile(r"(?:^|[\s,])(?:https?:)?//", re.I)
_CSS = re.compile(r"""(?:@import\s+(?:url\()?|url\()\s*['"]?\s*((?:https?:)?//[^'")\s]+)""", re.I)
_SCRIPT = re.compile(
    r"""(?:\bimport\s*(?:[\w{},*\s$]+\bfrom\s*)?\(?\s*|\bfetch\(\s*|importScripts\(\s*|THEBE_JS_URL\s*=\s*"""
    r"""|\.src\s*=\s*|\.open\(\s*["']\w+["']\s*,\s*|new\s+(?:WebSocket|EventSource|Worker)\(\s*)["'`](?:(?:https?|wss?):)?//"""
)


class _Page(HTMLParser):
    """Collects what one page loads: remote things in ``remote``, local paths in ``local``."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.remote: list[str] = []
        self.local: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        for name in _LOADS.get(tag, []):
            self._load(tag, name, values.get(name, ""))
        rels = set(values.get("rel", "").lower().split())
        if tag == "link" and rels & _LINK_RELS:
            self._load(tag, "href", values.get("href", ""))
        if tag == "base" and _REMOTE.search(values.get("href", "")):
            self.remote.append(f"<base href={values['href']}>")
        if _CSS.search(values.get("style", "")):
            self.remote.append(f"<{tag} style={values['style'][:90]}>")
        data_block = tag == "script" and "json" in values.get("type", "").lower()
        self._inside = tag if tag in ("script", "style") and not data_block else ""

    def _load(self, tag: str, name: str, value: str) -> None:
        if (_REMOTE_IN_SET if name == "srcset" else _REMOTE).search(value):
            self.remote.append(f"<{tag} {name}={value}>")
        elif value and name != "srcset" and not re.match(r"\s*(?:data|blob|about|javascript):|\s*#", value, re.I):
            self.local.append(value.strip())

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        pattern = {"script": _SCRIPT, "style": _CSS}.get(self._inside)
        for found in pattern.finditer(data) if pattern else ():
            start = found.start()
            self.remote.append(f"inline {self._inside}: " + " ".join(data[start : start + 90].split()))


def page_problems(page: Path, root: Path) -> Iterator[str]:
    """What the HTML file ``page`` below ``root`` loads from a network, or locally in vain."""
    parser = _Page()
    parser.feed(page.read_text(encoding="utf-8", errors="replace"))
    yield from (f"loads from the network: {item}" for item in parser.remote)
    # Themes ship templates below _static; their links are filled in elsewhere.
    for link in parser.local if "_static" not in page.relative_to(root).parts else ():
        path = unquote(urlsplit(link).path)
        target = root / path.lstrip("/") if path.startswith("/") else page.parent / path
        if path and not target.exists():
            yield f"missing local file: {link}"


def problems(root: Path) -> list[str]:
    """All findings below ``root``, one line each; empty when the site is complete offline.

    Raises ``FileNotFoundError`` when there is no page at all: a check of nothing must not pass.
    """
    pages = sorted(root.rglob("*.html"))
    if not pages:
        raise FileNotFoundError(f"no .html file below {root}: build the book first (make html).")
    found = [f"{page.relative_to(root)}: {line}" for page in pages for line in page_problems(page, root)]
    for sheet in sorted(root.rglob("*.css")):
        text = sheet.read_text(encoding="utf-8", errors="replace")
        found += [f"{sheet.relative_to(root)}: loads from the network: {m.group(1)}" for m in _CSS.finditer(text)]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the findings; 0 when none, 1 when some, 2 when there is nothing to check."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        sys.stderr.write("usage: python -m canonlib.book.check_offline FOLDER\n")
        return 2
    try:
        found = problems(Path(given[0]))
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.stdout.write(f"{len(found)} problems: {'not complete offline' if found else 'the site loads nothing remote'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
