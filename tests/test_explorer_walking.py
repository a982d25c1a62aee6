"""Going about in the explorer: searches, keys, addresses, the way back, and where the focus is."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
import torch
from explorehelpers import HOSTILE, Tab, read, subject

from canonlib.explore import write_explorer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Latents 16 and 17 never fired in training."""
    alive = torch.ones(30, dtype=torch.bool)
    alive[[16, 17]] = False
    return write_explorer(subject(alive=alive), tmp_path_factory.mktemp("site") / "explorer", progress=False).folder


@pytest.fixture(scope="module")
def ours(folder):
    return read(folder / "data" / "manifest.js")["of"]


def hits(tab):
    return tab.page.locator(".hits a").evaluate_all(
        "all => all.map(a => a.getAttribute('href').split('@')[0].slice(2))"
    )


def test_search_walk_back_and_a_shared_link(browser, folder, ours):
    tab = Tab(browser, folder).open()
    page = tab.page
    page.keyboard.press("/")
    page.keyboard.type("name:2", delay=5)
    tab.until("() => document.querySelectorAll('.hits a').length === 12")  # an <img>, 12, and 20 to 29
    assert page.url.endswith(f"#/search/name%3A2@{ours}")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab.heading("name 20")
    page.keyboard.press("g")
    tab.heading("The graph around name 20")
    other = page.locator(".node.latent:not(.centre)").first
    wanted = other.get_attribute("href")
    other.click()
    tab.until("h => location.hash === h", wanted)
    shared = page.url
    page.go_back()
    tab.heading("The graph around name 20")
    page.go_back()
    tab.heading("name 20")
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
    ("13", "latent/13"), ("#13", "latent/13"), ("NAME 17", "latent/17"), ("שלום", "latent/4"), ("alert(2)", "latent/1"),
    ("name:17", "latent/17"), ("currency=Euro", "meta/3"), ("country=Germany", "meta/6"), ("5", "latent/5"),
])  # fmt: skip
def test_the_best_hit_comes_first_and_enter_opens_it(browser, folder, query, first):
    tab = Tab(browser, folder).open(f"search/{quote(query)}")
    assert hits(tab)[0] == first
    tab.page.keyboard.press("/")
    tab.page.keyboard.press("Enter")
    tab.until("h => location.hash.startsWith(h)", f"#/{first}@")
    assert tab.findings() == []


@pytest.mark.parametrize("field", ["token", "fact", "part", "user"])
def test_a_field_of_its_own_finds_what_the_data_hold(browser, folder, field):
    """Brute force over records and lists; and each hit says why."""
    latents, metas = read(folder / "data" / "latents-0.js"), read(folder / "data" / "metas.js")
    tokens, facts = read(folder / "data" / "tokens.js"), read(folder / "data" / "manifest.js")["facts"]
    peaks = [list(dict.fromkeys(x[0][x[2]] for x in r["x"]))[:6] for r in latents]
    fires = [[tokens[t] for t in row] for row in peaks]
    holds = [[facts[t] for t in r.get("t", [])] + [facts[f[0]] for f in r["f"] if f[1] >= 0.5] for r in latents]
    parts = [[metas[m]["n"] for m, _ in r["p"]] for r in latents]
    users = [[r["n"] for r in latents if m in [p for p, _ in r["p"]]] for m in range(len(metas))]
    user = next(u for row in users for u in row if u.startswith("name"))
    cases = {
        "token": (next(t for row in fires for t in row if t.startswith("w")), fires, [[]] * 10, "fires on"),
        "fact": ("country=France", holds, [[m["n"]] for m in metas], "true of it:"),
        "part": ("currency=Euro", parts, [[]] * 10, "has the part"),
        "user": (user.split()[0], [[]] * 30, users, "used by"),
    }
    word, of_latents, of_metas, why = cases[field]
    wanted = {f"latent/{j}" for j, row in enumerate(of_latents) if any(word.lower() in t.lower() for t in row)}
    wanted |= {f"meta/{m}" for m, row in enumerate(of_metas) if any(word.lower() in t.lower() for t in row)}
    tab = Tab(browser, folder).open(f"search/{quote(field + ':' + word)}")
    while tab.page.get_by_role("button", name="Show more").count():
        tab.page.get_by_role("button", name="Show more").first.click()
        tab.page.wait_for_timeout(50)
    assert wanted and set(hits(tab)) == wanted
    shown = [" ".join(t.split()) for t in tab.page.locator(".hits li").all_inner_texts()]
    assert all(word in t and (why in t or "detects" in t or field == "fact") for t in shown)
    assert tab.findings() == []


