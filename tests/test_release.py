"""Version, changelog, tag, install cells and launch buttons stay in step; the release script on a small tree."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from canonlib.book import launch, status
from canonlib.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = """# %% [markdown]
# # Title

# %% tags=["parameters"]
seed = 0
"""
CHANGES = """# Changelog

## 0.2.0 (unreleased)

- New.
- Newer.

## 0.1.0 (2026-01-31)

- Old.
"""
CONFIG = """title: x
repository:
  url: https://github.com/canonlib/canonlib
  # a remark
  path_to_book: book
  branch: main
launch_buttons:
  branch: other
"""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "scripts" / "release.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = load()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository of two chapters, one with the cell and one without, on the way to 0.2.0."""
    for folder in ("notebooks", "book", "src/canonlib"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    (tmp_path / "_config.yml").write_text(CONFIG)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n[tool.mypy]\npython_version = "3.11"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 0.2.0\n")
    (tmp_path / "src/canonlib/__init__.py").write_text('__version__ = "0.2.0"\n')
    (tmp_path / "notebooks" / "01-a.py").write_text(CHAPTER)
    (tmp_path / "notebooks" / "02-b.py").write_text(launch.with_cell(CHAPTER, "main"))
    cell = {"cell_type": "code", "execution_count": 1, "id": "a", "metadata": {}, "outputs": []}
    notebook = {"cells": [{**cell, "source": launch.install_cell("main").splitlines(keepends=True)}], "metadata": {},
                "nbformat": 4, "nbformat_minor": 5}  # fmt: skip
    (tmp_path / "book" / "02-b.ipynb").write_text(json.dumps(notebook))
    status.record_execution(tmp_path / "book" / "02-b.ipynb", 3.0)
    launch.put(tmp_path)
    return tmp_path


def test_this_repository_is_in_step() -> None:
    assert release.problems(ROOT) == []


def test_this_repository_could_be_released_and_stays_in_step(tmp_path: Path) -> None:
    for name in ["CHANGELOG.md", "_config.yml", *release.PLACES]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for pattern in ("notebooks/*.py", "book/*.ipynb", "book/execution.json"):
        for path in ROOT.glob(pattern):
            (tmp_path / pattern).parent.mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / path.relative_to(ROOT))
    version, state = release.headings(tmp_path)[0]
    if state == "unreleased":
        assert release.main(["close", version], tmp_path) == 0
    assert release.problems(tmp_path, f"v{version}") == []
    major, minor, _ = version.split(".")
    assert release.main(["open", f"{major}.{int(minor) + 1}.0"], tmp_path) == 0
    assert release.problems(tmp_path) == []


def test_the_changelog_says_something_about_this_version() -> None:
    version, _ = release.headings(ROOT)[0]
    assert len(release.notes(ROOT, version).split()) > 20


def test_the_cell_goes_before_the_first_code_cell_and_only_once(tree: Path) -> None:
    text = (tree / "notebooks" / "01-a.py").read_text()
    assert text.index("# # Title") < text.index(launch.FIRST_LINE) < text.index("seed = 0")
    assert launch.first_code_cell(tree / "notebooks" / "01-a.py").source == launch.install_cell("main")
    assert '# %% tags=["parameters"]\nseed = 0' in text
    assert launch.put(tree) == []
    assert text.count(launch.FIRST_LINE) == 1


def test_a_release_and_the_version_after_it(tree: Path) -> None:
    assert release.problems(tree) == []
    assert "unreleased" in "".join(release.problems(tree, "v0.2.0"))
    assert release.main(["close", "0.2.0"], tree) == 0
    assert release.main(["check", "v0.2.0"], tree) == 0
    assert launch.launch_ref(tree) == "v0.2.0"
    assert re.search(r"^version: 0\.2\.0\ndate-released: \d{4}-\d\d-\d\d$", (tree / "CITATION.cff").read_text(), re.M)
    assert status.read_records(tree / "book")["02-b"]["seconds"] == 3.0
    assert "  branch: other\n" in (tree / "_config.yml").read_text()
    for path in (tree / "notebooks" / "01-a.py", tree / "book" / "02-b.ipynb"):
        assert "canonlib/canonlib@v0.2.0" in path.read_text()
        assert "@main" not in path.read_text()
    assert release.main(["close", "0.2.0"], tree) == 1
    assert release.main(["open", "0.3.0"], tree) == 0
    assert release.problems(tree) == []
    assert release.headings(tree)[0] == ("0.3.0", "unreleased")
    assert release.versions(tree) == dict.fromkeys(release.PLACES, "0.3.0")
    assert 'python_version = "3.11"' in (tree / "pyproject.toml").read_text()
    assert launch.launch_ref(tree) == "main"
    assert "date-released" not in (tree / "CITATION.cff").read_text()


