"""The printed book: what is refused, and, with Chromium, what stands on paper."""

from __future__ import annotations

import re
import unicodedata

import pytest
from browserhelpers import ROOT, SITE, sources

from canonlib.book import pdf
from canonlib.errors import ConfigError


def test_without_chromium_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="no Chromium found.*apt-get install chromium.*CHROMIUM"):
        pdf.print_book(ROOT)


def test_a_chromium_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("CHROMIUM", "no-such-browser")
    with pytest.raises(ConfigError, match="CHROMIUM is 'no-such-browser'"):
        pdf.find_chromium()


def test_another_kind_of_file_is_refused_before_anything_is_built(monkeypatch, tmp_path):
    pytest.importorskip("playwright.sync_api")
    monkeypatch.setattr(pdf, "find_chromium", lambda: "chromium")
    monkeypatch.setattr(pdf, "build_single_page", lambda root: pytest.fail("it was built"))
    with pytest.raises(ConfigError, match=r"ends in \.pdf"):
        pdf.print_book(ROOT, tmp_path / "book.html")


def test_a_book_that_cannot_be_built_says_what_the_builder_said(tmp_path):
    pytest.importorskip("jupyter_book")
    (tmp_path / "book").mkdir()
    with pytest.raises(pdf.PdfError, match="could not be built as one page"):
        pdf.build_single_page(tmp_path)


def chromium_or_skip() -> None:
    pytest.importorskip("playwright.sync_api")
    try:
        pdf.find_chromium()
    except ConfigError as error:
        pytest.skip(str(error))


PAGE = """<!doctype html><html lang=en><title>t</title><body><nav>frame of the site</nav><main><article class=bd-article>
<section><h1>First title<a class=headerlink href="#">#</a></h1><p>Start.</p>
<div><span id="document-02-two"></span><section><h2>2. Second title</h2><details><summary>Solution</summary>
<p>It was folded.</p></details><section><h3>2.1. Below</h3><p>End.</p></section></section></div>
</section></article></main></body></html>"""


@pytest.mark.browser
def test_a_small_page_has_title_contents_numbers_and_what_was_folded(tmp_path):
    chromium_or_skip()
    reader = pytest.importorskip("pypdf", reason="pypdf is not installed (pip install -e .[dev])").PdfReader
    page = tmp_path / "intro.html"
    page.write_text(PAGE)
    printed = pdf.print_book(ROOT, tmp_path / "out" / "small.pdf", page)
    found = reader(printed.path)
    text = "\n".join(p.extract_text() for p in found.pages)
    assert printed.headings == 3
    for words in ("Canonical units?", "Contents", "It was folded.", "2.1. Below", f"1 / {len(found.pages)}"):
        assert words in text
    assert text.count("Second title") == 2, "once in the contents, once in its place"
    assert "frame of the site" not in text
    assert "title#" not in text


@pytest.mark.browser
def test_a_page_with_a_figure_that_is_never_drawn_is_not_printed(tmp_path, monkeypatch):
    chromium_or_skip()
    page = tmp_path / "intro.html"
    page.write_text(PAGE.replace("<p>Start.</p>", "<div class=canon-plotly></div>"))
    monkeypatch.setattr(pdf, "PATIENCE", 500)
    with pytest.raises(pdf.PdfError, match="not all of intro.html was drawn within 0.5 s .1 figures"):
        pdf.print_book(ROOT, tmp_path / "small.pdf", page)
    assert not (tmp_path / "small.pdf").exists()


@pytest.fixture(scope="module")
def book():
    """The whole book, printed once, unless it is there already and newer than its sources."""
    chromium_or_skip()
    pytest.importorskip("jupyter_book")
    reader = pytest.importorskip("pypdf", reason="pypdf is not installed (pip install -e .[dev])").PdfReader
    path = SITE.parent / "pdf" / pdf.NAME
    if not path.exists() or path.stat().st_mtime < max(p.stat().st_mtime for p in sources()):
        pdf.print_book(ROOT)
    return [page.extract_text() for page in reader(path).pages]


def titles() -> list[str]:
    """The title of every chapter, from its source."""
    found = [re.search(r"^# # (.+)$", p.read_text(encoding="utf-8"), re.M) for p in (ROOT / "notebooks").glob("*.py")]
    return [match[1] for match in found if match]


def plain(text: str) -> str:
    """Letters and digits alone; a ligature, as fonts have it for "fi", counts as its letters."""
    return re.sub(r"\W+", "", unicodedata.normalize("NFKC", text)).lower()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.weekly
def test_the_printed_book_has_every_chapter_its_captions_and_page_numbers(book):
    whole = plain("".join(book))
    assert len(titles()) >= 8
    assert [t for t in titles() if whole.count(plain(t)) < 2] == [], (
        "each title stands in the contents and in its place"
    )
    captions = re.findall(
        r"\*\*(Figure \d+\.\d+)\.\*\*", "".join(p.read_text() for p in (ROOT / "notebooks").glob("*.py"))
    )
    assert captions
    assert [c for c in captions if plain(c) not in whole] == []
    assert re.search(rf"\b{len(book)} / {len(book)}\b", book[-1])
    feet = [plain(f"Canonical units? {n} / {len(book)}") for n in range(1, len(book) + 1)]
    assert [n for n, (text, foot) in enumerate(zip(book, feet), 1) if plain(text) == foot] == [], "empty pages"
    notes = "".join(p.read_text() for p in (ROOT / "notebooks").glob("*.py")).count(":::{margin} The paper differs")
    assert whole.count(plain("The paper differs")) >= notes > 5, "margin notes are boxes on paper"
    assert plain("Hide code cell") not in whole
