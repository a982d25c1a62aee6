"""The skeleton that all chapters share: header card, last sections, exercises, captions, equations, glossary words."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jupytext", reason="jupytext is not installed")

import jupytext

from canonlib import viz

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "src" / "canonlib" / "book" / "results"
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.py"))
CARD = ("What you will be able to say at the end", "Time", "Hardware", "Read before", "May be skipped")
LAST = ("The paper and us", "Exercises", "Summary", "Next")
TIME = re.compile(r"\*\*Time\.\*\* (\d+) minutes to read, (.+?) to run")
MEMORY = re.compile(r"(\d+) GB of memory")
RUN = {"a quarter of a minute": 15, "half a minute": 30, "a minute": 60, "two minutes": 120}
"""The words in which chapters say how long they run with a filled store, and their seconds."""
EFFORT = re.compile(r"^\*(Easy|Medium|Hard), (\d+) minutes[^*]*\.\*")
CAPTION = re.compile(r"\*\*((?:Figure|Table)s? \d[^*]*)\.\*\*")
MENTION = re.compile(r"\b(Figure|Table)s? (\d+\.\d+(?:(?:, | and | or | to )\d+\.\d+)*)")
LABEL = re.compile(r"\$\$ \(([\w-]+)\)\s*$", re.MULTILINE)
REFERENCE = re.compile(r"\{eq\}`([\w-]+)`")
TERM = re.compile(r"\{term\}`(?:[^`<]+<)?([^`<>]+)>?`")
DRAWS = {name for name in dir(viz) if callable(getattr(viz, name)) and not isinstance(getattr(viz, name), type)
         and "alt" in inspect.signature(getattr(viz, name)).parameters}  # fmt: skip
DESCRIBES_ITSELF = {"entity_graph", "meta_graph"}
"""Without ``alt`` these name the centre, its parts and who shares them."""

Cells = list[Any]


def number(path: Path) -> int:
    return int(path.name[:2])


def markdown(cells: Cells) -> str:
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


def text(cells: Cells) -> str:
    """All that a reader may see: prose, and strings in code."""
    return "\n\n".join(c.source for c in cells)


def without_fences(source: str) -> str:
    return re.sub(r"^```.*?^```", "", source, flags=re.DOTALL | re.MULTILINE)


def section(cells: Cells, title: str) -> Cells:
    """The cells of the section, the first and the last cut at its headings."""
    out, inside = [], False
    for cell in cells:
        if cell.cell_type != "markdown":
            out += [cell] if inside else []
            continue
        lines = []
        for line in cell.source.splitlines():
            if line.startswith("## "):
                inside = line[3:].strip() == title
            elif inside:
                lines.append(line)
        if lines:
            out.append(type(cell)({**cell, "source": "\n".join(lines)}))
    return out


def header(cells: Cells, chapter: int) -> list[str]:
    """The card below the title has all five labels, in order, and says the minutes."""
    quoted = "\n".join(line for line in cells[0].source.splitlines() if line.startswith(">"))
    labels = tuple(re.findall(r"\*\*([^*]+)\.\*\*", quoted))
    found = [] if labels == CARD else [f"the header card has the labels {labels}"]
    return found + ([] if TIME.search(quoted.replace("\n> ", " ")) else ["the header card does not say the minutes"])


def sections(cells: Cells, chapter: int) -> list[str]:
    """Doubt, then the paper and us, exercises, summary (three points) and next, which are the last."""
    titles = re.findall(r"^## (.+?)\s*$", without_fences(markdown(cells)), flags=re.MULTILINE)
    found = [] if tuple(titles[-4:]) == LAST else [f"the last sections are {titles[-4:]}"]
    if not any(re.match(r"Doubt\b", title) for title in titles[: titles.index(LAST[0]) if LAST[0] in titles else None]):
        found.append("no section of doubt before the paper and us")
    points = sum(
        len(re.findall(r"^- ", c.source, flags=re.MULTILINE)) if c.cell_type == "markdown" else c.source.count('"""- ')
        for c in section(cells, "Summary")
    )
    return found + ([] if points == 3 else [f"the summary has {points} points, not 3"])


def tasks(cells: Cells) -> list[tuple[str, Cells]]:
    """Heading and cells of each exercise."""
    out: list[tuple[str, Cells]] = []
    for cell in section(cells, "Exercises"):
        parts = re.split(r"^### (.+)$", cell.source, flags=re.MULTILINE) if cell.cell_type == "markdown" else [None]
        head = type(cell)({**cell, "source": parts[0] if parts[0] is not None else cell.source})
        if out:
            out[-1][1].append(head)
        for title, body in zip(parts[1::2], parts[2::2]):
            out.append((title.strip(), [type(cell)({**cell, "source": body})]))
    return out


