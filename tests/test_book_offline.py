"""The MIME renderers on hand-made outputs, and the check that a site loads nothing remote."""

from __future__ import annotations

import json
import re
from html import escape
from types import SimpleNamespace

import pytest

pytest.importorskip("sphinx", reason="the book's tools are not installed (pip install -e .[book])")

from canonlib.book import apidocs, check_offline
from canonlib.book.mime import PLOTLY, CircuitsVisMime, PlotlyMime, figure_alt
from canonlib.book.offline import _drop_thebe, vendor_sources
from canonlib.viz import attention_patterns, colored_tokens

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


def render(plugin, mime, content):
    data = SimpleNamespace(mime_type=mime, content=content, string=content if isinstance(content, str) else "")
    nodes = plugin.handle_mime(None, data, False)
    return None if nodes is None else nodes[0].astext()


def embedded(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1])


def test_plotly_becomes_a_div_with_the_same_figure():
    figure = {"data": [{"y": [1, 2]}], "layout": {"height": 300, "meta": {"alt": "two points"}}}
    html = render(PlotlyMime, PLOTLY, figure)
    assert embedded(html) == figure
    assert 'class="canon-plotly"' in html
    assert 'role="figure" aria-label="two points"' in html
    assert "height:300px" in html


def test_plotly_escapes_hostile_strings_in_json_and_alt():
    figure = {"data": [{"text": [HOSTILE]}], "layout": {"meta": {"alt": HOSTILE}}}
    html = render(PlotlyMime, PLOTLY, figure)
    assert embedded(html) == figure
    assert html.count("</script>") == 1
    assert "<img" not in html
    label = re.search(r'aria-label="([^"]*)"', html)[1]
    assert "&quot;" in label
    assert "&lt;/script&gt;" in label


@pytest.mark.parametrize(("layout", "alt"), [
    ({"meta": {"alt": "words"}, "title": {"text": "T"}}, "words"),
    ({"title": {"text": "<b>Low</b> cosine"}}, "Low  cosine"),
    ({"title": "T"}, "T"),
    ({}, "Interactive figure"),
    ({"meta": [1]}, "Interactive figure"),
])  # fmt: skip
def test_alt_text_falls_back_in_order(layout, alt):
    assert figure_alt({"layout": layout}).split() == alt.split()


def test_other_outputs_are_left_alone():
    assert render(PlotlyMime, "text/html", "<p>") is None
    assert render(CircuitsVisMime, "text/html", "<p>hello</p>") is None
    assert render(CircuitsVisMime, "text/plain", "circuits-vis-1") is None
    assert render(CircuitsVisMime, "text/html", "prose that mentions circuits-vis-1 only") is None


@pytest.mark.parametrize("tokens", [["a", "b"], [HOSTILE, "}) </script>"]])
def test_token_views_become_local_divs(tokens):
    html = render(CircuitsVisMime, "text/html", colored_tokens(tokens, [0.5, 1.0]).to_html())
    shown = [escape(token, quote=False) for token in tokens]  # CircuitsVis sets them as inner HTML
    assert embedded(html) == {"tokens": shown, "values": [0.5, 1.0]}
    assert 'data-component="ColoredTokens"' in html
    assert "unpkg" not in html
    assert html.count("</script>") == 1


def test_token_views_as_circuitsvis_writes_them_itself():
    import circuitsvis

    html = str(circuitsvis.attention.attention_patterns(["a", "b"], [[[1.0, 0.0], [0.5, 0.5]]]))
    local = render(CircuitsVisMime, "text/html", html)
    assert embedded(local) == attention_patterns(["a", "b"], [[[1.0, 0.0], [0.5, 0.5]]]).props


def test_inlined_bundle_is_reduced_to_its_call():
    call = 'CircuitsVis.render(\n"circuits-vis-12ab",\nCircuitsVis.ColoredTokens,\n{"tokens":["a"]}\n)\n</script>'
    html = '<div id="circuits-vis-12ab"></div><script>' + "BUNDLE" * 1000 + call
    assert embedded(render(CircuitsVisMime, "text/html", html)) == {"tokens": ["a"]}


def test_vendor_files_are_in_the_installed_wheels():
    for name, path in vendor_sources().items():
        assert path.is_file(), name
        assert path.stat().st_size > 500


