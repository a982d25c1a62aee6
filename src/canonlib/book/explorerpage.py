"""The explorer inside the book: its page's links, and the copy of page and data beside the built site."""

from __future__ import annotations

import json
import shutil
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from canonlib.errors import ConfigError

DATA = Path("explorer") / "data"
"""Below the book's folder: what ``canonlib explore --data-only`` wrote."""
PAGE = "explorer/index.html"
"""Below the built site."""


def read_manifest(book: Path) -> dict[str, Any]:
    """What the explorer's data say of themselves; ``ConfigError`` when they are missing or cannot be read."""
    path = book / DATA / "manifest.js"
    fix = f"write them with `canonlib explore {DATA.as_posix()} --data-only` (`make book` does)."
    try:
        text = path.read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text[text.index(",") + 1 : text.rindex(")")])
    except (OSError, ValueError, RecursionError) as exc:
        raise ConfigError(f"the explorer's data cannot be read ({path.name}: {exc}): {fix}") from exc
    return found


class CanonExplorer(Directive):
    """``{canon-explorer}``: the way into the explorer, links to well-known latents, and its first view."""

    def run(self) -> list[nodes.Node]:
        """One block of HTML."""
        env = self.state.document.settings.env
        book = Path(env.srcdir)
        env.note_dependency(str(book / DATA / "manifest.js"))
        try:
            manifest = read_manifest(book)
        except ConfigError as error:
            raise self.severe(str(error)) from error
        links = [
            f'<a href="{PAGE}#/graph/{int(number)}">{escape(name or f"latent {number}")}</a>'
            for number, name in manifest["start"]
        ]
        html = (
            f'<p><a class="canon-open" href="{PAGE}">Open the explorer</a></p>'
            f'<p class="canon-starts">Or begin with: {" · ".join(links)}.</p>'
        )
        return [nodes.raw("", html, format="html")]


def copy_explorer(app: Any, exception: Exception | None) -> None:
    """After a build of HTML pages: the explorer's page, its scripts and its data go beside them."""
    from canonlib.explore.site import write_app

    if exception is not None or app.builder.format != "html" or not (Path(app.srcdir) / DATA).is_dir():
        return
    target = Path(app.outdir) / "explorer"
    shutil.rmtree(target, ignore_errors=True)
    write_app(target)
    shutil.copytree(Path(app.srcdir) / DATA, target / "data")
