"""The fixtures that several files share: the package as built, and an environment in which a notebook installed it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import freshhelpers
import pytest
from freshhelpers import ROOT, FreshPython


class Built(NamedTuple):
    """What ``python -m build`` made of the tree."""

    wheel: Path
    sdist: Path


class Colab(NamedTuple):
    """An environment as Colab's, after the install cell of a chapter has run there and nothing else."""

    python: FreshPython
    before: dict[str, str]
    """Versions before the cell ran."""
    said: str
    """What the cell printed."""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    return Built(*freshhelpers.build(tmp_path_factory.mktemp("built")))


@pytest.fixture(scope="session")
def colab(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Colab:
    from canonlib.book import launch

    folder = tmp_path_factory.mktemp("colab")
    cell = launch.first_code_cell(sorted((ROOT / "book").glob("*.ipynb"))[0])
    git = freshhelpers.serve_as_github(built.sdist, folder / "served", launch.REPOSITORY, launch.launch_ref(ROOT))
    python = FreshPython(folder)
    before, empty = python.packages(), folder / "empty"
    empty.mkdir()
    done = python.execute([cell], empty, COLAB_RELEASE_TAG="test", **git)
    said = "".join(output.get("text", "") for output in done.cells[0].outputs)
    return Colab(python, before, said)
