"""Write requirements.lock and environment.yml: every package of the full environment, pinned.

``python scripts/lock.py`` makes a fresh virtual environment, installs torch and then everything that
pyproject.toml asks for, extras included, and writes what pip chose. ``--from PYTHON`` writes what is installed beside
that interpreter instead, without installing.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[1]
# torch goes first and exact: everything else then settles on this version instead of pulling a newer one.
TORCH = "torch==2.13.0"
# Not of the environment: the project itself, and pip, which every virtual environment brings along.
LEFT_OUT = {"canonlib", "pip"}

LOCK_HEADER = """\
# Every package of the full environment, pinned. Made by `make lock` (scripts/lock.py) with Python {python};
# edit pyproject.toml and run that instead of editing this file. Needs Python 3.11 or newer.
# torch carries no +cpu or +cu suffix: pip takes the build that its index offers for this machine.
"""
ENVIRONMENT_HEADER = """\
# The same pins as requirements.lock, for conda. Made by `make lock`; tests/test_packaging.py compares the two.
# After `conda env create -f environment.yml && conda activate canonlib`: pip install --no-deps -e .
name: canonlib
channels:
  - conda-forge
dependencies:
  - python={python}
  - pip
  - pip:
"""


def requirements() -> list[str]:
    """All ranges of pyproject.toml. Installing these instead of the project leaves no build folder behind."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    return [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]


def install_fresh(folder: Path) -> Path:
    """Make a virtual environment in ``folder`` with the full set of packages and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    for what in (["--upgrade", "setuptools"], [TORCH], requirements()):
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *what], check=True)
    subprocess.run([str(python), "-m", "pip", "check"], check=True)
    return python


def canonical(name: str) -> str:
    """The normal form of a package name, by which the lock is sorted: lower case, single hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(python: Path) -> list[str]:
    """``name==version`` of every package installed beside ``python``, sorted by name, local versions cut off."""
    command = [str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    versions = {canonical(p["name"]): p["version"].partition("+")[0] for p in listed}
    return [f"{name}=={version}" for name, version in sorted(versions.items()) if name not in LEFT_OUT]


def python_version(python: Path) -> str:
    """``major.minor`` of an interpreter."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def write(lines: list[str], version: str, folder: Path = ROOT) -> None:
    """Write both files into ``folder``."""
    lock = LOCK_HEADER.format(python=version) + "".join(f"{line}\n" for line in lines)
    environment = ENVIRONMENT_HEADER.format(python=version) + "".join(f"      - {line}\n" for line in lines)
    (folder / "requirements.lock").write_text(lock, encoding="utf8")
    (folder / "environment.yml").write_text(environment, encoding="utf8")


def main() -> None:
    """Make the environment (or take a given one) and write the two files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="python", type=Path, help="an interpreter whose packages are to be written")
    given = parser.parse_args().python
    with tempfile.TemporaryDirectory(prefix="canonlib-lock-") as folder:
        python = given or install_fresh(Path(folder) / "venv")
        found, version = pins(python), python_version(python)
    if TORCH not in found:
        sys.exit(f"expected {TORCH}; the environment has {[p for p in found if p.startswith('torch==')]}")
    write(found, version)
    print(f"requirements.lock and environment.yml: {len(found)} pins, Python {version}")


if __name__ == "__main__":
    main()
