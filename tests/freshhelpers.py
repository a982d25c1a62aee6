"""The package as others get it: built from a copy of the tree, installed in an environment that holds nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
from nbformat import v4

ROOT = Path(__file__).resolve().parents[1]
# What Colab's kernel brings along, older than requirements.lock; the install cell must leave these as they are. None: the
# version installed here, because that wheel lies on the machine.
COLABS_OWN = {"torch": None, "numpy": "2.0.2", "ipython": "7.34.0", "ipykernel": "6.17.1"}
# Runs before anything else in the fresh interpreter: to open a file of the repository is an error there.
WATCH = """
import os, sys
_forbidden, _allowed = os.environ.get("FORBIDDEN_FOLDER"), os.environ.get("CANONLIB_STORE", "")

def _watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str):
        path = os.path.abspath(arguments[0]) + os.sep
        if path.startswith(_forbidden + os.sep) and not (_allowed and path.startswith(os.path.abspath(_allowed))):
            raise PermissionError(f"reads from the repository: {path}")

if _forbidden:
    sys.addaudithook(_watch)
"""


def run(*command: str | Path, **more: Any) -> str:
    """Standard output of a command; its standard error is shown when it fails."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def committed_below(folder: str) -> list[str]:
    """Paths from the repository's root of all files that git tracks below ``folder``, or would on ``git add``."""
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", folder)
    names = [name for name in run(*command, cwd=ROOT).split("\0") if name]
    return sorted(name for name in dict.fromkeys(names) if (ROOT / name).is_file())


def copy_tree(target: Path) -> Path:
    """The tree as git would commit it: without caches, old builds and virtual environments."""
    for name in committed_below("."):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def build(folder: Path) -> tuple[Path, Path]:
    """Wheel and sdist of the tree, built below ``folder``."""
    tree, out = copy_tree(folder / "tree"), folder / "dist"
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree, env=outside())
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def outside(**more: str) -> dict[str, str]:
    """The environment variables, without those that lead Python back to the repository or to user packages."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "JUPYTER", "COLAB", "BINDER"))}
    # Without compiling what is never imported, an installation takes half the time.
    pip = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "1"}
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONHASHSEED": "0", **pip, **more}


def serve_as_github(sdist: Path, folder: Path, address: str, ref: str) -> dict[str, str]:
    """A git repository that holds what the sdist holds, at the branch or tag ``ref``, and git's settings to meet it
    under ``address``: a notebook's install cell then needs no change and no network to get the tree's package."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    tree = next(path for path in folder.iterdir() if path.is_dir())
    quiet = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "core.autocrlf=false")
    run("git", "init", "-q", "-b", "served", tree)
    run("git", *quiet, "add", "-A", "-f", cwd=tree)
    run("git", *quiet, "commit", "-q", "-m", "the sdist", cwd=tree)
    run("git", "tag" if ref.startswith("v") else "branch", ref, cwd=tree)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tree.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }


class FreshPython:
    """A new virtual environment with what Colab has before a notebook begins: torch, numpy and a kernel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run(sys.executable, "-m", "venv", folder / "venv")
        self.python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        pins = [f"{name}=={pin or version(name).partition('+')[0]}" for name, pin in COLABS_OWN.items()]
        run(self.python, "-m", "pip", "install", "-q", *pins, env=outside())
        (self.site / "sitecustomize.py").write_text(WATCH)

    @cached_property
    def site(self) -> Path:
        """Where its packages lie."""
        return Path(run(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())

    def packages(self) -> dict[str, str]:
        """Versions of what is installed, by name."""
        listed = json.loads(run(self.python, "-m", "pip", "list", "--format", "json", env=outside()))
        return {p["name"].lower().replace("_", "-"): p["version"] for p in listed}

    def say(self, code: str, cwd: Path, **env: str) -> str:
        """What ``code`` prints, run in ``cwd`` and kept from the repository."""
        return run(self.python, "-c", code, cwd=cwd, env=outside(FORBIDDEN_FOLDER=str(ROOT), **env))

    def execute(self, cells: list[Any], cwd: Path, **env: str) -> Any:
        """The cells as a notebook, run top to bottom in ``cwd`` and kept from the repository; raises as they do."""
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient

        argv = [
            str(self.python),
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
            "--HistoryManager.enabled=False",
        ]
        kernel = AsyncKernelManager()
        kernel._kernel_spec = KernelSpec(argv=argv, display_name="fresh", language="python")
        notebook = v4.new_notebook(cells=[nbformat.from_dict(dict(cell)) for cell in cells])
        resources = {"metadata": {"path": str(cwd)}}
        variables = outside(FORBIDDEN_FOLDER=str(ROOT), IPYTHONDIR=str(self.folder / "ipython"), **env)
        return NotebookClient(notebook, km=kernel, timeout=1800, resources=resources).execute(
            env=variables, cleanup_kc=True
        )