def exercises(cells: Cells, chapter: int) -> list[str]:
    """Two to four, numbered, with difficulty and minutes, then a hint, then a solution; some with a check."""
    found, checked, every = [], 0, tasks(cells)
    if not 2 <= len(every) <= 4:
        found.append(f"{len(every)} exercises, not 2 to 4")
    for n, (title, body) in enumerate(every, 1):
        where = f"exercise {chapter}.{n}"
        if not re.match(rf"Exercise {chapter}\.{n}: \S", title):
            found.append(f"{where} is headed {title!r}")
        if not EFFORT.match(body[0].source.strip()):
            found.append(f"{where} does not begin with its difficulty and minutes")
        hint = [i for i, c in enumerate(body) if "<summary>Hint</summary>" in c.source]
        solved = [i for i, c in enumerate(body) if "<summary>Solution</summary>" in c.source or
                  (c.cell_type == "code" and "hide-cell" in c.metadata.get("tags", []))]  # fmt: skip
        if not hint or not solved or hint[0] > solved[0]:
            found.append(f"{where} lacks a hint in a dropdown, or a solution after it")
        answer = rf"answer_{chapter}_{n}\w* = None"
        asked = next((c.source for c in body if c.cell_type == "code" and re.search(answer, c.source)), None)
        checked += asked is not None
        found += [] if asked is None else [f"{where} {what}" for what in check_is_used(asked, body, solved)]
    return found + ([] if checked else ["no exercise has a check"])


def check_is_used(asked: str, body: Cells, solved: list[int]) -> list[str]:
    """The learner's cell ends with a check, and the solution passes the same one."""
    name = re.search(r"exercises\.(check_\w+)\(", asked)
    if name is None or not isinstance(ast.parse(asked).body[-1], ast.Expr):
        return ["does not end its cell with a check"]
    told = [body[i].source for i in solved]
    good = any(f"exercises.{name[1]}(" in source for source in told) and any("assert " in source for source in told)
    return [] if good else [f"has a solution that does not show {name[1]} pass"]


def mentions(prose: str) -> list[str]:
    """Figures and tables by kind and number, in order: "Tables 3.5 and 3.6" are two."""
    listed = MENTION.findall(" ".join(prose.split()))
    return [f"{kind} {n}" for kind, numbers in listed for n in re.findall(r"\d+\.\d+", numbers)]


def captions(cells: Cells, chapter: int) -> list[str]:
    """Figures and tables in order, each mentioned outside its own caption."""
    found, whole = [], text(cells)
    marks = [(mark, mentions(mark)) for mark in CAPTION.findall(whole)]
    for kind in ("Figure", "Table"):
        mine = [name for _, names in marks for name in names if name.startswith(kind)]
        if mine != [f"{kind} {chapter}.{n}" for n in range(1, len(mine) + 1)]:
            found.append(f"captions in this order: {', '.join(mine)}")
    for mark, names in marks:
        rest = re.sub(rf'\*\*{re.escape(mark)}\.\*\*.*?(\n\s*\n|"""|\Z)', "", whole, flags=re.DOTALL)
        said = mentions(rest)
        found += [f"{name} is mentioned nowhere but in its caption" for name in names if name not in said]
    return found


def pictures(cells: Cells, chapter: int) -> list[str]:
    """Each figure has alternative text, and a caption before the next one comes."""
    found, waiting = [], ""
    for cell in cells:
        drawn = figures_of(cell)
        found += [f"{call.func.attr} has no alt text" for call in drawn if call.func.attr not in DESCRIBES_ITSELF and
                  not any(k.arg == "alt" for k in call.keywords)]  # fmt: skip
        if drawn and "hide-cell" not in cell.metadata.get("tags", []):  # a solution's figure needs no number
            found += [f"{waiting} has no caption"] if waiting else []
            waiting = drawn[-1].func.attr
        if any("Figure" in mark for mark in CAPTION.findall(cell.source)):
            waiting = ""
    return found + ([f"{waiting} has no caption"] if waiting else [])


def figures_of(cell: Any) -> list[Any]:
    """The calls ``viz.name(...)`` of a code cell that draw a figure."""
    if cell.cell_type != "code":
        return []
    calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    return [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in DRAWS]


def equations(sources: dict[str, str]) -> list[str]:
    """Labels are unique over all pages, and every reference leads to one."""
    places: dict[str, list[str]] = {}
    for page, source in sources.items():
        for label in LABEL.findall(source):
            places.setdefault(label, []).append(page)
    found = [f"label {label} is given {len(pages)} times ({', '.join(pages)})" for label, pages in places.items()
             if len(pages) > 1]  # fmt: skip
    for page, source in sources.items():
        found += [
            f"{page} refers to no equation: {label}" for label in REFERENCE.findall(source) if label not in places
        ]
    return found


