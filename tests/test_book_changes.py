"""What two executions say otherwise is told from numbers that moved, and the committed chapters come back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from canonlib.book import committed
from canonlib.book.changes import compare_chapter, compare_claims, masked, prose
from canonlib.errors import ConfigError
from canonlib.machine import this_machine

MARKDOWN, PLOTLY = "text/markdown", "application/vnd.plotly.v1+json"


def code(source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "metadata": {"tags": list(tags)}}


def said(text: str) -> dict[str, Any]:
    return {"output_type": "execute_result", "data": {MARKDOWN: text, "text/plain": text}}


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def figure(title: str, y: float = 1.0) -> dict[str, Any]:
    return {
        "output_type": "display_data",
        "data": {PLOTLY: {"data": [{"y": [y]}], "layout": {"title": {"text": title}}}},
    }


def compare(before: dict[str, Any], after: dict[str, Any]) -> Any:
    return compare_chapter("03-three", {"cells": [{"cell_type": "markdown"}, before]}, {"cells": [after]})


@pytest.mark.parametrize(("before", "after"), [
    ("At 0.91 it holds.", "At 0.87 it holds."),
    ("It is -3% at 1,024 latents.", "It is 12% at 512 latents."),
    ("The best is *Germany*, with 0.5.", "The best is *Japan*, with 0.4."),
    ("Named currency=Yen 0.67.", "Named field=music 0.6."),
    ("Named `a`.", "Named `b`."),
])  # fmt: skip
def test_numbers_and_names_may_move(before: str, after: str) -> None:
    assert masked(before) == masked(after)
    found = compare(code("x", said(before)), code("x", said(after)))
    assert found.said == [] and len(found.moved) == 1 and found.differs


@pytest.mark.parametrize(("before", "after"), [
    ("It falls by 3%.", "It climbs by 3%."), ("So it holds.", "So it holds, at 3 sizes."), ("Greedy is best. It is.", "It is."),
    ("**All** agree.", "**None** agree."), ("SAE2 is it.", "SAE3 is it."),
])  # fmt: skip
def test_words_may_not(before: str, after: str) -> None:
    (change,) = compare(code("x", said(before)), code("x", said(after))).said
    assert change.kind == "sentence" and change.place == "03-three, cell 1"
    assert change.before in before and change.after in after


def test_only_the_sentence_that_changed_is_told() -> None:
    (change,) = compare(
        code("x", said("One is 1. Two falls. Three is 3.")), code("x", said("One is 2. Two climbs. Three is 4."))
    ).said
    assert (change.before, change.after) == ("Two falls.", "Two climbs.")


def test_tables_and_what_is_printed_are_data() -> None:
    rows = "| fact | F1 |\n|---|---:|\n| {} | 0.5 |"
    assert prose(rows) == []
    assert compare(code("x", said(rows.format("Yen"))), code("x", said(rows.format("Euro")))).said == []
    assert compare(code("x", printed("novel 3")), code("x", printed("known 3"))).said == []


def test_what_is_compared_must_not_move_at_all() -> None:
    tags = ("nbval-check-output",)
    (change,) = compare(code("x", printed("0.48"), tags=tags), code("x", printed("0.56"), tags=tags)).said
    assert (change.kind, change.before, change.after) == ("compared output", "0.48", "0.56")


def test_titles_are_said_and_what_is_drawn_is_not() -> None:
    assert compare(code("x", figure("AUC 0.9", 1.0)), code("x", figure("AUC 0.8", 2.0))).said == []
    (change,) = compare(code("x", figure("It falls")), code("x", figure("It climbs"))).said
    assert change.kind == "title"


def test_moved_numbers_are_listed_and_counted() -> None:
    before, after = (" ".join(f"{i + j}.5" for i in range(8)) for j in (0, 1))
    ((place, told),) = compare(code("x", printed(before)), code("x", printed(after))).moved
    assert place == "03-three, cell 1" and told.startswith("0.5 → 1.5, 1.5 → 2.5") and told.endswith("and 2 more")


def test_another_source_is_no_other_processor() -> None:
    found = compare(code("x", said("It falls.")), code("y", said("It climbs.")))
    assert found.sources == 1 and found.said == []


def claim(verdict: str = "agrees", **more: str) -> dict[str, str]:
    return {"id": "auc", "sentence": "It is high.", "reason": "", "ours": "0.9", "verdict": verdict, **more}


def test_verdicts_and_reasons_are_said_and_figures_are_not() -> None:
    assert compare_claims([claim()], [claim(ours="0.8")]) == []
    (change,) = compare_claims([claim()], [claim("differs", reason="because")])
    assert (change.kind, change.before, change.after) == ("verdict", "agrees", "differs")
    (change,) = compare_claims([claim("differs", reason="at 3 sizes")], [claim("differs", reason="at no size")])
    assert change.kind == "sentence"
    (change,) = compare_claims([claim()], [])
    assert change.after == "no such claim"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two executed chapters, claims, records, an explorer and a README."""
    root = tmp_path / "repo"
    for folder in ("book/explorer/data", "notebooks", "src"):
        (root / folder).mkdir(parents=True)
    machine = this_machine()._asdict() | {"processor": "Another One"}
    records = {name: {"machine": machine} for name in ("01-one", "02-two")}
    for name in records:
        (root / f"book/{name}.ipynb").write_text(json.dumps({"cells": [code("x", said(f"{name} is 1."))]}))
    (root / "book/execution.json").write_text(json.dumps(records))
    (root / "book/claims.json").write_text(json.dumps([claim()]))
    (root / "book/explorer/data/a.js").write_text("a")
    (root / "README.md").write_text("top\n<!-- claims:begin -->\n\nthe table\n\n<!-- claims:end -->\nend\n")
    (root / "notebooks/01-one.py").write_text("x")
    (root / "_toc.yml").write_text("")
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    monkeypatch.chdir(root)
    return root


