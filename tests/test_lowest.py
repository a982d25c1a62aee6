"""The lowest versions of the core packages that ``pyproject.toml`` allows, installed together, run the library and the book."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import tomllib
from freshhelpers import ROOT, copy_tree, outside, run

CORE = (
    "jupyter-book",
    "jupytext",
    "torch",
    "transformer-lens",
    "sae-lens",
    "circuitsvis",
    "plotly",
    "papermill",
    "nbval",
)
RUN = ("needs", "dictionaries", "reading", "outliers", "insertion", "stitch_paths", "meta", "metrics", "compare", "rows",
       "sae_training", "fast", "select", "explore_own", "viz", "viz_contexts", "notebooks_strict", "toy")  # fmt: skip


def lowest() -> dict[str, str]:
    """The least version of each core package that one of the requirements allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *(line for name in ("notebooks", "book", "dev") for line in extras[name])]
    found = {}
    for line in listed:
        bound = re.match(r"([A-Za-z0-9-]+)>=([^,;\s]+)", line)
        if bound and bound[1] in CORE:
            found[bound[1]] = bound[2]
    return found


def test_every_core_package_has_a_lowest_version() -> None:
    assert set(lowest()) == set(CORE)
    least = tuple(int(part) for part in lowest()["sae-lens"].split("."))
    assert least >= (6, 54, 9), "before, a fold of the input's scaling left BatchTopK thresholds behind"


@pytest.mark.weekly
@pytest.mark.fresh
def test_the_lowest_versions_run_the_tests_and_a_chapter(tmp_path: Path) -> None:
    import sys

    tree, python = copy_tree(tmp_path / "tree"), tmp_path / "venv/bin/python"
    run(sys.executable, "-m", "venv", tmp_path / "venv", env=outside())
    pins = [f"{name}=={version}" for name, version in lowest().items()]
    run(python, "-m", "pip", "install", "-q", "-e", f"{tree}[notebooks,book,dev]", *pins, env=outside())
    versions = run(
        python, "-c", "import importlib.metadata as m, sys; print([m.version(n) for n in sys.argv[1:]])", *lowest()
    )
    assert all(
        v.startswith(version.removesuffix(".post1"))
        for v, version in zip(eval(versions), lowest().values(), strict=True)
    )
    environment = outside(
        OMP_NUM_THREADS="1", **({"CANONLIB_STORE": s} if (s := os.environ.get("CANONLIB_STORE", "")) else {})
    )
    files = [f"tests/test_{name}.py" for name in RUN]
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not gpu and not weekly and not fresh and not browser",
        *files, cwd=tree, env=environment)  # fmt: skip
    run(tmp_path / "venv/bin/jupyter-book", "build", "-W", "-n", "--keep-going", "book/", cwd=tree, env=environment)