def glossary() -> set[str]:
    blocks = re.findall(r"```\{glossary\}\n(.*?)```", (ROOT / "book" / "glossary.md").read_text(), flags=re.DOTALL)
    return {line.strip() for block in blocks for line in block.splitlines() if line.strip() and line[0] != " "}


def pages() -> dict[str, str]:
    """Every page with text of ours: notebooks' sources and the book's Markdown."""
    read = {p.name: text(jupytext.read(p).cells) for p in sorted((ROOT / "notebooks").glob("*.py"))}
    return read | {p.name: p.read_text() for p in sorted((ROOT / "book").glob("*.md"))}


RULES: tuple[Callable[[Cells, int], list[str]], ...] = (header, sections, exercises, captions, pictures)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_chapter_has_the_skeleton(chapter: Path, rule: Callable[[Cells, int], list[str]]) -> None:
    assert rule(jupytext.read(chapter).cells, number(chapter)) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_chapter_has_an_equation_to_refer_to_and_words_of_the_glossary(chapter: Path) -> None:
    source = markdown(jupytext.read(chapter).cells)
    assert LABEL.findall(source), "no labelled equation"
    assert len(set(TERM.findall(source))) >= 4, "fewer than four words link to the glossary"


@pytest.mark.parametrize("page", ["intro", "performance"])
def test_other_pages_number_and_mention_their_figures_and_tables(page: str) -> None:
    whole = " ".join(text(jupytext.read(ROOT / "notebooks" / f"{page}.py").cells).split())
    marks = re.findall(r"\*\*(Figure|Table) (\d+)\.?\*\*", whole)
    for kind in ("Figure", "Table"):
        numbers = [int(n) for k, n in marks if k == kind]
        assert numbers == list(range(1, len(numbers) + 1)), kind
    assert marks and [f"{k} {n}" for k, n in marks if not re.search(rf"(?<!\*){k} {n}\b", whole)] == []


def test_equations_and_words_of_the_book_resolve() -> None:
    every = pages()
    assert equations(every) == []
    known = glossary()
    assert [
        f"{page}: {word}" for page, source in every.items() for word in TERM.findall(source) if word not in known
    ] == []


def test_reading_page_gives_every_chapters_title_and_minutes() -> None:
    rows = (ROOT / "book" / "reading.md").read_text()
    for chapter in CHAPTERS:
        first = jupytext.read(chapter).cells[0].source
        said, title = TIME.search(first.replace("\n> ", " ")), first.splitlines()[0].removeprefix("# ")
        row = re.search(rf"\]\({chapter.stem}\.ipynb\) \| (\d+) \| (\d+) \|", rows)
        assert said and row and f"[{title}]({chapter.stem}.ipynb)" in rows, chapter.name
        assert said[1] == row[1], f"{chapter.name} says {said[1]} minutes, reading.md {row[1]}"
        effort = sum(int(EFFORT.match(body[0].source.strip())[2]) for _, body in tasks(jupytext.read(chapter).cells))
        assert effort == int(row[2]), f"the exercises of {chapter.name} take {effort} minutes, reading.md says {row[2]}"


def test_cards_and_the_reading_page_say_what_a_run_was_measured_to_take() -> None:
    measured = json.loads((RESULTS / "cold-chapters.json").read_text())["chapters"]
    page = (ROOT / "book" / "reading.md").read_text()
    for chapter in CHAPTERS:
        empty, filled = measured[chapter.stem]["empty"], measured[chapter.stem]["filled"]
        card = jupytext.read(chapter).cells[0].source.replace("\n> ", " ")
        words = TIME.search(card)[2]
        assert 1 / 2 < RUN[words] / filled["seconds"] < 3, f"{chapter.name} says {words}, took {filled['seconds']} s"
        most = max(empty["memory_mib"], filled["memory_mib"])
        assert most < int(MEMORY.search(card)[1]) * 1e9 / 2**20, f"{chapter.name} held {most} MiB"
        row = re.search(rf"\]\({chapter.stem}\.ipynb\) \| \d+ \| \d+ \| (\d+) \| ([\d½]+) \|", page)
        assert row and int(row[1]) == round(filled["seconds"]), f"{chapter.name} took {filled['seconds']} s"
        minutes = 0.5 if row[2] == "½" else int(row[2])
        assert abs(minutes - empty["seconds"] / 60) <= 0.5, f"{chapter.name} took {empty['seconds']} s from nothing"


