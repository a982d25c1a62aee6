"""The explorer in headless Chromium, from a folder, with the network blocked and with tokens that mean harm."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from axehelpers import GRAVE, RUN
from browserhelpers import NOISE, open_browser
from explorehelpers import HOSTILE, subject

from canonlib.explore import write_explorer

pytestmark = pytest.mark.browser

VIEWS = ("", *(f"latent/{j}" for j in range(len(HOSTILE))), "latent/29", "meta/0", "meta/3", "meta/9", "graph/1", "graph/7",
         "search/name", "search/nothing at all", "latent/30", "nowhere", "search/%E0%A4%A")  # fmt: skip
SETTLED = "() => !document.querySelector('main .wait') && document.querySelector('main h1, main .results p')"


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_explorer(subject(), tmp_path_factory.mktemp("site") / "explorer", progress=False).folder


class Tab:
    """A page of the explorer that remembers all that went wrong in it."""

    def __init__(self, window, folder, width=1400, theme="light"):
        self.folder, self.wrong = folder, []
        self.context = window.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("dialog", lambda d: (self.wrong.append(f"dialog: {d.message}"), d.dismiss()))
        self.page.on(
            "request",
            lambda r: r.url.startswith("file:") or r.url == "data:," or self.wrong.append(f"asked for {r.url}"),
        )
        self.page.on("requestfailed", lambda r: self.wrong.append(f"failed: {r.url}"))
        self.page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.wrong.append(f"console: {m.text}"))

    def open(self, view=""):
        self.page.goto((self.folder / "index.html").as_uri() + f"#/{view}")
        self.settle()
        return self

    def settle(self):
        self.page.wait_for_function(SETTLED)

    def heading(self, text):
        self.page.wait_for_function("t => document.querySelector('h1')?.textContent === t", arg=text)

    def findings(self):
        self.context.close()
        return [w for w in self.wrong if not any(n in w for n in NOISE)]


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_is_whole_and_runs_nothing(browser, folder, width, theme):
    tab = Tab(browser, folder, width, theme).open()
    for view in VIEWS:
        tab.page.evaluate("v => { location.hash = '#/' + v; }", view)
        tab.settle()
        assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width + 1, view
        assert not tab.page.evaluate("() => document.querySelectorAll('main script, main img, main i').length"), view
    assert tab.findings() == []


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "dark")])
def test_no_view_shuts_a_reader_out(browser, folder, width, theme):
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed ([dev])")
    tab = Tab(browser, folder, width, theme).open()
    tab.page.evaluate(axe.AXE_SCRIPT)
    for view in ("", "latent/13", "meta/3", "graph/13", "search/name", "nowhere"):
        tab.page.evaluate("v => { location.hash = '#/' + v; }", view)
        tab.settle()
        grave = [v for v in tab.page.evaluate(RUN, []) if v["impact"] in GRAVE]
        assert grave == [], view
    assert tab.findings() == []


def test_hostile_text_is_shown_as_it_is(browser, folder):
    tab = Tab(browser, folder)
    for j, text in enumerate(HOSTILE[:7]):
        tab.open(f"latent/{j}").heading(text)
    tab.open("latent/7")
    shown = tab.page.evaluate("() => [...document.querySelectorAll('bdi')].map(b => b.textContent)")
    assert any("… (10,000 characters)" in s for s in shown)
    assert max(map(len, shown)) < 100
    assert tab.findings() == []


def test_a_latent_shows_all_that_is_known_of_it(browser, folder):
    tab = Tab(browser, folder).open("latent/13")
    record = json.loads((folder / "data" / "latents-0.js").read_text().split(",", 1)[1][:-3])[13]
    tab.page.wait_for_selector(".context")
    told = tab.page.inner_text("main")
    assert tab.page.locator(".context").count() == len(record["x"])
    assert tab.page.locator(".bars li").count() == len(record["p"])
    for part, activation in record["p"]:
        assert f"{activation:.2f}" in tab.page.locator(f'a[href="#/meta/{part}"]').inner_text()
    assert record["k"][0] in told and HOSTILE[0] in told
    assert all(f"{cosine:.2f} <i>{j}</i>" in " ".join(told.split()) for row in record["s"] for j, cosine, _ in row)
    peak = tab.page.locator(".context").first.locator("bdi.peak")
    assert peak.count() == 1 and peak.get_attribute("title") == "100% of its highest activation"
    assert tab.findings() == []


def test_search_walk_back_and_a_shared_link(browser, folder):
    tab = Tab(browser, folder).open()
    page = tab.page
    page.keyboard.press("/")
    page.keyboard.type("name:2", delay=5)
    page.wait_for_function("() => document.querySelectorAll('.hits a').length === 12")  # an <img>, 12, and 20 to 29
    assert page.url.endswith("#/search/name%3A2")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab.heading("name 20")
    page.keyboard.press("g")
    page.wait_for_selector("svg .node.centre")
    other = page.locator(".node.latent:not(.centre)").first
    wanted = other.get_attribute("href")
    other.click()
    page.wait_for_function("h => location.hash === h", arg=wanted)
    shared = page.url
    page.go_back()
    tab.heading("name 20")
    page.go_back()
    page.go_back()
    page.wait_for_selector(".hits a")
    page.go_back()
    tab.heading("A test & <b>more</b>")
    second = Tab(browser, folder)
    second.page.goto(shared)
    second.page.wait_for_selector("svg .node.centre")
    assert second.page.locator(".node.centre").get_attribute("href") == wanted.replace("graph", "latent")
    assert tab.findings() + second.findings() == []


@pytest.mark.parametrize(("query", "first"), [
    ("13", 13),
    ("#13", 13),
    ("NAME 17", 17),
    ("שלום", 4),
    ("alert(2)", 1),
    ("name:17", 17),
])  # fmt: skip
def test_search_finds_by_number_and_name(browser, folder, query, first):
    tab = Tab(browser, folder).open(f"search/{quote(query)}")
    tab.page.wait_for_selector(".hits a")
    assert tab.page.locator(".hits a").first.get_attribute("href") == f"#/latent/{first}"
    assert tab.findings() == []


@pytest.mark.parametrize("kind", ["token", "fact"])
def test_search_finds_by_token_and_fact(browser, folder, kind):
    data = {n: json.loads((folder / "data" / f"{n}.js").read_text().split(",", 1)[1][:-3]) for n in ("index", "tokens")}
    if kind == "token":
        word = next(
            w
            for row in data["index"]["tokens"]
            for w in [data["tokens"][t] for t in row[0][:1]]
            if re.fullmatch(r"w\d+", w)
        )
        wanted = {j for j, row in enumerate(data["index"]["tokens"]) if any(word in data["tokens"][t] for t in row[0])}
    else:
        word, wanted = "country=Germany", {j for j, row in enumerate(data["index"]["facts"]) if 0 in row}
    tab = Tab(browser, folder).open(f"search/{quote(kind + ':' + word)}")
    tab.page.wait_for_selector(".hits a")
    links = tab.page.locator(".hits a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert {int(link.rpartition("/")[2]) for link in links} == wanted
    assert tab.findings() == []


def test_keys_walk_and_the_button_turns_the_colours(browser, folder):
    tab = Tab(browser, folder, theme="dark").open("latent/13")
    tab.heading("name 13")
    tab.page.keyboard.press("j")
    tab.heading("name 14")
    tab.page.keyboard.press("k")
    tab.heading("name 13")
    dark = tab.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    tab.page.click("button.theme")
    assert tab.page.evaluate("() => getComputedStyle(document.body).backgroundColor") != dark
    tab.page.keyboard.press("h")
    tab.heading("A test & <b>more</b>")
    assert tab.findings() == []


def test_a_file_that_is_missing_is_named(browser, folder, tmp_path):
    import shutil

    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "data" / "latents-0.js").unlink()
    tab = Tab(browser, broken)
    tab.page.goto((broken / "index.html").as_uri() + "#/latent/3")
    tab.page.wait_for_function("() => document.querySelector('main')?.textContent.includes('latents-0.js is missing')")
    (broken / "data" / "manifest.js").write_text('canonData("manifest",{"format":99});')
    tab.page.reload()
    tab.page.wait_for_function("() => document.body.textContent.includes('format 99')")
    assert any("latents-0.js" in w for w in tab.findings())


def test_no_template_takes_html():
    from importlib.resources import files

    scripts = [p for p in files("canonlib.explore").joinpath("static").iterdir() if p.name.endswith(".js")]
    assert scripts and not any(
        re.search(r"v-html=|innerHTML|insertAdjacentHTML|document\.write", p.read_text()) for p in scripts
    )
