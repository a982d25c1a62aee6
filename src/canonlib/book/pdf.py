"""The whole book as one PDF: Jupyter Book's ``singlehtml`` page, prepared and printed by the system's Chromium.

The page is laid out at the width of the paper, in light colours, with every dropdown open and every figure drawn
before it is printed. A title page and a table of contents with links are put in front.
"""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from canonlib.errors import CanonlibError, ConfigError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAME = "canonical-units.pdf"
MARGIN_MM = {"top": 16, "right": 16, "bottom": 18, "left": 16}
PAPER_PX = 672
"""Width of A4 between the margins, 178 mm, in CSS pixels (96 to the inch)."""
PATIENCE = 300_000
"""Milliseconds until everything on the page must be drawn."""
DRAWN = """() => document.fonts.status === 'loaded' && document.querySelectorAll('.canon-plotly:not(.canon-drawn)').length === 0
  && [...document.querySelectorAll('.canon-cv')].every(e => e.querySelector(':scope > :not(script)'))
  && [...document.querySelectorAll('.math')].every(e => e.querySelector('mjx-container'))"""
FOOTER = """<div style="width:100%;font:8px sans-serif;color:#595959;padding:0 16mm;display:flex;justify-content:space-between">
  <span>{title}</span><span><span class="pageNumber"></span> / <span class="totalPages"></span></span></div>"""


class PdfError(CanonlibError):
    """The book could not be printed; the message says at which step and shows what the program said."""


@dataclass(frozen=True)
class Printed:
    """A printed book: the file, and how many figures, formulas and headings its page had."""

    path: Path
    figures: int
    formulas: int
    headings: int


def find_chromium() -> str:
    """The Chromium to use: ``CHROMIUM``, else the first of ``PROGRAMS`` on the path; ``ConfigError`` without one."""
    given = os.environ.get("CHROMIUM")
    found = shutil.which(given) if given else next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found:
        return found
    if given:
        raise ConfigError(
            f"CHROMIUM is {given!r}, and there is no such program; set it to Chromium's path or unset it."
        )
    raise ConfigError(f"no Chromium found ({', '.join(PROGRAMS)}): install it (Debian: apt-get install chromium), "
                      "or set CHROMIUM to its path.")  # fmt: skip


def build_single_page(root: Path) -> Path:
    """Build ``book/_build/singlehtml`` and return its page; ``PdfError`` ends with what the builder said."""
    code = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", code, "build", str(root / "book"), "--builder", "singlehtml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    pages = sorted((root / "book" / "_build" / "singlehtml").glob("*.html"), key=lambda p: p.stat().st_size)
    if done.returncode or not pages:
        raise PdfError(
            f"the book could not be built as one page (run `make html` first):\n{(done.stdout + done.stderr)[-2000:]}"
        )
    return pages[-1]


def print_book(root: Path, out: Path | None = None, page: Path | None = None) -> Printed:
    """Print the book of the repository ``root`` to ``out`` (default: below ``book/_build/pdf``).

    ``page`` is a single page that has been built already. Raises ``ConfigError`` without Chromium or playwright,
    before anything is built, and ``PdfError`` when a figure is not drawn or Chromium fails.
    """
    program = find_chromium()
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise ConfigError("printing needs playwright: run `make setup`, or `pip install playwright`.") from None
    target = out or root / "book" / "_build" / "pdf" / NAME
    if target.suffix.lower() != ".pdf":
        raise ConfigError(f"out is {str(target)!r}: the name of a PDF file ends in .pdf.")
    page = page or build_single_page(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Root may not use Chromium's sandbox; the page is our own and loads nothing from a network.
    arguments = ["--disable-gpu", *(["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else [])]
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=program, args=arguments)
            printed = _print(browser, page, target, _front(root))
            browser.close()
    except Error as error:
        raise PdfError(f"Chromium could not print {page.name}: {error}") from error
    return printed


def _front(root: Path) -> dict[str, str]:
    """Texts of the title page, from the files that hold them."""
    import yaml

    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    return {"title": str(config["title"]), "author": str(config["author"]), "subtitle": str(citation["title"]),
            "version": str(citation["version"])}  # fmt: skip


def _print(browser: Any, page: Path, target: Path, front: dict[str, str]) -> Printed:
    """Open ``page`` as wide as the paper, wait until all is drawn, prepare it and print."""
    from playwright.sync_api import TimeoutError as Late

    context = browser.new_context(viewport={"width": PAPER_PX, "height": 1000}, color_scheme="light")
    tab = context.new_page()
    tab.set_default_timeout(600_000)
    tab.emulate_media(media="print", color_scheme="light")
    tab.goto(page.as_uri())
    tab.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true; })")
    try:
        tab.wait_for_function(DRAWN, timeout=PATIENCE)
    except Late as error:
        missing = tab.evaluate("() => document.querySelectorAll('.canon-plotly:not(.canon-drawn)').length")
        raise PdfError(
            f"not all of {page.name} was drawn within {PATIENCE / 1000:g} s ({missing} figures are missing)."
        ) from error
    prepare = (files("canonlib.book") / "static" / "canon-print.js").read_text(encoding="utf-8")
    counts = tab.evaluate(prepare, front)
    margin = {side: f"{mm}mm" for side, mm in MARGIN_MM.items()}
    partial = target.with_name(f".{target.name}.partial")
    tab.pdf(path=str(partial), format="A4", margin=margin, print_background=True, outline=True, tagged=True,
            display_header_footer=True, header_template="<span></span>",
            footer_template=FOOTER.format(title=html.escape(front["title"])))  # fmt: skip
    partial.replace(target)
    context.close()
    return Printed(target, **counts)