def test_every_chapter_compares_some_of_its_outputs() -> None:
    for chapter in CHAPTERS:
        tagged = [c for c in jupytext.read(chapter).cells if "nbval-check-output" in c.metadata.get("tags", ())]
        assert len(tagged) >= 3, chapter.name


def test_reading_page_shows_the_colours_of_the_figures() -> None:
    page = (ROOT / "book" / "reading.md").read_text()
    colors = [viz.SMALL, viz.LARGE, viz.META, viz.TRUTH, viz.CONTROL, viz.SIZE_RAMP[0], viz.SIZE_RAMP[-1]]
    assert [color for color in colors if f"color:{color}" not in page] == []


SOUND = '''# %% [markdown]
# # Is it sound?
#
# > **What you will be able to say at the end.** That it is.
# >
# > **Time.** 20 minutes to read, one to run.
# >
# > **Hardware.** Two CPU cores.
# >
# > **Read before.** Nothing.
# >
# > **May be skipped.** All.

# %% [markdown]
# Look at Figures 9.1 and 9.2.
#
# $$ a = b $$ (eq-a)

# %%
viz.line_by_size([1], {"a": [1]}, title="t", y="y", alt="a line")

# %% [markdown]
# **Figure 9.1.** A line, unlike Figure 9.3.

# %% tags=["hide-input"]
viz.share_above({}, cut=1, title="t", x="x", alt="shares")
viz.say(f"""**Figure 9.2.** Shares of {1}.""")

# %% [markdown]
# ## Doubt: none
#
# ## The paper and us
#
# ## Exercises
#
# ### Exercise 9.1: One
#
# *Easy, 5 minutes.* How many?

# %%
answer_9_1 = None  # yours
exercises.check_one(answer_9_1)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Count.
#
# </details>

# %% tags=["hide-cell"]
solution = exercises.check_one(1)
assert solution

# %% [markdown]
# ### Exercise 9.2: Two
#
# *Hard, 20 minutes; pencil first.* Why?
#
# <details><summary>Hint</summary>
#
# Think.
#
# </details>
#
# <details><summary>Solution</summary>
#
# Because.
#
# </details>
#
# ## Summary
#
# - One.
# - Two.

# %% tags=["remove-input"]
viz.say(f"""- Three: {3}.""")

# %% [markdown]
# ## Next
#
# Home.
'''


def findings(source: str) -> list[str]:
    cells = jupytext.reads(source, fmt="py:percent").cells
    return [line for rule in RULES for line in rule(cells, 9)] + equations({"a page": text(cells)})


def test_a_sound_chapter_has_no_finding() -> None:
    assert findings(SOUND) == []


@pytest.mark.parametrize(("old", "new", "finding"), [
    ("**Hardware.**", "**Machine.**", "the header card has the labels"),
    ("20 minutes to read", "a while to read", "does not say the minutes"),
    ("## Doubt: none", "## Trust", "no section of doubt"),
    ("## Next", "## Afterwards", "the last sections are"),
    ("# - Two.\n", "", "the summary has 2 points"),
    ("Exercise 9.2", "Exercise 9.3", "exercise 9.2 is headed"),
    ("*Easy, 5 minutes.*", "*Simple.*", "exercise 9.1 does not begin with"),
    ("<summary>Solution<", "<summary>Answer<", "exercise 9.2 lacks a hint"),
    ("# Count.", "# Count. <details><summary>Hint</summary>", None),
    ("answer_9_1 = None", "answer = None", "no exercise has a check"),
    ("answer_9_1)\n", "answer_9_1)\nx = 1\n", "exercise 9.1 does not end its cell"),
    ("assert solution", "solution", "exercise 9.1 has a solution that does not show check_one pass"),
    ("**Figure 9.2.**", "**Figure 9.3.**", "captions in this order: Figure 9.1, Figure 9.3"),
    ("Figures 9.1 and 9.2", "Figures 9.2 and 9.3", "Figure 9.1 is mentioned nowhere"),
    (', alt="a line"', "", "line_by_size has no alt text"),
    ("**Figure 9.1.** A line, unlike Figure 9.3.", "A line, Figure 9.1.", "line_by_size has no caption"),
    ("Home.", "See {eq}`eq-b`.", "a page refers to no equation: eq-b"),
    ("Home.", "$$ c $$ (eq-a)", "label eq-a is given 2 times"),
])  # fmt: skip
def test_a_planted_defect_is_found(old: str, new: str, finding: str | None) -> None:
    assert SOUND.count(old) == 1
    found = findings(SOUND.replace(old, new))
    assert any(finding in line for line in found) if finding else found == []
