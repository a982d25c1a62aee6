"""Every page of the built book in headless Chromium, from file:// with every network request blocked.

Uses ``book/_build/html`` when it is newer than its sources, else builds it once. Skipped where there is no Chromium
(Debian: ``apt-get install chromium``) or no playwright.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "book" / "_build" / "html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No name resolves and every connection goes to a closed port; requests are still seen, as events.
BLOCKED = ("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>")
# Chromium's own remarks on software rendering, not the page's.
NOISE = ("GL Driver Message", "GPU stall", "WebGL")
STATE = """() => ({
  plotly: document.querySelectorAll('.canon-plotly').length,
  drawn: [...document.querySelectorAll('.canon-plotly.js-plotly-plot')].filter(
    e => e.querySelector('.main-svg')).length,
  named: document.querySelectorAll('.canon-plotly[role=img][aria-label]').length,
  tokens: document.querySelectorAll('.canon-cv').length,
  filled: [...document.querySelectorAll('.canon-cv')].filter(
    e => e.querySelector(':scope > :not(script)') && e.getBoundingClientRect().height > 10).length,
  math: document.querySelectorAll('.math').length,
  typeset: [...document.querySelectorAll('.math')].filter(e => e.querySelector('mjx-container')).length,
  faults: document.querySelectorAll('mjx-merror, [data-mjx-error]').length,
  width: document.documentElement.scrollWidth,
})"""
READY = f"""() => {{
  const s = ({STATE})();
  return s.plotly === s.drawn && s.tokens === s.filled && s.math === s.typeset;
}}"""


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def sources() -> list[Path]:
    book = ROOT / "book"
    found = [p for p in book.rglob("*") if p.is_file() and "_build" not in p.parts]
    package = ROOT / "src" / "canonlib" / "book"
    return [*found, ROOT / "_config.yml", ROOT / "_toc.yml", *package.glob("*.py"), *package.glob("static/*")]


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    stamp = SITE / "searchindex.js"
    if not stamp.exists() or stamp.stat().st_mtime < max(p.stat().st_mtime for p in sources()):
        pytest.importorskip("jupyter_book", reason="jupyter-book is not installed, and no site is built")
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(ROOT / "book")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    # _modules holds source listings: no figures, and most of the files.
    skip = {"_static", "_modules"}
    return sorted(p for p in SITE.rglob("*.html") if not skip & set(p.parts) and p != SITE / "index.html")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e .[dev])")
    program = chromium()
    if program is None:
        pytest.skip(f"no Chromium found ({', '.join(NAMES)}): apt-get install chromium, or set CHROMIUM")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu", *BLOCKED])
        yield browser
        browser.close()


def visit(browser, page: Path, width: int, theme: str = "light") -> tuple[dict, list[str]]:
    """The page's state once everything is drawn (or 90 s are over), and what went wrong on the way."""
    from playwright.sync_api import TimeoutError as Late

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    context.set_default_timeout(120_000)
    wrong: list[str] = []

    def asked(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(f"asked the network for {request.url}")

    tab = context.new_page()
    tab.on("request", asked)
    tab.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    tab.on("requestfailed", lambda r: wrong.append(f"failed: {r.url}"))
    tab.goto(page.as_uri())
    try:
        tab.wait_for_function(READY, timeout=90_000)
    except Late:
        wrong.append("not everything was drawn within 90 s")
    state = tab.evaluate(STATE)
    context.close()
    return state, [w for w in wrong if not any(n in w for n in NOISE)]


def check(browser, page: Path, width: int, theme: str = "light") -> list[str]:
    state, wrong = visit(browser, page, width, theme)
    pairs = (("plotly", "drawn"), ("plotly", "named"), ("tokens", "filled"), ("math", "typeset"))
    wrong += [f"{state[b]} of {state[a]} {a} {b}" for a, b in pairs if state[a] != state[b]]
    wrong += ["MathJax error"] * bool(state["faults"])
    wrong += [f"{state['width']} px wide in a window of {width}"] * (state["width"] > width + 1)
    return [f"{page.name} at {width} px, {theme}: {w}" for w in wrong]


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "dark")])
def test_every_page_is_complete_without_a_network(browser, pages, width, theme):
    findings = [line for page in pages for line in check(browser, page, width, theme)]
    assert findings == []


def test_the_book_has_its_pages_and_figures(browser, pages):
    names = {p.name for p in pages}
    assert {"intro.html", "glossary.html", "bibliography.html", "search.html"} <= names
    first = next(p for p in pages if p.name == "intro.html").read_text(encoding="utf-8")
    assert 'class="canon-plotly"' in first, "the first page has no figure"
    chapters = [p for p in pages if p.name[:2].isdigit()]
    assert chapters, "no chapter page"
    assert sum('class="canon-plotly"' in p.read_text(encoding="utf-8") for p in chapters) >= 1


@pytest.mark.parametrize(("body", "finding"), [
    ('<img src="http://example.invalid/x.png">', "asked the network"),
    ("<script>nothing_here()</script>", "error: "),
    ('<div class="canon-plotly" role="img" aria-label="x"></div>', "0 of 1 plotly drawn"),
    ('<div style="width:3000px">x</div>', "px wide"),
    ('<span class="math">x</span>', "0 of 1 math typeset"),
])  # fmt: skip
def test_the_check_finds_planted_faults(browser, tmp_path, monkeypatch, body, finding):
    page = tmp_path / "planted.html"
    page.write_text(f"<!doctype html><html><body>{body}</body></html>")
    monkeypatch.setattr(sys.modules[__name__], "READY", "() => true")
    assert any(finding in line for line in check(browser, page, 390))
