"""What ``python -m build`` makes: complete, with sound metadata, and at work where the repository is not."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import subprocess
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
import tomllib
import typer
from freshhelpers import ROOT, committed_below, outside
from packaging.metadata import Metadata

from canonlib.cli import app

pytestmark = [pytest.mark.slow, pytest.mark.fresh]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
# Rooms of the book's own tools, which Sphinx imports, and what they need.
PLUGIN = "canonlib.book.testing"
"""A plugin of pytest's own."""
FOR_SPHINX = {f"canonlib.book.{name}" for name in ("apidocs", "crosslinks", "explorerpage", "mime", "offline", "pages")}


def packaged() -> list[str]:
    """Every file of the package that is or would be committed, as the wheel names it."""
    return [name.removeprefix("src/") for name in committed_below("src/canonlib")]


def test_the_wheel_holds_the_whole_package_and_nothing_else(built: Any) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        held = sorted(name for name in wheel.namelist() if ".dist-info/" not in name)
        assert held == packaged()
        assert (
            wheel.read("canonlib/world/model/model.safetensors")
            == (ROOT / "src/canonlib/world/model/model.safetensors").read_bytes()
        )
    assert built.wheel.name == f"canonlib-{PROJECT['version']}-py3-none-any.whl"


def test_the_sdist_holds_the_package_and_what_building_needs(built: Any) -> None:
    with tarfile.open(built.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in packaged()} <= held
    assert {"pyproject.toml", "README.md", "LICENSE"} <= held
    assert built.sdist.name == f"canonlib-{PROJECT['version']}.tar.gz"


def test_the_metadata_is_sound(built: Any) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        folder = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
        raw = wheel.read(f"{folder}/METADATA").decode()
        points = wheel.read(f"{folder}/entry_points.txt").decode()
    said = Metadata.from_email(raw, validate=True)
    assert (said.name, str(said.version), said.license_expression) == ("canonlib", PROJECT["version"], "MIT")
    assert said.description_content_type == "text/markdown"
    assert message_from_string(raw).get_payload().strip().startswith("# canonlib")
    assert set(said.provides_extra) == set(PROJECT["optional-dependencies"])
    assert len(said.requires_dist) >= len(PROJECT["dependencies"])
    assert said.license_files == ["LICENSE"]
    assert "canonlib = canonlib.cli:main" in points
    assert "canon_plotly = canonlib.book.offline:PlotlyMime" in points


def test_what_a_chapters_cell_installs_is_the_wheel_to_the_byte(built: Any, colab: Any) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        record = next(name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
        rows = [row for row in csv.reader(io.StringIO(wheel.read(record).decode())) if row[0].startswith("canonlib/")]
    assert len(rows) == len(packaged())
    for name, digest, _ in rows:
        kind, _, wanted = digest.partition("=")
        found = hashlib.new(kind, (colab.python.site / name).read_bytes()).digest()
        assert base64.urlsafe_b64encode(found).rstrip(b"=").decode() == wanted, name


IMPORT_ALL = """
import importlib, pkgutil, sys
import canonlib
assert canonlib.__file__.startswith(sys.prefix), canonlib.__file__
failed = {}
for module in pkgutil.walk_packages(canonlib.__path__, "canonlib."):
    if any(part.startswith("_") for part in module.name.split(".")):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        failed[module.name] = error.name
print(failed)
"""


def test_every_public_module_imports_with_the_packages_of_a_chapter(colab: Any, tmp_path: Path) -> None:
    failed = eval(colab.python.say(IMPORT_ALL, tmp_path))
    assert set(failed) == FOR_SPHINX | {PLUGIN}
    assert failed.pop(PLUGIN) == "pytest"
    assert set(failed.values()) <= {"docutils", "sphinx"}


WORK = """
from pathlib import Path
import torch
from canonlib.meta import MetaConfig, train_meta_sae
from canonlib.sae import training
from canonlib.tiers import Family
from canonlib.world import causal, model, questions, table

person = next(p for p in table.people() if p.name == "Einstein")
asked = questions.question(person, "field")
print(asked.answer, causal.answers(model.load(), [asked])[0])
rows = torch.randn(400, 16, generator=torch.Generator().manual_seed(0))
family = Family("batchtopk", "all", (48,), sparsities=(4,), steps=30, batch=64, lr=1e-3)
sae = training.train(family, 48, rows, seed=0, out=Path("my-sae"))
meta = train_meta_sae(sae, MetaConfig(n_latents=8, k=2.0, steps=20, batch_size=16), progress=False)
print({"cfg.json", "sae_weights.safetensors"} <= {path.name for path in Path("my-sae").iterdir()}, tuple(meta.sae.W_dec.shape))
"""


def test_the_model_answers_and_saes_are_trained_outside_of_the_repository(colab: Any, tmp_path: Path) -> None:
    answered, trained = colab.python.say(WORK, tmp_path).splitlines()[-2:]
    right, given = answered.split()
    assert given == right
    assert trained == "True (8, 16)"


def command(colab: Any, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The console script, as installed, in ``folder``."""
    script = colab.python.python.with_name("canonlib")
    variables = outside(FORBIDDEN_FOLDER=str(ROOT), CANONLIB_STORE=str(folder / "store"), COLUMNS="200")
    return subprocess.run([script, *arguments], cwd=folder, env=variables, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["", *sorted(typer.main.get_command(app).commands)])
def test_every_command_has_help_outside_of_the_repository(colab: Any, tmp_path: Path, name: str) -> None:
    done = command(colab, tmp_path, *name.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert re.search(rf"Usage: canonlib {name}", done.stdout)


def test_an_explorer_of_ones_own_saes_is_written_outside_of_the_repository(colab: Any, tmp_path: Path) -> None:
    colab.python.say(WORK + 'meta.save("my-meta")', tmp_path)
    done = command(colab, tmp_path, "explore", "page", "--sae", "my-sae", "--meta", "my-meta")
    assert done.returncode == 0, done.stderr
    assert {"index.html", "data"} <= {path.name for path in (tmp_path / "page").iterdir()}


@pytest.mark.parametrize(("arguments", "says"), [
    (["notebooks", "1"], "no canonlib repository at or above"),
    (["pdf"], "no canonlib repository at or above"),
    (["claims", "--write"], "in a checkout of canonlib"),
])  # fmt: skip
def test_a_command_that_needs_the_repository_says_so_at_once(
    colab: Any, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = command(colab, tmp_path, *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "store").exists(), "it computed first and complained then"


def test_the_watch_on_the_repository_watches(colab: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="reads from the repository"):
        colab.python.say(f"open({str(ROOT / 'README.md')!r})", tmp_path)
    with pytest.raises(AssertionError, match="reads from the repository"):
        colab.python.say(f"import os; os.listdir({str(ROOT / 'benchmarks')!r})", tmp_path)
