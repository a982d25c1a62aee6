"""Every chapter has the same skeleton: card, sections, exercises, numbered figures and equations that the text refers to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("0[1-7]-*.py"))
CARD = ["What you will be able to say at the end.", "Time.", "Hardware.", "Read before.", "May be skipped."]
LAST = ["Doubt", "The paper and us", "Exercises", "Summary", "Next"]
BOLD = re.compile(r"\*\*((?:Figures?|Tables?) [^*]*?)\.\*\*")
NAMED = re.compile(r"(Figure|Table)s? (\d+\.\d+)(?: (?:and|to) (?:Table )?(\d+\.\d+))?")
EXERCISE = re.compile(r"### Exercise (\d+)\.(\d+): \S.*\n\n\*(Easy|Medium|Hard), \d+ minutes[^*]*\.\*")


def text(path: Path) -> str:
    """The source with the marks of Markdown cells and comments taken off."""
    return re.sub(r"^# ?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def headings(source: str) -> list[str]:
    return re.findall(r"^## (.+)$", source, flags=re.MULTILINE)


def captions(source: str) -> list[str]:
    """``Figure 1.1``, ``Table 1.1`` ... in order of appearance; a joint caption gives each of its numbers."""
    found = []
    for joint in BOLD.findall(source):
        kind = joint.split()[0].rstrip("s")
        for part in re.findall(r"(?:(Figure|Table)s? )?(\d+\.\d+)", joint):
            kind = part[0] or kind
            found.append(f"{kind} {part[1]}")
    return found


def mentions(source: str) -> set[str]:
    """Figures and tables named outside their captions."""
    prose = BOLD.sub("", source)
    return {f"{m[0]} {number}" for m in NAMED.findall(prose) for number in m[1:] if number}


@pytest.fixture(params=CHAPTERS, ids=lambda p: p.stem)
def chapter(request):
    return request.param


def test_the_card_has_its_five_labels(chapter):
    card = "\n".join(line for line in text(chapter).splitlines() if line.startswith(">"))
    assert re.findall(r"^> \*\*([^*]+)\*\*", card, flags=re.MULTILINE) == CARD


def test_the_last_sections_stand_in_order(chapter):
    names = [next((last for last in LAST if name.startswith(last)), None) for name in headings(text(chapter))]
    places = [names.index(last) for last in LAST]
    assert places == sorted(places)
    assert names[-3:] == LAST[-3:]


def test_exercises_are_numbered_and_complete(chapter):
    number, source = int(chapter.stem[:2]), text(chapter)
    body = source[source.index("## Exercises") : source.index("## Summary")]
    found = EXERCISE.findall(body)
    assert [(int(a), int(b)) for a, b, _ in found] == [(number, n) for n in range(1, len(found) + 1)]
    assert 2 <= len(found) <= 4
    assert body.count("### Exercise") == len(found)
    for one in body.split("### Exercise")[1:]:
        assert "<summary>Hint</summary>" in one, one[:60]
        assert "<summary>Solution</summary>" in one or 'tags=["hide-cell"]' in one, one[:60]
    assert "exercises.check_" in body
    assert f"answer_{number}_" in body


@pytest.mark.parametrize("kind", ["Figure", "Table"])
def test_figures_and_tables_are_numbered_and_referred_to(chapter, kind):
    number, source = int(chapter.stem[:2]), text(chapter)
    found = [name for name in captions(source) if name.startswith(kind)]
    assert found == [f"{kind} {number}.{n}" for n in range(1, len(found) + 1)]
    assert sorted(set(found) - mentions(source)) == []


def test_equations_that_are_referred_to_exist():
    sources = [text(path) for path in CHAPTERS]
    labels = [label for source in sources for label in re.findall(r"\$\$ \((eq-[a-z0-9-]+)\)", source)]
    assert len(labels) == len(set(labels))
    wanted = {label for source in sources for label in re.findall(r"\{eq\}`([^`]+)`", source)}
    assert wanted
    assert wanted <= set(labels)


def test_captions_and_mentions_are_read():
    source = "See Figure 1.1 and Tables 1.1 and 1.2.\n**Figure 1.1.** A.\n**Tables 1.1 and 1.2.** B.\n**Figure 1.2 and Table 1.3.** C."
    assert captions(source) == ["Figure 1.1", "Table 1.1", "Table 1.2", "Figure 1.2", "Table 1.3"]
    assert mentions(source) == {"Figure 1.1", "Table 1.1", "Table 1.2"}
