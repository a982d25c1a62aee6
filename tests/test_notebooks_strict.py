"""A cell in which something fails fails the notebook, though IPython goes on: in nbval's kernels and in the chapters'."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from canonlib.book.kernel import own_kernel

ROOT = Path(__file__).parents[1]
FAILING = {
    "unknown line magic": "%nosuchmagic 1",
    "unknown cell magic": "%%nosuchmagic\n1",
    "magic in a line": "x = %nosuchmagic",
    "shell command": "!exit 3",
    "missing program": "!nosuchprogram --version",
    "missing program, its output kept": "x = !nosuchprogram",
    "failing command, its output kept": "x = !false",
    "missing program in a pipe's end": "!echo a | nosuchprogram",
    "second of two": "1 + 1\n!false\n2 + 2",
    "plain error": "1 / 0",
}
FINE = ["%time 1", "!true", "x = !echo a b\nassert x == ['a b'], x", "y = 'a'\nz = !echo {y} $y\nassert z == ['a a']",
        "%%time\n1", "!echo out", "command, run = 'mine', 'yours'\n!test \"$command {run}\" = 'mine yours'",
        "def inside():\n    own = 'a'\n    !test $own = a\n    x = !echo $own\n    assert x == ['a'], x\ninside()",
        "x = !echo told 1>&2\nassert x == ['told'], x"]  # fmt: skip


def notebook(path: Path, *cells: str) -> Path:
    """A notebook without stored outputs."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for i, cell in enumerate(made.cells):
        cell.id = f"cell-{i}"
    nbformat.write(made, path)
    return path


def test_each_fails_its_cell_in_nbval_and_what_is_fine_passes(tmp_path: Path) -> None:
    """One notebook, each failing cell between fine ones: exactly those cells fail."""
    cells = ["1"]
    for source in FAILING.values():
        cells += [source, "2"]
    path = notebook(tmp_path / "odd.ipynb", *cells, *FINE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "--nbval-lax",
         "--nbval-current-env", "-p", "no:cacheprovider", "-rA", "--color=no", "-q", str(path)],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    failed = {
        int(line.rpartition("Cell ")[2].split()[0]) for line in done.stdout.splitlines() if line.startswith("FAILED ")
    }
    assert failed == {1 + 2 * i for i in range(len(FAILING))}, done.stdout[-3000:]


@pytest.mark.parametrize("kind", ["unknown line magic", "missing program", "failing command, its output kept"])
def test_a_chapter_stops_at_it(kind: str, tmp_path: Path) -> None:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    with own_kernel(tmp_path) as kernel:
        made = nbformat.read(notebook(tmp_path / "a.ipynb", "1", *FINE, "assert 'install' not in dir()"), as_version=4)
        NotebookClient(made, kernel_name=kernel).execute()
        made = nbformat.read(notebook(tmp_path / "b.ipynb", "1", FAILING[kind]), as_version=4)
        with pytest.raises(CellExecutionError):
            NotebookClient(made, kernel_name=kernel).execute()