def test_a_hit_says_why_and_says_its_number_once(browser, folder):
    bare = write_explorer(subject(names=()), folder.parent / "bare", progress=False).folder
    tab = Tab(browser, bare).open("search/country%3DFrance")
    assert tab.page.locator(".hits a").first.inner_text().split() == [
        "latent",
        "1",
        "true",
        "of",
        "it:",
        "country=France",
    ]
    tab.go("search/7")
    assert tab.text(".hits a").startswith("latent 7 fires on")
    assert tab.findings() == []


def test_what_has_no_hit_is_told_with_examples_that_have_some(browser, folder):
    tab = Tab(browser, folder).open("search/zzzz")
    assert "0 latents and 0 meta-latents for “zzzz” Nothing found." in tab.text()
    examples = tab.page.locator(".results p code").all_text_contents()
    offered = [e for e in examples if not e.endswith(":")]
    assert offered == read(folder / "data" / "manifest.js")["examples"] and offered
    for example in offered:
        tab.go(f"search/{quote(example)}")
        assert hits(tab), example
    bare = write_explorer(subject(texts=None, truth=None, names=()), folder.parent / "less", progress=False).folder
    without = Tab(browser, bare).open("search/zzzz")
    assert "such as" not in without.text() and "country" not in without.text()
    assert tab.findings() + without.findings() == []


def test_after_enter_keys_walk_and_slash_begins_anew(browser, folder):
    tab = Tab(browser, folder).open()
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("name 13")
    tab.page.keyboard.press("Enter")
    tab.heading("name 13")
    tab.page.keyboard.press("j")
    tab.heading("name 14")
    assert tab.page.input_value("input") == ""
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("13")
    tab.until("() => document.querySelectorAll('.hits a').length")
    tab.page.keyboard.press("Escape")
    assert tab.page.url.split("@")[0].endswith("#/search/13") and tab.page.input_value("input") == "13"
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("name 20")
    tab.until("() => location.hash.startsWith('#/search/name%2020')")
    assert tab.findings() == []


def test_enter_is_kept_until_the_index_is_there(browser, folder):
    tab = Tab(browser, folder).open()
    # The index comes late, as over a slow line.
    tab.page.evaluate("""() => {
      const real = document.head.appendChild.bind(document.head);
      document.head.appendChild = e => e.src && e.src.endsWith('index.js') ? (setTimeout(() => real(e), 400), e) : real(e);
    }""")
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("name 13")
    tab.page.keyboard.press("Enter")
    assert tab.page.locator(".hits a").count() == 0
    tab.heading("name 13")
    assert tab.findings() == []


def test_keys_pass_over_the_dead_and_stop_at_the_ends(browser, folder):
    tab = Tab(browser, folder).open("latent/15")
    for key, there in (("j", "name 18"), ("k", "name 15")):
        tab.page.keyboard.press(key)
        tab.heading(there)
    tab.go("latent/17")
    tab.page.keyboard.press("k")
    tab.heading("name 15")
    tab.go("latent/29")
    tab.page.keyboard.press("j")
    tab.go("meta/9")
    tab.page.keyboard.press("k")
    tab.heading("Meta-latent 8")
    tab.page.keyboard.press("m")
    tab.heading("All 10 meta-latents")
    tab.page.keyboard.press("h")
    tab.heading("A test & <b>more</b>")
    assert tab.findings() == []


def test_arrows_move_in_a_search_and_scroll_elsewhere(browser, folder):
    tab = Tab(browser, folder).open("latent/13")
    tab.page.keyboard.press("ArrowDown")
    tab.until("() => window.scrollY > 0")
    tab.page.keyboard.press("ArrowUp")
    tab.until("() => window.scrollY === 0")
    assert tab.page.evaluate("() => document.activeElement.tagName") == "BODY"
    tab.open("search/name")
    tab.page.keyboard.press("ArrowUp")  # nothing is chosen: nothing to go up from
    assert tab.page.evaluate("() => document.activeElement.tagName") in ("BODY", "H1")
    tab.page.keyboard.press("ArrowDown")
    first = tab.focused()
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("ArrowUp")
    assert tab.focused() == first
    tab.page.keyboard.press("ArrowUp")
    assert tab.page.evaluate("() => document.activeElement.tagName") == "INPUT"
    assert tab.findings() == []


