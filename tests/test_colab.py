"""Each chapter as Colab runs it: an empty environment, the chapter's own install cell, and nothing of the repository.

The cell installs from GitHub; git is told (by its own settings) to find there what ``python -m build`` made of the
tree. One installation serves all chapters, whose cells are shown to be the same. The store may be a warm one, or the
SAEs would be trained here; what a reader in Colab waits for is what a first ``make book`` takes.
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jupytext
import pytest
import tomllib
from freshhelpers import COLABS_OWN, ROOT

from canonlib.book import launch

NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
QUICK = ("01-canonical", "performance")
"""What every `make test` runs: a chapter that needs the store, and the page that does without; all others run weekly, and
in CI one by one."""
REF = launch.launch_ref(ROOT)


@pytest.mark.parametrize("path", [*SOURCES, *NOTEBOOKS], ids=lambda p: p.name)
def test_every_chapter_begins_with_the_install_cell(path: Path) -> None:
    cell = launch.first_code_cell(path)
    assert cell.source == launch.install_cell(REF), "python -m canonlib.book.launch puts it in"
    assert cell.metadata["tags"] == [launch.TAG]
    assert cell.get("outputs", []) == []


def run_cell(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], there: bool) -> list[list[str]]:
    """The cell's calls, run where ``variables`` are set and canonlib is ``there`` or not."""
    calls: list[list[str]] = []
    for name in ("COLAB_RELEASE_TAG", "BINDER_LAUNCH_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(name=name) if there else None)
    monkeypatch.setattr(subprocess, "check_call", lambda command: calls.append(command))
    builtins.exec(launch.install_cell("v9.8.7"), {})
    return calls


@pytest.mark.parametrize(
    "variables", [{"COLAB_RELEASE_TAG": "release-colab"}, {"BINDER_LAUNCH_HOST": "https://x.org/"}]
)
def test_the_cell_installs_in_colab_and_on_binder(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    wanted = "canonlib[pinned] @ git+https://github.com/canonlib/canonlib@v9.8.7"
    assert run_cell(monkeypatch, variables, there=False) == [[sys.executable, "-m", "pip", "install", "-q", wanted]]
    assert run_cell(monkeypatch, variables, there=True) == []


@pytest.mark.parametrize("there", [True, False])
def test_the_cell_does_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    assert run_cell(monkeypatch, {}, there) == []
    assert capsys.readouterr() == ("", "")


def test_the_page_does_not_show_the_cell() -> None:
    built = ROOT / "book" / "_build" / "html"
    if not built.is_dir():
        pytest.skip("needs the built site (make html)")
    shown = [n.stem for n in NOTEBOOKS if launch.FIRST_LINE in (built / f"{n.stem}.html").read_text(encoding="utf8")]
    assert shown == []


def cells(path: Path) -> list[Any]:
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.fresh
def test_the_cell_installs_the_built_package_with_its_pins_and_leaves_colabs_own(colab: Any) -> None:
    assert "ERROR" not in colab.said
    assert "canonlib" not in colab.before
    after = colab.python.packages()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    assert after["canonlib"] == project["version"]
    pins = project["optional-dependencies"]["pinned"]
    assert [pin for pin in pins if after[pin.split("==")[0]] != pin.split("==")[1]] == []
    assert {name: after[name] for name in COLABS_OWN} == {name: colab.before[name] for name in COLABS_OWN}
    kernel = {"jupyter-client", "tornado", "pyzmq", "prompt-toolkit", "ipykernel", "traitlets"}
    assert [n for n in kernel & colab.before.keys() if after[n] != colab.before[n]] == []


def test_quick_chapters_exist() -> None:
    assert set(QUICK) <= {notebook.stem for notebook in NOTEBOOKS}


@pytest.mark.slow
@pytest.mark.fresh
@pytest.mark.parametrize("notebook", [
    pytest.param(n, id=n.stem, marks=[] if n.stem in QUICK else pytest.mark.weekly) for n in NOTEBOOKS
])  # fmt: skip
def test_a_chapter_runs_top_to_bottom_in_an_empty_folder(colab: Any, notebook: Path, tmp_path: Path) -> None:
    store = os.environ.get("CANONLIB_STORE", str(tmp_path / "store"))
    empty = tmp_path / "content"
    empty.mkdir()
    variables = {"COLAB_RELEASE_TAG": "test", "CANONLIB_STORE": store, "CANONLIB_PROGRESS": "0", "OMP_NUM_THREADS": "1"}
    done = colab.python.execute(cells(notebook), empty, **variables)
    assert [cell.execution_count for cell in done.cells] == list(range(1, len(done.cells) + 1))
