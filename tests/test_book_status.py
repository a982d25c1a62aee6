"""The records of execution: when they are written, what they hold, and that the committed ones fit the notebooks."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from canonlib.book.status import digest, library_versions, problems, read_records, record_execution, status_table
from canonlib.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def book(tmp_path):
    folder = tmp_path / "book"
    folder.mkdir()
    for name in ("01-one", "02-two"):
        (folder / f"{name}.ipynb").write_text(f'{{"cells": ["{name}"]}}\n')
    return folder


def test_a_record_holds_what_ran(book):
    assert record_execution(book / "01-one.ipynb", 12.34)
    record = json.loads((book / "execution.json").read_text())["01-one"]
    assert record["seconds"] == 12.3
    assert record["python"] == platform.python_version()
    assert record["cores"] >= 1
    assert record["versions"] == library_versions()
    assert record["sha256"] == digest(book / "01-one.ipynb")
    assert not any("+" in version for version in record["versions"].values())


def test_memory_is_told_where_it_is_known(book):
    record_execution(book / "01-one.ipynb", 12.34, 456)
    record_execution(book / "02-two.ipynb", 5)
    rows = [line.split(" | ")[1:3] for line in status_table(book) if ".ipynb" in line]
    assert rows == [["12.3", "456"], ["5", "–"]]


def test_a_record_stays_until_the_notebooks_bytes_change(book):
    record_execution(book / "01-one.ipynb", 10)
    before = (book / "execution.json").read_bytes()
    assert not record_execution(book / "01-one.ipynb", 99)
    assert (book / "execution.json").read_bytes() == before
    (book / "01-one.ipynb").write_text("{}\n")
    assert record_execution(book / "01-one.ipynb", 99)
    assert read_records(book)["01-one"]["seconds"] == 99


def test_records_of_chapters_that_went_are_dropped(book):
    record_execution(book / "01-one.ipynb", 1)
    (book / "01-one.ipynb").unlink()
    record_execution(book / "02-two.ipynb", 1)
    assert list(read_records(book)) == ["02-two"]


def test_a_digest_is_the_same_with_line_ends_of_windows(tmp_path):
    (tmp_path / "a").write_bytes(b"x\ny\n")
    (tmp_path / "b").write_bytes(b"x\r\ny\r\n")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_problems_name_what_is_missing_and_what_is_outdated(book):
    record_execution(book / "01-one.ipynb", 1)
    (book / "01-one.ipynb").write_text("{}\n")
    first, second = problems(book)
    assert "01-one.ipynb" in first
    assert "another run" in first
    assert "02-two.ipynb: no record" in second
    assert "| of another run |" in "\n".join(status_table(book))


def test_the_table_names_chapters_only_where_versions_differ(book):
    for name in ("01-one", "02-two"):
        record_execution(book / f"{name}.ipynb", 1)
    records = read_records(book)
    records["01-one"]["versions"] = {"torch": "2.13.0", "numpy": "2.0"}
    records["02-two"]["versions"] = {"torch": "2.14.0", "numpy": "2.0"}
    (book / "execution.json").write_text(json.dumps(records))
    table = status_table(book)
    assert "| numpy | 2.0 |" in table
    assert "| torch | 2.13.0 (01-one); 2.14.0 (02-two) |" in table


@pytest.mark.parametrize(("text", "message"), [
    ("{", "is no JSON"), ("[]", "one record per chapter"), ('{"01-one": {}}', "sha256 of 01-one is None"),
    ('{"01-one": {"sha256": "0", "seconds": "fast"}}', "seconds of 01-one is 'fast'"),
    ('{"01-one": {"sha256": "0", "seconds": 1}}', "memory_mib of 01-one is None"),
])  # fmt: skip
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(book, text, message):
    (book / "execution.json").write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        record_execution(book / "01-one.ipynb", 1)
    assert "canonlib notebooks" in str(error.value)


def test_every_committed_notebook_has_the_record_of_its_own_bytes():
    assert problems(ROOT / "book") == []


def test_the_runner_records_chapters_of_the_book_and_no_others(book, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    from canonlib.book import runner

    root, cell = book.parent, nbformat.v4.new_code_cell("1 + 1", execution_count=1)
    monkeypatch.setattr(runner, "_execute", lambda *given: nbformat.v4.new_notebook(cells=[cell]))
    told: list[str] = []
    runner.run_chapter(root / "03-three.py", root / "runs" / "03-three.ipynb", root=root, write=told.append)
    assert read_records(book) == {}
    assert not (root / "runs" / "execution.json").exists()
    done = runner.run_chapter(root / "03-three.py", book / "03-three.ipynb", root=root, write=told.append)
    first = read_records(book)["03-three"]
    assert done.changed
    assert first["sha256"] == digest(book / "03-three.ipynb")
    assert not runner.run_chapter(root / "03-three.py", book / "03-three.ipynb", root=root, write=told.append).changed
    assert read_records(book)["03-three"] == first
