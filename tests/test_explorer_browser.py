"""The explorer in headless Chromium, from a folder, with the network blocked and with tokens that mean harm."""

from __future__ import annotations

import re
import shutil

import pytest
import torch
from axehelpers import GRAVE, RUN
from explorehelpers import HOSTILE, Tab, ragged, read, subject
from saehelpers import random_sae

from canonlib.explore import write_explorer
from canonlib.explore.folders import PARTS
from canonlib.explore.subject import Smaller

pytestmark = pytest.mark.browser

VIEWS = ("", *(f"latent/{j}" for j in range(len(HOSTILE))), "latent/29", "meta/0", "meta/3", "meta/9", "metas", "metas/name",
         "graph/1", "graph/7", "search/name", "search/nothing at all", "latent/30", "nowhere", "search/%E0%A4%A")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_explorer(subject(), tmp_path_factory.mktemp("site") / "explorer", progress=False).folder


@pytest.fixture(scope="module")
def ours(folder):
    return read(folder / "data" / "manifest.js")["of"]


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_is_whole_and_runs_nothing(browser, folder, width, theme):
    tab = Tab(browser, folder, width, theme).open()
    for view in VIEWS:
        tab.go(view)
        assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width + 1, view
        assert not tab.page.evaluate("() => document.querySelectorAll('main script, main img, main i').length"), view
        assert not re.search(r"\b(undefined|NaN|null)\b", tab.text()), view
    assert tab.findings() == []


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "dark")])
def test_no_view_shuts_a_reader_out(browser, folder, width, theme):
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed ([dev])")
    tab = Tab(browser, folder, width, theme).open()
    tab.page.evaluate(axe.AXE_SCRIPT)
    for view in ("", "latent/13", "meta/3", "metas", "graph/13", "search/name", "nowhere"):
        tab.go(view)
        grave = [v for v in tab.page.evaluate(RUN, []) if v["impact"] in GRAVE]
        assert grave == [], view
    assert tab.findings() == []


def test_hostile_text_is_shown_as_it_is(browser, folder):
    tab = Tab(browser, folder)
    for j, text in enumerate(HOSTILE[:7]):
        tab.open(f"latent/{j}").heading(text)
    tab.open("latent/7")
    shown = tab.page.evaluate("() => [...document.querySelectorAll('bdi')].map(b => b.textContent)")
    assert all("… (10,000 characters)" in s for s in shown if s.startswith("longlong"))
    heading = tab.page.inner_text("h1 bdi")
    assert len(heading) < 450 and max(len(s) for s in shown if s != heading) < 100
    assert tab.findings() == []


def test_a_latent_shows_all_that_is_known_of_it(browser, folder, ours):
    tab = Tab(browser, folder).open("latent/13")
    record = read(folder / "data" / "latents-0.js")[13]
    marks = {1: "✓ true", 0: "✗ not true", 2: "– not in the table", None: ""}
    told = tab.text()
    assert tab.page.locator(".context").count() == len(record["x"])
    assert tab.page.locator(".bars li").count() == len(record["p"])
    for (part, activation), mark in zip(record["p"], record["h"], strict=True):
        line = " ".join(tab.page.locator(f'a[href="#/meta/{part}@{ours}"]').inner_text().split())
        assert line.startswith(f"{part} ") and line.endswith(f"{marks[mark]} {activation:.2f}".strip())
    assert record["k"][0] in told and HOSTILE[0] in told and "(F1 0.75)" in told
    assert "of tokens · highest activation" in told and "Measured on" not in told
    assert all(f"{cosine:.2f} <i>{j}</i>" in told for row in record["s"] for j, cosine, _ in row)
    peak = tab.page.locator(".context").first.locator("bdi.peak")
    assert peak.count() == 1 and peak.get_attribute("title") == "100% of its highest activation"
    assert tab.findings() == []