def execute(root: Path, name: str, text: str) -> None:
    (root / f"book/{name}.ipynb").write_text(json.dumps({"cells": [code("x", said(text))]}))


def test_the_summary_of_an_unchanged_book_says_so(checkout: Path) -> None:
    assert committed.summary(checkout) == ["All 2 chapters are the committed ones, byte for byte."]


def test_the_summary_says_how_many_why_which_verdicts_and_how_to_go_back(checkout: Path) -> None:
    execute(checkout, "02-two", "02-two is 2.")
    text = "\n".join(committed.summary(checkout))
    assert "1 of 2 chapters differ" in text and "No verdict changed." in text and "make restore" in text
    assert "Another One" in text and this_machine().processor in text
    assert "Sentences" not in text
    execute(checkout, "02-two", "02-two is not.")
    (checkout / "book/claims.json").write_text(json.dumps([claim("fails")]))
    text = "\n".join(committed.summary(checkout))
    assert "claim auc: agrees → fails" in text and "titles that did: 1." in text


def test_other_code_is_named_before_any_processor(checkout: Path) -> None:
    execute(checkout, "02-two", "02-two is 2.")
    (checkout / "notebooks/01-one.py").write_text("y")
    assert "Another One" not in committed.why(checkout) and "differs from the commit" in committed.why(checkout)


def test_chapters_executed_from_other_cells_say_so(checkout: Path) -> None:
    (checkout / "book/02-two.ipynb").write_text(json.dumps({"cells": [code("y", said("02-two is 1."))]}))
    text = "\n".join(committed.summary(checkout))
    assert "1 of 2 chapters differ" in text and "not those that were executed" in text and "Another One" not in text


def test_the_report_fails_for_words_and_not_for_numbers(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execute(checkout, "01-one", "01-one is 7.")
    assert committed.main(["report"]) == 0
    assert "1 → 7" in capsys.readouterr().out
    execute(checkout, "01-one", "01-one was 7.")
    assert committed.main(["report"]) == 1
    out = capsys.readouterr().out
    assert "sentence of 01-one, cell 1" in out and "sentences: 1, titles: 0" in out


def test_restore_brings_back_what_make_book_writes_and_nothing_else(checkout: Path) -> None:
    execute(checkout, "01-one", "changed")
    (checkout / "book/explorer/data/a.js").write_text("changed")
    (checkout / "book/claims.json").unlink()
    (checkout / "notebooks/01-one.py").write_text("my own work")
    readme = checkout / "README.md"
    readme.write_text(readme.read_text().replace("the table", "changed").replace("end\n", "my own words\n"))
    assert committed.restore(checkout) == [
        "book/01-one.ipynb", "book/claims.json", "book/explorer/data/a.js", "README.md",
    ]  # fmt: skip
    assert readme.read_text() == "top\n<!-- claims:begin -->\n\nthe table\n\n<!-- claims:end -->\nmy own words\n"
    assert (checkout / "notebooks/01-one.py").read_text() == "my own work"
    assert committed.summary(checkout)[0].startswith("All 2 chapters")
    assert committed.restore(checkout) == []


def test_without_a_commit_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("notebooks", "book"):
        (tmp_path / folder).mkdir()
    (tmp_path / "_toc.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    for what in ("summary", "report", "restore"):
        assert committed.main([what]) == (0 if what == "summary" else 2)  # without git, make book ends well
        assert "no git commit" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        committed.compare(tmp_path)