def test_thebe_is_dropped_and_repeats_too():
    def script(filename, body=""):
        return SimpleNamespace(filename=filename, attributes={"body": body})

    thebe = [script("", 'const THEBE_JS_URL = "https://x"'), script("sphinx-thebe.js")]
    scripts = [script("a.js"), *thebe, script("a.js")]
    _drop_thebe(None, "", "", {"script_files": scripts}, None)
    assert [s.filename for s in scripts] == ["a.js"]


CLEAN = """<html><head><link rel="stylesheet" href="style.css?v=1"><link rel="canonical" href="https://x.org/">
<script src="local.js"></script></head><body><a href="https://example.org">link</a>
<img src="data:image/png;base64,AA==">
<script type="application/json">{"note": "import x from 'https://cdn'"}</script></body></html>"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text(CLEAN)
    (tmp_path / "style.css").write_text("p { background: url(data:image/png;base64,AA==) }")
    (tmp_path / "local.js").write_text("1")
    return tmp_path


def test_a_clean_site_passes(site, capsys):
    assert check_offline.problems(site) == []
    assert check_offline.main([str(site)]) == 0
    assert "loads nothing remote" in capsys.readouterr().out


@pytest.mark.parametrize("planted", [
    '<script src="https://cdn.example/x.js"></script>',
    '<script src="//cdn.example/x.js"></script>',
    '<link rel="stylesheet" href="https://cdn.example/x.css">',
    '<link rel="preconnect" href="https://fonts.example">',
    '<img src="HTTPS://example.org/x.png">',
    '<img srcset="a.png 1x, https://example.org/x.png 2x">',
    '<iframe src="http://example.org"></iframe>',
    '<video poster="https://example.org/x.png"></video>',
    '<base href="https://example.org/">',
    '<p style="background:url(https://example.org/x.png)">',
    "<style>@import url('https://fonts.example/x.css');</style>",
    '<script type="module">import { render } from "https://unpkg.example/esm.js";</script>',
    "<script>fetch('https://example.org/data.json')</script>",
    "<script>s.src = 'https://example.org/x.js'</script>",
    "<script>new WebSocket('wss://example.org')</script>",
    '<svg><use xlink:href="https://example.org/a.svg#b"/></svg>',
    '<script src="gone.js"></script>',
    '<img src="gone.png">',
])  # fmt: skip
def test_a_planted_load_is_flagged_once(site, planted):
    (site / "index.html").write_text(CLEAN.replace("</body>", planted + "</body>"))
    found = check_offline.problems(site)
    assert len(found) == 1, found
    assert found[0].startswith("index.html: ")
    assert check_offline.main([str(site)]) == 1


def test_a_remote_load_in_css_is_flagged(site):
    (site / "style.css").write_text("@font-face { src: url('https://fonts.example/a.woff2') }")
    assert check_offline.problems(site) == ["style.css: loads from the network: https://fonts.example/a.woff2"]


def test_checking_nothing_does_not_pass(tmp_path, capsys):
    assert check_offline.main([str(tmp_path)]) == 2
    assert check_offline.main([]) == 2
    assert "build the book first" in capsys.readouterr().err


def test_docstrings_become_safe_rst():
    lines = ["Share of ``a|b`` where |x| * y; see `f` and f_.", "", "name: what it is,", "    over two lines.",
             "other: more", "After."]  # fmt: skip
    apidocs.plain_docstring(None, "function", "f", None, None, lines)
    assert lines == [
        r"Share of ``a|b`` where \|x\| \* y; see ``f`` and f\_.", "",
        "* ``name``: what it is, over two lines.", "* ``other``: more", "", "After.",
    ]  # fmt: skip


def test_examples_stay_examples_between_prose():
    lines = ["Shows a * b.", ">>> f(a * b)", "| a | b_ |", "", "After|wards.", "", ">>> g()", "::"]
    apidocs.plain_docstring(None, "function", "f", None, None, lines)
    assert lines == [
        r"Shows a \* b.", "", ">>> f(a * b)", "| a | b_ |", "", r"After\|wards.", "", ">>> g()", "::",
    ]  # fmt: skip


def test_room_modules_lists_public_modules_only():
    names = apidocs.room_modules("canonlib.book")
    assert names[0] == "canonlib.book"
    assert "canonlib.book.runner" in names
    assert apidocs.room_modules("canonlib.nothing_here") == []


def test_a_norm_at_the_beginning_of_a_line_is_no_substitution() -> None:
    lines = ["Length of what each latent adds:", "|d_j|, or 1 where it is divided out."]
    apidocs.plain_docstring(None, "function", "f", None, None, lines)
    assert any(r"\|d_j\|" in line for line in lines), lines
