"""The committed notebooks against their sources, and the checker itself on planted defects."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import v4

pytest.importorskip("jupytext", reason="jupytext is not installed")

from canonlib.book import pairing

ROOT = Path(__file__).resolve().parents[1]
SOURCE = """# %% [markdown]
# # Title

# %%
a = 1
b = 2
c = 3

# %%
d = 4
e = 5
a + d
"""
CELLS = [("markdown", "# Title"), ("code", "a = 1\nb = 2\nc = 3"), ("code", "d = 4\ne = 5\na + d")]


def test_chapters_exist():
    assert sorted((ROOT / "notebooks").glob("*.py")), "notebooks/ holds no chapter"


@pytest.mark.parametrize("source", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_committed_chapter_is_executed_and_in_step(source):
    notebook = ROOT / "book" / f"{source.stem}.ipynb"
    assert pairing.in_step(source, notebook) == []
    assert pairing.executed(notebook) == []


@pytest.mark.parametrize("source", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_cells_are_short(source):
    assert pairing.cell_lengths(source) == []


def test_no_other_finding():
    assert pairing.problems(ROOT) == []


@pytest.mark.parametrize("name", ["_config.yml", "_toc.yml"])
def test_book_links_lead_to_the_top_level(name):
    link = ROOT / "book" / name
    assert link.is_symlink()
    assert link.resolve() == (ROOT / name).resolve()
    assert link.resolve().is_file()


def executed_notebook():
    notebook = v4.new_notebook()
    for kind, text in CELLS:
        notebook.cells.append(v4.new_markdown_cell(text) if kind == "markdown" else v4.new_code_cell(text))
    for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.execution_count = count
    notebook.cells[2].outputs = [v4.new_output("execute_result", data={"text/plain": "5"}, execution_count=2)]
    return notebook


@pytest.fixture
def repository(tmp_path):
    for name in ("notebooks", "book"):
        (tmp_path / name).mkdir()
    (tmp_path / "notebooks" / "01-a.py").write_text(SOURCE)
    nbformat.write(executed_notebook(), tmp_path / "book" / "01-a.ipynb")
    return tmp_path


def planted(repository, change):
    notebook = executed_notebook()
    change(notebook)
    nbformat.write(notebook, repository / "book" / "01-a.ipynb")
    return pairing.problems(repository)


def test_a_sound_pair_has_no_finding(repository):
    assert pairing.problems(repository) == []


def _unexecuted(nb):
    nb.cells[1].execution_count = None


def _out_of_order(nb):
    nb.cells[1].execution_count = 7


def _failed(nb):
    nb.cells[1].outputs = [v4.new_output("error", ename="E", evalue="", traceback=[])]


def _edited(nb):
    nb.cells[1].source = "a = 2\nb = 2\nc = 3"


def _shorter(nb):
    del nb.cells[2]


def _large(nb):
    nb.cells[1].outputs = [v4.new_output("stream", name="stdout", text="x" * 300_001)]


def _address(nb):
    nb.cells[1].outputs = [v4.new_output("stream", name="stdout", text="<object at 0x7f0000000000>")]


@pytest.mark.parametrize(("change", "finding"), [
    (_unexecuted, "code cell 1 has not been executed"),
    (_out_of_order, "code cell 1 was executed out of order (count 7)"),
    (_failed, "code cell 1 failed"),
    (_edited, "cell 2 is out of step with 01-a.py"),
    (_shorter, "2 cells, 01-a.py has 3"),
    (_large, "cell 1: an output of 300,"),
    (_address, "memory address"),
])  # fmt: skip
def test_a_planted_defect_is_found(repository, change, finding):
    found = planted(repository, change)
    assert len(found) == 1, found
    assert finding in found[0]


def test_an_expected_error_is_allowed(repository):
    def change(nb):
        _failed(nb)
        nb.cells[1].metadata["tags"] = ["raises-exception"]

    assert planted(repository, change) == []


def test_missing_and_orphaned_notebooks_are_found(repository):
    (repository / "book" / "01-a.ipynb").rename(repository / "book" / "09-z.ipynb")
    found = pairing.problems(repository)
    assert any("09-z.ipynb: no source" in line for line in found)
    assert any("01-a.ipynb: missing" in line for line in found)


def test_all_notebooks_together_have_a_limit(repository, monkeypatch):
    monkeypatch.setattr(pairing, "MAX_BOOK_BYTES", 100)
    assert any("at most 100" in line for line in pairing.problems(repository))


def test_lines_are_counted_without_blanks_and_comments():
    assert pairing.code_lines("# why\n\na = 1\n  # more\nb = 2  # here\n") == 2


@pytest.mark.parametrize(("cells", "finding"), [
    (["x = 1\n" * 26, "x = 1\n" * 5, "x = 1\n" * 5], "cell 1 has 26 lines"),
    (["x = 1"] * 3, "median code cell has 1 lines"),
    (["x = 1\n" * 11] * 3, "median code cell has 11 lines"),
])  # fmt: skip
def test_long_and_crumbled_cells_are_found(tmp_path, cells, finding):
    source = tmp_path / "01-a.py"
    source.write_text("".join(f"# %%\n{cell}\n" for cell in cells))
    found = pairing.cell_lengths(source)
    assert len(found) == 1
    assert finding in found[0]


def test_no_chapter_at_all_is_a_finding(tmp_path):
    assert any("no chapter" in line for line in pairing.problems(tmp_path))