def test_a_record_of_another_run_stays_so_and_is_found(tree: Path) -> None:
    book = tree / "book"
    records = json.loads((book / "execution.json").read_text())
    records["02-b"]["sha256"] = "0" * 64
    (book / "execution.json").write_text(json.dumps(records))
    launch.put(tree, "v0.2.0")
    assert status.read_records(book) == records
    launch.put(tree, "main")
    assert any("execution.json is of another run" in line for line in release.problems(tree))


def change(name: str, old: str, new: str):
    def apply(tree: Path) -> None:
        text = (tree / name).read_text()
        assert old in text
        (tree / name).write_text(text.replace(old, new))

    return apply


@pytest.mark.parametrize(("fault", "finding"), [
    (change("pyproject.toml", "0.2.0", "0.2.1"), "pyproject.toml says 0.2.1, CHANGELOG.md 0.2.0"),
    (change("CITATION.cff", "0.2.0", "0.1.0"), "CITATION.cff says 0.1.0, CHANGELOG.md 0.2.0"),
    (change("src/canonlib/__init__.py", "0.2.0", "0.1.0"), "__init__.py says 0.1.0"),
    (change("_config.yml", "branch: main", "branch: v0.1.0"), "_config.yml opens v0.1.0, it should open main"),
    (change("notebooks/01-a.py", "@main", "@v0.1.0"), "01-a.py: its first code cell does not install main"),
    (change("book/02-b.ipynb", "@main", "@v0.1.0"), "02-b.ipynb: its first code cell does not install main"),
    (change("notebooks/02-b.py", "import sys\n", ""), "02-b.py: its first code cell does not install main"),
])  # fmt: skip
def test_what_is_out_of_step_is_found(tree: Path, fault, finding: str, capsys: pytest.CaptureFixture[str]) -> None:
    fault(tree)
    found = [line for line in release.problems(tree) if "execution.json" not in line]
    assert len(found) == 1
    assert finding in found[0]
    assert release.main(["check", "v0.2.0"], tree) == 1
    assert finding in capsys.readouterr().err


def test_a_tag_of_another_version_is_found(tree: Path) -> None:
    assert release.main(["close", "0.2.0"], tree) == 0
    assert release.problems(tree, "v0.2.1") == ["the tag is v0.2.1, the newest section of CHANGELOG.md 0.2.0"]


def test_notes_are_the_section_and_nothing_else(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["notes", "0.2.0"], tree) == 0
    assert capsys.readouterr().out == "- New.\n- Newer.\n"
    assert release.notes(tree, "0.1.0") == "- Old.\n"
    assert release.main(["notes", "0.9.0"], tree) == 1
    change("CHANGELOG.md", "- Old.\n", "")(tree)
    with pytest.raises(release.ReleaseError, match=r"says nothing about 0\.1\.0"):
        release.notes(tree, "0.1.0")


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_the_next_version_is_higher(tree: Path, version: str) -> None:
    assert release.main(["open", "0.3.0"], tree) == 1  # 0.2.0 is not closed
    assert release.main(["close", "0.2.0"], tree) == 0
    assert release.main(["open", version], tree) == 1


@pytest.mark.parametrize("arguments", [["check", "0.2.0"], ["close", "v0.2.0"], ["notes", "two"], ["leave", "0.2.0"]])
def test_nonsense_is_refused(tree: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        release.main(arguments, tree)


@pytest.mark.parametrize("ref", ["", "main; rm", "a b", "@"])
def test_what_is_no_ref_is_refused_and_nothing_changes(tree: Path, ref: str) -> None:
    before = (tree / "notebooks" / "01-a.py").read_text()
    with pytest.raises(ConfigError, match="ref must be a tag or a branch"):
        launch.put(tree, ref)
    assert (tree / "notebooks" / "01-a.py").read_text() == before
