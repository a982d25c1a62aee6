"""Write requirements.lock and environment.yml: every package of the full environment, pinned.

``python scripts/lock.py`` makes a fresh virtual environment, installs torch and then everything that
pyproject.toml asks for, extras included, and writes what pip chose. ``--from PYTHON`` writes what is installed beside
that interpreter instead, without installing. ``--again`` writes the files anew from the pins that are there.

The extra ``pinned`` in pyproject.toml is written too: the pins of the direct dependencies, for Colab, where the whole
lock would replace half of what is there.
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
# Colab's kernel has these loaded, or built for its GPU: another version below a running kernel breaks it.
COLABS_OWN = {"torch", "numpy", "ipython"}
PINNED = re.compile(r"^pinned = \[\n(.*?)^\]\n", re.M | re.S)

LOCK_HEADER = """\
# Every package of the full environment, pinned. Made by `make lock` (scripts/lock.py) with Python {python};
# edit pyproject.toml and run that instead of editing this file. Needs Python 3.11 or newer.
# torch carries no +cpu or +cu suffix: pip takes the build that its index offers for this machine.
"""
ENVIRONMENT_HEADER = """\
# The same pins as requirements.lock, for Binder and conda. Made by `make lock`; tests/test_packaging.py compares the two.
# torch is its CPU build here, because Binder has no GPU and no room; on a GPU take requirements.lock.
name: canonlib
channels:
  - conda-forge
dependencies:
  - python={python}
  - pip
  - pip:
      - --extra-index-url https://download.pytorch.org/whl/cpu
"""
ENVIRONMENT_END = "      - -e .\n"


def requirements() -> list[str]:
    """All ranges of pyproject.toml. Installing these instead of the project leaves no build folder behind."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    extras = {name: texts for name, texts in project["optional-dependencies"].items() if name != "pinned"}
    return [*project["dependencies"], *(text for texts in extras.values() for text in texts)]


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


def colab_pins(lines: list[str], dependencies: list[str]) -> list[str]:
    """Of the pins, those of the direct ``dependencies``, without what Colab must keep."""
    direct = {canonical(re.split(r"[^\w.-]", text)[0]) for text in dependencies} - COLABS_OWN
    return [line for line in lines if line.partition("==")[0] in direct]


def write(lines: list[str], version: str, folder: Path = ROOT) -> None:
    """Write both files into ``folder``, and the extra ``pinned`` into the pyproject.toml there."""
    lock = LOCK_HEADER.format(python=version) + "".join(f"{line}\n" for line in lines)
    environment = ENVIRONMENT_HEADER.format(python=version) + "".join(f"      - {line}\n" for line in lines)
    (folder / "requirements.lock").write_text(lock, encoding="utf8")
    (folder / "environment.yml").write_text(environment + ENVIRONMENT_END, encoding="utf8")
    project = folder / "pyproject.toml"
    text = project.read_text(encoding="utf8")
    direct = colab_pins(lines, tomllib.loads(text)["project"]["dependencies"])
    pinned = "pinned = [\n" + "".join(f'    "{line}",\n' for line in direct) + "]\n"
    text, found = PINNED.subn(pinned, text)
    if found != 1:
        sys.exit(f"{project} has {found} extras named pinned; it must have one, which may be empty")
    project.write_text(text, encoding="utf8")


def locked() -> tuple[list[str], str]:
    """The pins of requirements.lock as it is, and the Python version that its header names."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf8")
    return [line for line in text.splitlines() if not line.startswith("#")], re.search(r"with Python (\S+);", text)[1]


def main() -> None:
    """Make the environment (or take a given one, or the pins that are there) and write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="python", type=Path, help="an interpreter whose packages are to be written")
    parser.add_argument("--again", action="store_true", help="write the pins that are there, choosing none anew")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="canonlib-lock-") as folder:
        if given.again:
            found, version = locked()
        else:
            python = given.python or install_fresh(Path(folder) / "venv")
            found, version = pins(python), python_version(python)
    if TORCH not in found:
        sys.exit(f"expected {TORCH}; the environment has {[p for p in found if p.startswith('torch==')]}")
    write(found, version)
    print(f"requirements.lock, environment.yml and pyproject.toml's pinned: {len(found)} pins, Python {version}")


if __name__ == "__main__":
    main()