def test_a_meta_latent_shows_its_evidence_and_all_its_users(browser, folder, ours):
    tab = Tab(browser, folder).open("meta/3")
    record = read(folder / "data" / "metas-0.js")[3]
    told = tab.text()
    assert f"meta-latent 3 · F1 0.60 · used by {len(record['u'])} latents · handed something on" in told
    assert "F1 0.60, where chance reaches 0.25; precision 0.50, recall 0.75" in told
    links = tab.page.locator(".bars a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert links == [f"#/latent/{u[0]}@{ours}" for u in record["u"]]
    named = next(u[0] for u in record["u"] if u[0] % 3 and u[0] >= len(HOSTILE))
    assert f"name {named} F1 {0.5 + named / 100:.2f}" in told
    tab.go("meta/1")
    assert "It has no name; its strongest users:" in tab.text()
    assert tab.findings() == []


def test_users_are_shown_in_full_when_asked_for(browser, tmp_path):
    made = write_explorer(subject(n_latents=200, names=(), truth=None), tmp_path / "many", progress=False)
    record = read(made.folder / "data" / "metas-0.js")
    m = max(range(10), key=lambda i: len(record[i]["u"]))
    assert len(record[m]["u"]) > 48
    tab = Tab(browser, made.folder).open(f"meta/{m}")
    assert tab.page.locator(".bars li").count() == 48
    tab.page.get_by_role("button", name="Show all").click()
    assert tab.page.locator(".bars li").count() == len(record[m]["u"])
    assert tab.page.get_by_role("button", name="Show all").count() == 0
    assert tab.findings() == []


def test_meta_latents_are_listed_in_the_order_that_is_asked_for(browser, folder):
    tab = Tab(browser, folder).open("metas")
    rows = read(folder / "data" / "metas.js")

    def listed():
        return [int(t.split()[0]) for t in tab.page.locator(".metas tbody tr").all_inner_texts()]

    by_score = sorted(range(10), key=lambda m: (-(rows[m].get("a") or -1), m))
    by_users = sorted(range(10), key=lambda m: (-rows[m]["nu"], m))
    assert listed() == by_score and tab.page.get_attribute("th.score", "aria-sort") == "descending"
    tab.page.focus("th.users button")
    tab.page.keyboard.press("Enter")
    tab.until("() => location.hash.startsWith('#/metas/users@')")
    assert listed() == by_users and tab.focused().startswith("users")
    tab.page.keyboard.press("Enter")
    tab.until("() => location.hash.startsWith('#/metas/users/turned@')")
    assert listed() == by_users[::-1] and tab.page.get_attribute("th.users", "aria-sort") == "ascending"
    tab.go("metas/name")
    named = [m for m in listed() if rows[m]["n"]]
    assert named == sorted(named, key=lambda m: rows[m]["n"]) and listed()[:3] == named
    assert tab.findings() == []


def test_each_of_several_meta_latents_of_one_name_has_its_number_in_every_view(browser, tmp_path):
    made = write_explorer(subject(meta_names=["same"] * 10), tmp_path / "same", progress=False)
    record = read(made.folder / "data" / "latents-0.js")[13]
    tab = Tab(browser, made.folder).open("latent/13")
    expected = [f"{m} same" for m, _ in record["p"]]
    assert [" ".join(t.split()) for t in tab.page.locator(".bars .metaname").all_inner_texts()] == expected
    tab.go("graph/13")
    drawn = tab.page.locator(".node.meta").evaluate_all("all => all.map(a => a.getAttribute('aria-label'))")
    assert [re.sub("[\u2068\u2069]", "", d).split(",")[0] for d in drawn] == expected
    assert tab.findings() == []


@pytest.mark.parametrize(("changes", "view", "told"), [
    ({"alive": torch.arange(30) != 4}, "latent/4", "It never fired in training, so the meta-SAE was not trained on it."),
    ({"alive": torch.arange(30) != 4}, "graph/4", "It never fired in training, so the meta-SAE was not trained on it."),
    ({"alive": torch.arange(30) > 9}, "", "20 of 30 latents fired in training; each of those is rebuilt from a few of 10"),
    ({}, "", "Each of 30 latents is rebuilt from a few of 10 shared meta-latents."),
    ({"texts": None}, "meta/3", "Nobody knows here which latents are dead, for want of texts"),
    ({"texts": None}, "latent/13", "Not known: it takes texts to measure, and there were none."),
    ({"smaller": [Smaller(random_sae("topk", 16, 12, dtype="float32"), "16")]}, "latent/13", "compete for places"),
    ({"texts": ragged()}, "latent/13", "of tokens"),
])  # fmt: skip
def test_what_is_not_known_is_told_with_the_reason(browser, tmp_path, changes, view, told):
    tab = Tab(browser, write_explorer(subject(**changes), tmp_path / "out", progress=False).folder).open(view)
    assert told in tab.text()
    assert tab.findings() == []


@pytest.mark.parametrize(("share", "told"), [
    (-0.0000341, "falls by 0.0034%"), (0.05612, "rises by 5.6%"), (-1e-9, "falls by less than 0.0001%"),
    (0.1234, "rises by 12.3%"), (0, "stays the same"), (-0.9999, "falls by 100%"),
])  # fmt: skip
def test_a_change_is_never_shown_as_nothing(browser, folder, share, told):
    tab = Tab(browser, folder).open()
    assert tab.page.evaluate("s => Canon.change(s)", share) == told
    assert tab.findings() == []


def test_the_graph_shows_mark_number_and_activation_at_every_width(browser, folder, ours):
    record = read(folder / "data" / "latents-0.js")[13]
    signs = {1: "✓ ", 0: "✗ ", 2: "– ", None: ""}
    for width in (1400, 390, 320):
        tab = Tab(browser, folder, width).open("graph/13")
        for (part, activation), mark in zip(record["p"], record["h"], strict=True):
            box = tab.page.locator(f'.node.meta[href="#/meta/{part}@{ours}"]')
            name, figure = box.locator("text").all_text_contents()
            assert name.startswith(f"{signs[mark]}{part}") and figure == f"{activation:.2f}"
        over = tab.page.evaluate("""() => [...document.querySelectorAll('.node')].filter(a => {
          const box = a.querySelector('rect').getBoundingClientRect(), [name, figure] = a.querySelectorAll('text');
          const end = name.getBoundingClientRect().right;
          return end > box.right + 1 || figure && end > figure.getBoundingClientRect().left + 1;
        }).length""")
        assert over == 0 and tab.findings() == [], width


def test_text_of_twice_the_size_grows_and_fits(browser, folder):
    for width in (1400, 390):
        tab = Tab(browser, folder, width).open("latent/13")
        tab.page.add_style_tag(content="html { font-size: 200%; }")
        sizes = (
            "() => ['body', 'h1', '.quiet'].map(s => parseFloat(getComputedStyle(document.querySelector(s)).fontSize))"
        )
        assert tab.page.evaluate(sizes)[0] == 32
        for view in ("latent/13", "graph/13", "meta/3", "metas", ""):
            tab.go(view)
            assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width + 1, view
        tab.go("graph/7")
        assert (
            tab.page.evaluate("() => parseFloat(getComputedStyle(document.querySelector('.node text')).fontSize)") == 26
        )
        assert tab.findings() == []


def test_bars_and_highlights_are_seen_in_forced_colours(browser, folder):
    tab = Tab(browser, folder, forced_colors="active").open("latent/13")
    seen = """() => ['.bar', '.context bdi.on'].map(s => {
      const e = document.querySelector(s), style = getComputedStyle(e);
      return style.forcedColorAdjust === 'none' && style.backgroundColor !== getComputedStyle(document.body).backgroundColor;
    })"""
    assert tab.page.evaluate(seen) == [True, True]
    assert tab.findings() == []


def broken(folder, tmp_path, name, content=None):
    """A copy whose file ``name`` is missing, or holds something else."""
    copy = shutil.copytree(folder, tmp_path / "broken")
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    return copy


@pytest.mark.parametrize(("name", "content", "told"), [
    ("data/latents-0.js", None, "data/latents-0.js is missing"),
    ("data/latents-0.js", 'canonData("latents-0",[{"n":"cut o', "data/latents-0.js cannot be read"),
    ("data/latents-0.js", 'canonData("latents-1",[]);', "data/latents-0.js cannot be read"),
    ("data/latents-0.js", 'canonData("latents-0",[]);', "data/latents-0.js holds nothing about number 3"),
    ("data/metas.js", None, "data/metas.js is missing"),
])  # fmt: skip
@pytest.mark.parametrize("view", ["latent", "graph"])
def test_a_record_that_cannot_be_read_is_told_with_its_file(browser, folder, tmp_path, name, content, told, view):
    tab = Tab(browser, broken(folder, tmp_path, name, content)).open(f"{view}/3")
    tab.until("t => document.querySelector('main [role=alert]')?.textContent.includes(t)", told)
    tab.heading("Latent 3")
    assert all(name in w or "FILE_NOT_FOUND" in w or "Invalid or unexpected token" in w for w in tab.findings())


@pytest.mark.parametrize(("content", "told"), [
    (None, "data/manifest.js is missing"), ("canonData(", "data/manifest.js cannot be read"), ("", "cannot be read"),
    ('canonData("manifest",{"format":99});', "format 99"),
])  # fmt: skip
def test_a_manifest_that_cannot_be_read_is_told(browser, folder, tmp_path, content, told):
    tab = Tab(browser, broken(folder, tmp_path, "data/manifest.js", content))
    tab.page.goto((tab.folder / "index.html").as_uri())
    tab.until("t => document.body.textContent.includes(t)", told)
    tab.context.close()


def test_a_library_that_is_missing_is_named(browser, folder, tmp_path):
    tab = Tab(browser, broken(folder, tmp_path, "vue.js"))
    tab.page.goto((tab.folder / "index.html").as_uri())
    tab.until("() => document.body.textContent.includes('vue.js is missing')")
    tab.context.close()


def test_no_record_is_shown_under_another_number(browser, tmp_path, monkeypatch):
    """The next one's piece cannot be read: the page says so, and nothing of the last one stays."""
    from canonlib.explore import data

    monkeypatch.setattr(data, "CHUNK", 10)
    made = write_explorer(subject(), tmp_path / "out", progress=False).folder
    (made / "data" / "latents-2.js").unlink()
    tab = Tab(browser, made)
    for view in ("latent", "graph"):
        tab.open(f"{view}/19")
        tab.until("() => document.querySelector('h1').textContent.includes('name 19')")
        tab.page.evaluate("v => { location.hash = v; }", f"#/{view}/20")
        tab.until("() => document.querySelector('main [role=alert]')")
        tab.heading("Latent 20")
        assert "name 19" not in tab.text() and tab.page.locator(".bars, svg").count() == 0
        tab.page.evaluate("v => { location.hash = v; }", f"#/{view}/18")
        tab.until("() => document.querySelector('h1').textContent.includes('name 18')")
    assert all("latents-2.js" in w or "FILE_NOT_FOUND" in w for w in tab.findings())


def test_no_template_takes_html_and_every_part_is_loaded():
    from importlib.resources import files

    static = files("canonlib.explore").joinpath("static")
    scripts = [p for p in static.iterdir() if p.name.endswith(".js")]
    assert len(scripts) > 10 and not any(
        re.search(r"v-html=|innerHTML|insertAdjacentHTML|document\.write", p.read_text()) for p in scripts
    )
    page = static.joinpath("index.html").read_text()
    loaded = re.findall(r'<script src="([\w.]+)"', page)
    assert (
        {*loaded, "index.html", "explorer.css"} == {*PARTS, "vue.js"} == {p.name for p in static.iterdir()} | {"vue.js"}
    )
