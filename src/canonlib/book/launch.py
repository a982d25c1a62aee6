"""The chapters' first code cell, which installs canonlib in Colab and on Binder and does nothing elsewhere.

``python -m canonlib.book.launch`` puts the cell into every source in ``notebooks/`` that lacks it;
``python -m canonlib.book.launch v0.2.0`` also has every cell install that tag or branch, and lets the site's launch
buttons lead there, so that a chapter and the code it installs are of one version (``scripts/release.py`` calls this).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from canonlib.errors import ConfigError

REPOSITORY = "https://github.com/canonlib/canonlib"
TAG = "remove-cell"
"""The cell is in the notebook, for Colab, and not on the page."""
FIRST_LINE = "# In Colab and on Binder: install canonlib, with pinned dependencies. Elsewhere: nothing."
INSTALL_CELL = f"""\
{FIRST_LINE}
import importlib.util
import os
import subprocess
import sys

if os.environ.keys() & {{"COLAB_RELEASE_TAG", "BINDER_LAUNCH_HOST"}} and not importlib.util.find_spec("canonlib"):
    canonlib = "canonlib[pinned] @ git+{REPOSITORY}@%s"
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", canonlib])
"""
"""What the cell says, with %s for the tag or branch. Not ``%pip``, which goes on when the installation fails."""

_REF = re.compile(rf"(git\+{re.escape(REPOSITORY)}@)([\w.-]+)")
_BRANCH = re.compile(r"^(repository:(?:\n[ #].*)*?\n  branch: )(\S+)$", re.M)
_CODE_CELL = re.compile(r"^# %%(?! \[markdown\]).*$", re.M)


def install_cell(ref: str) -> str:
    """The cell's source, installing from ``ref``: a tag such as ``v0.2.0``, or the branch ``main``.

    Raises ``ConfigError`` for a ``ref`` that is neither.
    """
    if not re.fullmatch(r"[\w.-]+", ref):
        raise ConfigError(f"ref must be a tag or a branch such as v0.2.0 or main, got {ref!r}.")
    return INSTALL_CELL.rstrip() % ref


def first_code_cell(notebook: Path) -> Any:
    """The first code cell of a chapter, of its source or its executed notebook; ``ConfigError`` when it has none."""
    import jupytext

    for cell in jupytext.read(notebook).cells:
        if cell.cell_type == "code":
            return cell
    raise ConfigError(f"{notebook} has no code cell.")


def launch_ref(root: Path) -> str:
    """The tag or branch that the site's launch buttons lead to, as ``_config.yml`` says; ``ConfigError`` when it says none."""
    found = _BRANCH.search((root / "_config.yml").read_text(encoding="utf-8"))
    if found is None:
        raise ConfigError(f"{root / '_config.yml'} names no branch below repository:.")
    return found[2]


def with_cell(source: str, ref: str) -> str:
    """A py:percent text with the cell before its first other code cell; as it is when it has the cell.

    Raises ``ConfigError`` for a text without a code cell.
    """
    if FIRST_LINE in source:
        return source
    first = _CODE_CELL.search(source)
    if first is None:
        raise ConfigError("a chapter without a code cell needs no install cell; this text has none.")
    cell = f'# %% tags=["{TAG}"]\n{install_cell(ref)}\n\n'
    return source[: first.start()] + cell + source[first.start() :]


def put(root: Path, ref: str | None = None) -> list[Path]:
    """Put the cell where it lacks and ``ref`` where it is not said; returns the files that changed.

    Executed notebooks only get the new ``ref``: a cell that does nothing need not run again to say so, and their records
    of execution stay theirs.
    """
    from canonlib.book.status import digest, follow

    ref = launch_ref(root) if ref is None else ref
    install_cell(ref)  # refuses what is no ref
    changed = []
    sources, books = sorted((root / "notebooks").glob("*.py")), sorted((root / "book").glob("*.ipynb"))
    for path in [*sources, *books, root / "_config.yml"]:
        before = path.read_text(encoding="utf-8")
        after = with_cell(before, ref) if path in sources else before
        if path.name == "_config.yml":
            after = _BRANCH.sub(rf"\g<1>{ref}", after)
        else:
            after = _REF.sub(rf"\g<1>{ref}", after)
        if after != before:
            old = digest(path)
            path.write_text(after, encoding="utf-8", newline="\n")
            changed.append(path)
            if path in books:
                follow(path, old)
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Put the cell into the chapters of the repository here; 2 when the arguments make no sense."""
    from canonlib.book.runner import repository_root

    given = sys.argv[1:] if arguments is None else arguments
    if len(given) > 1:
        sys.stderr.write("usage: python -m canonlib.book.launch [TAG-OR-BRANCH]\n")
        return 2
    root = repository_root()
    try:
        changed = put(root, *given)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{path.relative_to(root)}\n" for path in changed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