def test_what_has_the_focus_is_not_under_the_header(browser, folder):
    tab = Tab(browser, folder).open("search/name")
    tab.page.set_viewport_size({"width": 1400, "height": 300})
    for key in ["ArrowDown"] * 15 + ["ArrowUp"] * 12:
        tab.page.keyboard.press(key)
    top, header = tab.page.evaluate(
        "() => [document.activeElement.getBoundingClientRect().top, document.querySelector('.top').offsetHeight]"
    )
    assert top >= header and tab.page.evaluate("() => window.scrollY") > 0
    assert tab.findings() == []


def test_the_focus_goes_to_the_new_heading_and_back_to_the_link(browser, folder):
    tab = Tab(browser, folder).open("graph/13")
    assert tab.page.evaluate("() => document.activeElement.tagName") == "BODY"  # nothing is taken when the page opens
    other = tab.page.locator(".node.latent:not(.centre)").nth(2)
    address = other.get_attribute("href")
    other.focus()
    tab.page.keyboard.press("Enter")
    tab.until("h => location.hash === h", address)
    tab.until("() => document.activeElement.tagName === 'H1'")
    assert tab.focused().startswith("The graph around")
    tab.page.go_back()
    tab.until("h => document.activeElement.getAttribute('href') === h", address)
    assert tab.findings() == []


def test_the_way_back_leads_to_the_same_place(browser, folder):
    tab = Tab(browser, folder).open("latent/13")
    tab.page.set_viewport_size({"width": 1400, "height": 500})
    tab.page.mouse.wheel(0, 400)
    tab.until("() => window.scrollY > 300")
    before = tab.page.evaluate("() => window.scrollY")
    link = tab.page.locator("a[href^='#/meta/']").first
    link.evaluate("a => a.click()")
    tab.until("() => location.hash.startsWith('#/meta/') && window.scrollY === 0")
    tab.page.go_back()
    tab.heading("name 13")
    tab.until("y => Math.abs(window.scrollY - y) < 2", before)
    # and forth and back by the browser's own buttons, without a click
    tab.page.mouse.wheel(0, 200)
    tab.until("y => window.scrollY > y", before)
    time.sleep(0.5)
    lower = tab.page.evaluate("() => window.scrollY")
    tab.page.go_forward()
    tab.until("() => location.hash.startsWith('#/meta/')")
    tab.page.go_back()
    tab.heading("name 13")
    tab.until("y => Math.abs(window.scrollY - y) < 2", lower)
    assert tab.findings() == []


def test_tab_title_and_search_box_follow_the_view(browser, folder):
    tab = Tab(browser, folder).open("latent/13")
    title = "A test & <b>more</b>"
    for view, said, typed in [
        ("latent/13", "name 13, latent 13", ""), ("graph/13", "Graph of name 13, latent 13", ""), ("meta/1", "Meta-latent 1", ""),
        ("search/name%2013", "Search: name 13", "name 13"), ("metas", "All meta-latents", ""), ("latent/14", "name 14, latent 14", ""),
    ]:  # fmt: skip
        tab.go(view)
        tab.until("t => document.title === t", f"{said} – {title}")
        assert tab.page.input_value("input") == typed
    tab.go("")
    tab.until("t => document.title === t", title)
    assert tab.findings() == []


@pytest.mark.parametrize(("view", "note"), [
    ("latent", "The address names no latent: numbers go from 0 to 29."),
    ("latent/", "The address names no latent"),
    ("meta", "The address names no meta-latent: numbers go from 0 to 9."),
    ("latent/30", "There is no latent “30”"),
    ("latent/-1", "There is no latent “-1”"),
    ("latent/abc", "There is no latent “abc”"),
    ("graph/99999999999999999999", "There is no latent “99999999999999999999”"),
    ("constructor/1", "There is no page “constructor” here."),
    ("toString", "There is no page “toString” here."),
    ("search/%E0%A4%A", "a search that cannot be read"),
])  # fmt: skip
def test_an_address_that_makes_no_sense_is_told(browser, folder, view, note):
    tab = Tab(browser, folder).open(view)
    assert note in tab.text(".note") and tab.text("h1") == "A test & <b>more</b>"
    assert tab.findings() == []


