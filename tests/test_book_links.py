"""The check of links inside the site on planted faults, the mending of source pages, and the launch buttons."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from canonlib.book import check_links
from canonlib.book.sourcelinks import documented, mend_source_links

ROOT = Path(__file__).resolve().parents[1]
CLEAN = """<html><body id="top-of-all"><h1 id="one">One</h1><a name="old"></a>
<a href="#one">here</a><a href="#old">named</a><a href="#">top</a><a href="#top">top</a><a href="">self</a>
<a href="other.html">page</a><a href="other.html#two%20words">place</a><a href="sub/">folder</a>
<a href="sub/index.html#latent=3">state</a><a href="/other.html?q=1">from the root</a><a href="data.txt#L3">file</a>
<a href="https://example.org/gone">out</a><a href="//example.org/gone">out</a><a href="mailto:a@example.org">mail</a>
</body></html>"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text(CLEAN)
    (tmp_path / "other.html").write_text('<p id="two words"><a href="index.html#one">back</a></p>')
    (tmp_path / "data.txt").write_text("1")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text('<a href="../index.html">up</a>')
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "template.html").write_text('<a href="{{ filled in elsewhere }}">x</a>')
    return tmp_path


def test_a_sound_site_passes(site, capsys):
    assert check_links.problems(site) == []
    assert check_links.main([str(site)]) == 0
    assert "leads somewhere" in capsys.readouterr().out


@pytest.mark.parametrize(("planted", "finding"), [
    ('<a href="gone.html">', "no such page: gone.html"),
    ('<a href="gone.html">again</a><a href="gone.html">', "no such page: gone.html"),
    ('<a href="sub/gone.html#x">', "no such page: sub/gone.html#x"),
    ('<a href="#nowhere">', "no such place: #nowhere"),
    ('<a href="other.html#one">', "no such place: other.html#one"),
    ('<a href="/sub/other.html">', "no such page: /sub/other.html"),
    ('<area href="gone.html">', "no such page: gone.html"),
    ('<a href="_static/">', "no such page: _static/"),
    ('<a href="https://[half/an/address">', "not a link: https://[half/an/address"),
    ('<p id="one">', "two places of one name: #one"),
])  # fmt: skip
def test_a_planted_fault_is_found_once(site, planted, finding):
    (site / "index.html").write_text(CLEAN.replace("</body>", planted + "</body>"))
    assert check_links.problems(site) == [f"index.html: {finding}"]
    assert check_links.main([str(site)]) == 1


def test_a_link_out_of_the_folder_is_found(site):
    (site.parent / "beside.html").write_text("x")
    (site / "sub" / "index.html").write_text('<a href="../../beside.html">')
    assert check_links.problems(site) == ["sub/index.html: leaves the site's folder: ../../beside.html"]


def test_checking_nothing_does_not_pass(tmp_path, capsys):
    assert check_links.main([str(tmp_path)]) == 2
    assert check_links.main([]) == 2
    assert "build the book first" in capsys.readouterr().err


OBJECTS = {
    "canonlib.world.table.Fact": SimpleNamespace(docname="api/world", node_id="canonlib.world.table.Fact"),
    "canonlib.world.match": SimpleNamespace(docname="api/world", node_id="canonlib.world.match"),
    "canonlib.world.table.Fact.text": SimpleNamespace(docname="api/world", node_id="canonlib.world.table.Fact.text"),
}


@pytest.mark.parametrize(("name", "found"), [
    ("canonlib.world.match", "canonlib.world.match"),
    ("canonlib.world.Fact", "canonlib.world.table.Fact"),
    ("canonlib.world.Fact.text", "canonlib.world.table.Fact.text"),
    ("canonlib.world.read_rows", None),
])  # fmt: skip
def test_names_are_found_where_they_are_documented(name, found):
    assert documented(name, "canonlib.world.table", OBJECTS) == found


def mended(pagename, body):
    env = SimpleNamespace(
        get_domain=lambda name: SimpleNamespace(objects=OBJECTS),
        _viewcode_modules={"canonlib.world.table": ("code", {}, {}, ""), "builtins": False},
    )
    builder = SimpleNamespace(get_relative_uri=lambda page, doc: f"../../../{doc}.html")
    context = {"body": body}
    mend_source_links(SimpleNamespace(env=env, builder=builder), pagename, "page.html", context, None)
    return context["body"]


def test_source_pages_lead_back_to_documented_names_only():
    link = '<a class="viewcode-back" href="../../../api/world.html#canonlib.world.{}">[docs]</a>'
    page = "_modules/canonlib/world/table"
    assert mended(page, link.format("Fact")) == link.format("table.Fact")
    assert mended(page, "a" + link.format("read_rows") + "b") == "ab"
    assert mended("glossary", link.format("Fact")) == link.format("Fact")


def test_the_list_of_sources_names_only_those_that_are_there():
    there = '<li><a href="canonlib/world/table.html">canonlib.world.table</a></li>'
    assert mended("_modules/index", f'{there}<li><a href="builtins.html">builtins</a></li>') == there


def test_launch_buttons_open_the_executed_notebooks():
    built = ROOT / "book" / "_build" / "html"
    if not built.is_dir():
        pytest.skip("needs the built site (make html)")
    branch = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))["repository"]["branch"]
    for notebook in sorted((ROOT / "book").glob("*.ipynb")):
        links = check_links.read_page(built / f"{notebook.stem}.html").links
        path = f"book/{notebook.name}"
        assert f"https://colab.research.google.com/github/canonlib/canonlib/blob/{branch}/{path}" in links
        assert f"https://mybinder.org/v2/gh/canonlib/canonlib/{branch}?urlpath=lab/tree/{path}" in links
    assert not [link for link in check_links.read_page(built / "glossary.html").links if "colab" in link]
