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
# What can be read: each text of a figure against the page and against the figure, each box against the page.
CONTRAST = """() => {
  const rgba = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const surface = e => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [], page = surface(document.querySelector('.bd-article') || document.body);
  document.querySelectorAll('.canon-plotly').forEach(figure => {
    const under = surface(figure.querySelector('.main-svg'));
    figure.querySelectorAll('.main-svg text').forEach(text => {
      const style = getComputedStyle(text), box = text.getBoundingClientRect();
      if (!text.textContent.trim() || !box.width || style.fillOpacity === '0' || style.opacity === '0') return;
      const worst = Math.min(ratio(rgba(style.fill), page), ratio(rgba(style.fill), under));
      if (worst < 3) found.push(`'${text.textContent}' in ${style.fill} has contrast ${worst.toFixed(1)}`);
    });
    figure.querySelectorAll('.annotation .bg').forEach(box => {
      const style = getComputedStyle(box);
      if (style.fillOpacity !== '0' && ratio(rgba(style.fill), page) > 1.2) found.push(`a label on ${style.fill}`);
    });
  });
  document.querySelectorAll('.canon-claim').forEach(box => {
    if (ratio(surface(box), page) > 1.2) found.push(`a claim box on ${surface(box)}`);
    const text = rgba(getComputedStyle(box).color);
    if (ratio(text, page) < 4.5) found.push(`a claim in ${text}`);
  });
  return found;
}"""
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


def switch(tab, theme: str) -> None:
    """Press the theme's own button (auto, light, dark and round again) until the page has that theme."""
    for _ in range(4):
        if tab.evaluate("() => document.documentElement.dataset.theme") == theme:
            return
        tab.evaluate("() => document.querySelector('.theme-switch-button').click()")
    pytest.fail(f"the theme's button never gave a {theme} page")


def visit(browser, page: Path, width: int, theme: str = "light", pressed: str | None = None) -> tuple[dict, list[str]]:
    """The page's state once everything is drawn (or 90 s are over), and what went wrong on the way.

    ``theme`` is what the reader's system asks for, ``pressed`` the theme then chosen with the page's button.
    """
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
    shown = pressed or theme
    if pressed:
        switch(tab, pressed)
        # Figures are drawn again after the switch: their texts have their last colour one frame later.
        tab.wait_for_function(
            "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(true))))"
        )
    actual = tab.evaluate("() => document.documentElement.dataset.theme") or shown
    wrong += [f"the theme is {actual}, not {shown}"] * (actual != shown) + tab.evaluate(CONTRAST)
    state = tab.evaluate(STATE)
    context.close()
    return state, [w for w in wrong if not any(n in w for n in NOISE)]


def check(browser, page: Path, width: int, theme: str = "light", pressed: str | None = None) -> list[str]:
    state, wrong = visit(browser, page, width, theme, pressed)
    pairs = (("plotly", "drawn"), ("plotly", "named"), ("tokens", "filled"), ("math", "typeset"))
    wrong += [f"{state[b]} of {state[a]} {a} {b}" for a, b in pairs if state[a] != state[b]]
    wrong += ["MathJax error"] * bool(state["faults"])
    wrong += [f"{state['width']} px wide in a window of {width}"] * (state["width"] > width + 1)
    return [f"{page.name} at {width} px, {theme}{f', then {pressed}' if pressed else ''}: {w}" for w in wrong]


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "dark")])
def test_every_page_is_complete_without_a_network(browser, pages, width, theme):
    findings = [line for page in pages for line in check(browser, page, width, theme)]
    assert findings == []


@pytest.mark.parametrize(("theme", "pressed"), [("light", "dark"), ("dark", "light")])
def test_the_button_turns_figures_over_and_back(browser, pages, theme, pressed):
    chosen = [page for page in pages if page.name in ("intro.html", "05-meta-saes.html")]
    findings = [line for page in chosen for line in check(browser, page, 1000, theme, pressed)]
    assert len(chosen) == 2
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


@pytest.mark.parametrize(("theme", "finding"), [("dark", "has contrast"), ("light", None)])
def test_the_check_finds_text_that_cannot_be_read(browser, tmp_path, monkeypatch, theme, finding):
    page = tmp_path / "planted.html"
    figure = '<div class="canon-plotly"><svg class="main-svg"><text y="20" fill="#333">x</text></svg></div>'
    page.write_text(
        f"<!doctype html><html data-theme={theme}><style>[data-theme=dark] {{background: #121212}}</style>{figure}"
    )
    monkeypatch.setattr(sys.modules[__name__], "READY", "() => true")
    unread = [line for line in check(browser, page, 390, theme) if "contrast" in line]
    assert len(unread) == (1 if finding else 0)
