"""The explorer of the book as it is published: its committed data with the page, in Chromium, the network blocked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from axehelpers import GRAVE, RUN
from explorehelpers import Tab, read

from canonlib.explore.site import write_app

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "book" / "explorer" / "data"
WINDOWS = [(width, theme) for width in (1400, 390) for theme in ("light", "dark")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a build of the book puts beside its pages."""
    place = tmp_path_factory.mktemp("html") / "explorer"
    write_app(place)
    shutil.copytree(DATA, place / "data")
    return place


@pytest.fixture(scope="module")
def manifest():
    return read(DATA / "manifest.js")


def test_every_fact_that_is_true_of_an_entity_is_found(browser, folder, manifest):
    """Brute force: for each fact the latents whose entity has it, by the records; the search finds at least those."""
    latents = [r for i in range(-(-manifest["n_latents"] // manifest["chunk"])) for r in read(DATA / f"latents-{i}.js")]
    true = {f: {j for j, r in enumerate(latents) if i in r.get("t", [])} for i, f in enumerate(manifest["facts"])}
    tab = Tab(browser, folder).open()
    found = tab.page.evaluate(
        """facts => Promise.all(facts.map(f => Canon.search(f, { latents: 9999 }).then(r => [f, r.latents.found])))""",
        list(true),
    )
    lacking = {fact: true[fact] - set(those) for fact, those in found if true[fact] - set(those)}
    assert lacking == {} and sum(map(bool, true.values())) > 90
    assert tab.findings() == []


def test_every_part_is_found_by_its_users_and_every_raised_token_by_who_raises_it(browser, folder, manifest):
    """Brute force over all records, for each name and each token."""
    latents, metas = (
        [r for i in range(-(-manifest[n] // manifest["chunk"])) for r in read(DATA / f"{kind}-{i}.js")]
        for n, kind in (("n_latents", "latents"), ("n_meta", "metas"))
    )
    used = {r["n"].lower(): set() for r in latents if r["n"] and " " not in r["n"]}
    for name, found in used.items():
        found.update(p[0] for r in latents if name in r["n"].lower() for p in r["p"])
    raised = {w.strip().lower() for r in latents for w in r.get("w", []) if w.strip() and " " not in w.strip()}
    wanted = {(f"user:{name}", "metas"): found for name, found in used.items()}
    for kind, records in (("latents", latents), ("metas", metas)):
        for w in raised:
            wanted[f"raises:{w}", kind] = {
                j for j, r in enumerate(records) if any(w in t.lower() for t in r.get("w", []))
            }
    tab = Tab(browser, folder).open()
    found = tab.page.evaluate(
        "qs => Promise.all(qs.map(([q, kind]) => Canon.search(q, { latents: 9999, metas: 9999 }).then(r => r[kind].found)))",
        [list(key) for key in wanted],
    )
    wrong = [key for key, numbers in zip(wanted, found, strict=True) if set(numbers) != wanted[key]]
    assert wrong == [] and len(used) > 100 and len(raised) > 100
    assert tab.findings() == []


def test_every_example_in_the_page_and_in_the_book_finds_something(browser, folder, manifest):
    text = (ROOT / "book" / "explorer.md").read_text(encoding="utf-8")
    searches = text[text.index("- **Search.**") : text.index("- **Share.**")]
    told = [e for e in re.findall(r"`([^`]+)`", searches) if not e.endswith(":")]
    assert len(told) >= 3 and len(manifest["examples"]) == 4
    tab = Tab(browser, folder).open()
    for example in [*told, *manifest["examples"]]:
        total = tab.page.evaluate("q => Canon.search(q).then(r => r.latents.total + r.metas.total)", example)
        assert total > 0, example
    assert tab.findings() == []


@pytest.mark.parametrize(("width", "theme"), WINDOWS)
def test_every_way_in_and_every_view_is_whole_and_open_to_all(browser, folder, manifest, width, theme):
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed ([dev])")
    einstein = next(j for j, name in manifest["start"] if name == "Einstein")
    dead = read(DATA / "dead.js")[0]
    views = ["", f"latent/{einstein}", f"graph/{einstein}", "metas", f"meta/{manifest['n_meta'] // 2}",
             f"search/{quote('country=Germany')}"]  # fmt: skip
    tab = Tab(browser, folder, width, theme).open()
    tab.page.evaluate(axe.AXE_SCRIPT)
    for view in [*views, f"latent/{dead}", *(f"graph/{j}" for j, _ in manifest["start"]), "search/zzzz"]:
        tab.go(view)
        assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width + 1, view
        assert not re.search(r"\b(undefined|NaN|null)\b", tab.text()), view
        if view in views:
            grave = [v for v in tab.page.evaluate(RUN, []) if v["impact"] in GRAVE]
            assert grave == [], view
    assert tab.findings() == []


def test_what_is_shown_is_said_of_what_was_measured(browser, folder, manifest):
    latents = read(DATA / "latents-0.js")
    dead = read(DATA / "dead.js")[0]
    tab = Tab(browser, folder).open(f"latent/{dead}")
    told = tab.text()
    assert "never fires on the entity mentions measured" in told and latents[dead]["z"] == 1
    assert f"It fires on none of the {manifest['n_tokens']:,} entity mentions." in told
    assert "It never fired in training, so the meta-SAE was not trained on it." in told
    live = next(j for j, r in enumerate(latents) if r.get("x"))
    tab.go(f"latent/{live}")
    assert "of entity mentions" in tab.text() and "Measured on entity mentions alone" in tab.text()
    tab.go("")
    alive = manifest["n_alive"]
    assert f"{alive:,} of {manifest['n_latents']:,} latents fired in training; each of those is rebuilt" in tab.text()
    assert tab.findings() == []


def test_a_person_is_not_wrong_about_what_only_cities_have(manifest):
    """No mark says "not true" of an attribute that the table has for cities alone, or for people alone."""
    from canonlib.world import table

    metas = read(DATA / "metas.js")
    has = {e.name: {kind for kind in e.facts} for e in table.entities()}
    truths = {e.name: {f"{kind}={value}" for kind, value in e.facts.items()} for e in table.entities()}
    seen = set()
    for i in range(-(-manifest["n_latents"] // manifest["chunk"])):
        for record in read(DATA / f"latents-{i}.js"):
            for (part, _), mark in zip(record["p"], record.get("h", [])):
                name = metas[part]["n"]
                if name:
                    known = name.partition("=")[0] in has[record["e"]]
                    assert mark == (2 if not known else int(name in truths[record["e"]]))
                    seen.add(mark)
    assert seen == {0, 1, 2}


def test_it_leads_back_to_the_book_and_to_words_of_its_glossary(browser, folder, manifest):
    assert manifest["book"] == "../"
    tab = Tab(browser, folder)
    asked = set()
    for view in ("", "latent/0", "meta/0", "graph/0", "metas"):
        tab.open(view)
        asked |= set(tab.page.locator("a[href^='../']").evaluate_all("all => all.map(a => a.getAttribute('href'))"))
    assert {"../explorer.html", "../glossary.html"} <= asked
    words = {w.replace("-", " ").lower() for w in (a.partition("#term-")[2] for a in asked) if w}
    glossary = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8").lower().replace("-", " ").splitlines()
    assert len(words) > 6 and {w for w in words if w not in glossary} == set()
    assert tab.findings() == []
