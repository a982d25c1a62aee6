"""What several files share: the package as built, an environment in which a notebook installed it, a browser, and how
tests are dealt out when several processes run them (``-n 2 --dist loadfile``)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import freshhelpers
import pytest
from freshhelpers import ROOT, FreshPython

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: two processes with two threads each starve one another on two cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def scope(nodeid: str) -> str:
    """Tests of one scope run in one process: those of a file, of all files that share an installation, of a window."""
    file, _, test = nodeid.partition("::")
    if file in ("tests/test_colab.py", "tests/test_distribution.py"):
        return "fresh"
    if file == "tests/test_site_browser.py" and test.endswith(("-light]", "-dark]")):
        return test.partition("[")[2]
    return file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """xdist's own scheduler by file, with the scopes above, in the order of the items."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByScope(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    config.option.loadscopereorder = False
    return ByScope(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no process is left alone with one at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium without a network, one for a file's tests."""
    from browserhelpers import open_browser

    with open_browser() as opened:
        yield opened


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