def test_a_link_made_with_other_saes_is_told(browser, folder, ours):
    tab = Tab(browser, folder).open(f"latent/13@{ours}")
    assert tab.page.locator(".note").count() == 0
    tab.open("latent/13")
    assert tab.page.locator(".note").count() == 0 and tab.page.url.endswith(f"#/latent/13@{ours}")
    tab.page.evaluate("() => { location.hash = '#/latent/14@0badf00d'; }")
    tab.heading("name 14")
    assert f"made with other SAEs (0badf00d; here are {ours})" in tab.text(".note")
    tab.page.keyboard.press("j")
    tab.heading("name 15")
    assert tab.page.locator(".note").count() == 0
    tab.open("search/a%40deadbeef")  # the sign in a search is the search's own
    assert tab.page.input_value("input") == "a@deadbeef" and tab.page.locator(".note").count() == 0
    assert tab.findings() == []


def test_the_button_turns_the_colours_and_follows_the_system(browser, folder):
    tab = Tab(browser, folder, theme="light").open("latent/13")
    colour = "() => getComputedStyle(document.body).backgroundColor"
    light, sign = tab.page.evaluate(colour), tab.text("button.theme [aria-hidden]")
    tab.page.emulate_media(color_scheme="dark")
    tab.until("s => document.querySelector('button.theme [aria-hidden]').textContent !== s", sign)
    dark = tab.page.evaluate(colour)
    assert dark != light
    tab.page.click("button.theme")
    assert tab.page.evaluate(colour) == light
    tab.page.reload()
    tab.settle()
    assert tab.page.evaluate(colour) == light
    assert tab.findings() == []


def test_hostile_names_are_found_and_shown(browser, folder):
    tab = Tab(browser, folder).open(f"search/{quote(HOSTILE[0])}")
    assert HOSTILE[0] in tab.text(".hits")
    assert tab.page.evaluate("() => document.querySelectorAll('main script').length") == 0
    assert tab.findings() == []


def test_a_name_is_whole_in_its_heading_and_cut_in_lists(browser, tmp_path):
    name = "European cities that lie at a river and were once members of the Hanseatic League of merchants"
    long = write_explorer(subject(names=[name] * 30, meta_names=[name] * 10), tmp_path / "long", progress=False).folder
    tab = Tab(browser, long)
    for view in ("latent/5", "meta/3"):
        assert tab.open(view).text("h1") == name
    tab.go("graph/5")
    assert tab.text("h1") == f"The graph around {name}"
    tab.go("metas")
    assert f"({len(name)} characters)" in tab.text()
    assert tab.findings() == []


def test_a_letter_that_is_being_put_together_leads_nowhere(browser, folder):
    tab = Tab(browser, folder).open("latent/5")
    before = tab.page.evaluate("() => [location.hash, history.length]")
    tab.page.evaluate("""() => {
        const box = document.querySelector("input");
        box.dispatchEvent(new CompositionEvent("compositionstart"));
        box.value = "と";
        box.dispatchEvent(new InputEvent("input", { isComposing: true }));
    }""")
    assert tab.page.evaluate("() => [location.hash, history.length]") == before
    tab.page.evaluate("""() => document.querySelector("input").dispatchEvent(new CompositionEvent("compositionend"))""")
    tab.until("() => location.hash.startsWith('#/search/')")
    assert tab.findings() == []


def test_a_search_of_thousands_of_words_or_of_half_a_character_is_answered(browser, folder):
    """A pasted page: 5,000 words, of which sixteen are searched for; and what no address can hold."""
    tab = Tab(browser, folder).open()
    used = tab.page.evaluate(
        """() => { const q = Array.from({ length: 5000 }, (_, i) => "name word" + i).join(" ");
                   const began = performance.now();
                   return Canon.search(q).then(r => [r.latents.total, Canon.unsearched(q), performance.now() - began]); }"""
    )
    assert used[:2] == [0, 5_001 - 16] and used[2] < 5_000
    assert tab.page.evaluate("() => Canon.search('name name NAME 17').then(r => r.latents.found[0])") == 17
    assert tab.page.evaluate("() => Canon.unsearched('a a A b')") == 0
    tab.page.evaluate("() => Canon.go('search', 'x' + String.fromCharCode(0xd800) + 'y \\u{1f600}')")
    tab.until("() => document.querySelector('h1').textContent.startsWith('Search')")
    assert "%EF%BF%BD" in tab.page.url and "%F0%9F%98%80" in tab.page.url
    assert "Nothing found." in tab.text()
    assert tab.findings() == []
