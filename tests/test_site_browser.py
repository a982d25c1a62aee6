"""Every page of the built book in headless Chromium, from file:// with every network request blocked.

Uses ``book/_build/html`` when it is newer than its sources, else builds it once. Skipped where there is no Chromium
(Debian: ``apt-get install chromium``) or no playwright. Each page is opened once per width and theme, and both the look
and the accessibility of it are judged from that one visit.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from axehelpers import blocked_readers
from browserhelpers import Reader, built_pages

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WINDOWS = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]
JUDGED = {(1400, "light"), (390, "dark")}
"""Windows in which axe-core runs each time: both widths and both themes, in half the time of all four."""


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    return built_pages()


@pytest.fixture(scope="module", params=WINDOWS, ids=lambda window: "-".join(map(str, window)))
def survey(request, browser, pages) -> dict[str, list[str]]:
    """Findings on all pages in one window: ``looks`` and ``access``."""
    reader, found = Reader(browser, *request.param), {"looks": [], "access": []}
    for page in pages:
        reader.open(page)
        found["looks"] += reader.findings(page)
        if request.param in JUDGED:
            found["access"] += blocked_readers(reader, page)
    reader.context.close()
    return found


def test_every_page_is_complete_without_a_network(survey):
    assert survey["looks"] == []


def test_no_page_shuts_a_reader_out(survey):
    assert survey["access"] == []


@pytest.mark.weekly
@pytest.mark.parametrize(("width", "theme"), sorted(set(WINDOWS) - JUDGED))
def test_no_page_shuts_a_reader_out_in_the_other_windows(browser, pages, width, theme):
    reader, found = Reader(browser, width, theme), []
    for page in pages:
        reader.open(page)
        found += blocked_readers(reader, page)
    reader.context.close()
    assert found == []


@pytest.mark.parametrize(("theme", "pressed"), [("light", "dark"), ("dark", "light")])
def test_the_button_turns_figures_over_and_back(browser, pages, theme, pressed):
    chosen = [page for page in pages if page.name in ("intro.html", "05-meta-saes.html")]
    assert len(chosen) == 2
    findings = []
    for page in chosen:
        reader = Reader(browser, 1000, theme)  # a window of its own: the choice is remembered
        reader.open(page)
        reader.press(pressed)
        findings += reader.findings(page, pressed)
        reader.context.close()
    assert findings == []


def test_figures_have_no_button_that_sends_them_away(browser, pages):
    reader = Reader(browser, 1000, "light")
    reader.open(next(page for page in pages if page.name == "intro.html"))
    names = reader.tab.evaluate("() => [...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
    reader.context.close()
    assert names
    assert [name for name in names if "share" in name.lower() or "cloud" in name.lower()] == []


def test_the_book_has_its_pages_and_figures(pages):
    names = {p.name for p in pages}
    assert {"intro.html", "glossary.html", "bibliography.html", "search.html"} <= names
    assert {"status.html", "citing.html", "changelog.html", "troubleshooting.html"} <= names
    first = next(p for p in pages if p.name == "intro.html").read_text(encoding="utf-8")
    assert 'class="canon-plotly"' in first, "the first page has no figure"
    chapters = [p for p in pages if p.name[:2].isdigit()]
    assert chapters, "no chapter page"
    assert sum('class="canon-plotly"' in p.read_text(encoding="utf-8") for p in chapters) >= 1


@pytest.mark.parametrize(("body", "finding"), [
    ('<img src="http://example.invalid/x.png">', "asked the network"),
    ("<script>nothing_here()</script>", "error: "),
    ('<div class="canon-plotly" role="figure" aria-label="x"></div>', "0 of 1 plotly drawn"),
    ('<div style="width:3000px">x</div>', "px wide"),
    ('<span class="math">x</span>', "0 of 1 math typeset"),
])  # fmt: skip
def test_the_check_finds_planted_faults(browser, tmp_path, body, finding):
    page = tmp_path / "planted.html"
    page.write_text(f"<!doctype html><html><body>{body}</body></html>")
    reader = Reader(browser, 390, "light")
    reader.open(page, ready="() => true")
    found = reader.findings(page)
    reader.context.close()
    assert any(finding in line for line in found)


@pytest.mark.parametrize(("theme", "finding"), [("dark", "has contrast"), ("light", None)])
def test_the_check_finds_text_that_cannot_be_read(browser, tmp_path, theme, finding):
    page = tmp_path / "planted.html"
    figure = '<div class="canon-plotly"><svg class="main-svg"><text y="20" fill="#333">x</text></svg></div>'
    page.write_text(
        f"<!doctype html><html data-theme={theme}><style>[data-theme=dark] {{background: #121212}}</style>{figure}"
    )
    reader = Reader(browser, 390, theme)
    reader.open(page, ready="() => true")
    unread = [line for line in reader.findings(page) if "contrast" in line]
    reader.context.close()
    assert len(unread) == (1 if finding else 0)


GOOD = "<main><h1>Title</h1><p>Text with <a href='#x'>a link</a>.</p>{}</main>"


@pytest.mark.parametrize(("body", "rule"), [
    ("<input type=text>", "label"),
    ("<button></button>", "button-name"),
    ("<p style='color:#aaa;background:#fff'>pale</p>", "color-contrast"),
    ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "image-alt"),
    ("<div role=img aria-label=x><button>x</button></div>", "nested-interactive"),
    ("<div class=highlight><pre><span class=k>word</span> <span class=c style='color:#bbb'>pale words</span></pre></div>",
     "color-contrast"),
    ("", None),
])  # fmt: skip
def test_the_accessibility_check_finds_planted_faults(browser, tmp_path, body, rule):
    page = tmp_path / "planted.html"
    page.write_text(f"<!doctype html><html lang=en><title>t</title><body>{GOOD.format(body)}</body></html>")
    reader = Reader(browser, 390, "light")
    reader.open(page, ready="() => true")
    found = blocked_readers(reader, page)
    reader.context.close()
    assert [line for line in found if rule and f" {rule} " in line] or not rule
    assert len(found) == (1 if rule else 0)
