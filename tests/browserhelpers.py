"""Chromium with the network blocked, the built site, and what a page says about itself once all is drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canonlib.book.pdf import PROGRAMS, find_chromium
from canonlib.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "book" / "_build" / "html"
# No name resolves and every connection goes to a closed port; requests are still seen, as events.
BLOCKED = ("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>")
# Chromium's own remarks on software rendering, not the page's.
NOISE = ("GL Driver Message", "GPU stall", "WebGL")
STATE = """() => ({
  plotly: document.querySelectorAll('.canon-plotly').length,
  drawn: [...document.querySelectorAll('.canon-plotly.js-plotly-plot')].filter(
    e => e.querySelector('.main-svg')).length,
  named: document.querySelectorAll('.canon-plotly[role=figure][aria-label]').length,
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


def sources() -> list[Path]:
    """Every file that the site is built from."""
    book = ROOT / "book"
    found = [p for p in book.rglob("*") if p.is_file() and "_build" not in p.parts]
    package = ROOT / "src" / "canonlib" / "book"
    top = [ROOT / name for name in ("_config.yml", "_toc.yml", "CHANGELOG.md", "CITATION.cff")]
    return [*found, *top, *package.glob("*.py"), *package.glob("static/*")]


def built_pages() -> list[Path]:
    """The pages of the site in ``book/_build/html``, built first when one of its sources is newer."""
    stamp = SITE / "searchindex.js"
    if not stamp.exists() or stamp.stat().st_mtime < max(p.stat().st_mtime for p in sources()):
        pytest.importorskip("jupyter_book", reason="jupyter-book is not installed, and no site is built")
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(ROOT / "book")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    # The explorer has a test of its own. _modules holds source listings, most of the files and all alike: two of them.
    skip, listings = {"_static", "_modules", "explorer"}, SITE / "_modules"
    found = sorted(p for p in SITE.rglob("*.html") if not skip & set(p.parts) and p != SITE / "index.html")
    return [
        *found,
        listings / "index.html",
        max((listings / "canonlib").rglob("*.html"), key=lambda p: p.stat().st_size),
    ]


@contextmanager
def open_browser() -> Iterator:
    """Headless Chromium without a network; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e .[dev])")
    try:
        program = find_chromium()
    except ConfigError as error:
        if os.environ.get("CHROMIUM"):
            raise
        pytest.skip(f"{error} ({', '.join(PROGRAMS)})")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu", *BLOCKED])
        yield browser
        browser.close()


class Reader:
    """One reader's window: a width and a theme, one tab in which page after page is opened."""

    def __init__(self, browser, width: int, theme: str) -> None:
        self.width, self.theme = width, theme
        self.wrong: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        self.context.set_default_timeout(120_000)
        self.tab = self.context.new_page()
        self.tab.on("request", self._asked)
        self.tab.on("console", lambda m: self.wrong.append(f"console: {m.text}") if m.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.tab.on("requestfailed", lambda r: self.wrong.append(f"failed: {r.url}"))

    def _asked(self, request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(f"asked the network for {request.url}")

    def open(self, page: Path, ready: str = READY) -> None:
        """Go to ``page`` and wait until everything is drawn, at most 90 s."""
        from playwright.sync_api import TimeoutError as Late

        self.wrong.clear()
        self.tab.goto(page.as_uri())
        try:
            self.tab.wait_for_function(ready, timeout=90_000)
        except Late:
            self.wrong.append("not everything was drawn within 90 s")

    def press(self, theme: str) -> None:
        """Press the theme's own button (auto, light, dark and round again) until the page has that theme."""
        for _ in range(4):
            if self.tab.evaluate("() => document.documentElement.dataset.theme") == theme:
                break
            self.tab.evaluate("() => document.querySelector('.theme-switch-button').click()")
        else:
            pytest.fail(f"the theme's button never gave a {theme} page")
        # Figures are drawn again after the switch: their texts have their last colour one frame later.
        self.tab.wait_for_function(
            "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(true))))"
        )

    def findings(self, page: Path, shown: str | None = None) -> list[str]:
        """What is wrong with the open ``page``, whose theme should be ``shown``; one line each."""
        theme = shown or self.theme
        actual = self.tab.evaluate("() => document.documentElement.dataset.theme") or theme
        wrong = [f"the theme is {actual}, not {theme}"] * (actual != theme) + self.tab.evaluate(CONTRAST)
        state = self.tab.evaluate(STATE)
        pairs = (("plotly", "drawn"), ("plotly", "named"), ("tokens", "filled"), ("math", "typeset"))
        wrong += [f"{state[b]} of {state[a]} {a} {b}" for a, b in pairs if state[a] != state[b]]
        wrong += ["MathJax error"] * bool(state["faults"])
        wrong += [f"{state['width']} px wide in a window of {self.width}"] * (state["width"] > self.width + 1)
        heard = [line for line in self.wrong if not any(noise in line for noise in NOISE)]
        where = f"{page.name} at {self.width} px, {self.theme}{f', then {shown}' if shown else ''}"
        return [f"{where}: {line}" for line in [*heard, *wrong]]
