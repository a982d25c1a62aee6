"""Executes the chapters: ``notebooks/*.py`` -> jupytext -> papermill -> cleaned ``book/*.ipynb``.

Every chapter is executed each time (the artefact store makes that fast); the outcome is byte-identical as long as
code and data are, so a git tree stays clean. A chapter that fails leaves the committed notebook as it was.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from canonlib.book.clean import clean_notebook, output_problems, to_text
from canonlib.book.kernel import own_kernel, peak_memory
from canonlib.book.parameters import Value, check_parameters, run_name
from canonlib.book.status import record_execution
from canonlib.errors import CanonlibError, ConfigError, require_positive, unknown

CELL_TIMEOUT = 1800
"""Seconds that one cell may take."""
NEEDED = ("papermill", "nbclient", "jupytext", "ipykernel")
"""Packages of the extra ``notebooks``: a reader of a chapter, in Colab say, does without them."""


class NotebookError(CanonlibError):
    """A chapter did not run to its end; the message holds chapter, cell number, source and error."""


@dataclass(frozen=True)
class Executed:
    """One executed chapter: where it was written, whether its bytes changed, and the seconds it took."""

    chapter: str
    path: Path
    changed: bool
    seconds: float


class Progress:
    """Writes one line per code cell to a stream: ``03-stitching  cell 4/17   2.1 s``."""

    def __init__(self, chapter: str, write: Callable[[str], object] | None = None) -> None:
        self.chapter, self.write = chapter, write or _to_stderr
        self.numbers: dict[int, int] = {}
        self.current = 0
        self._since = 0.0

    def begin(self, cells: Sequence[Any]) -> None:
        """Number the code cells as a reader counts them, from 1."""
        code = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
        self.numbers = {index: number for number, index in enumerate(code, 1)}

    def start(self, index: int | None) -> None:
        """A cell starts."""
        self.current = self.numbers.get(-1 if index is None else index, self.current)
        self._since = time.perf_counter()

    def done(self, index: int | None) -> None:
        """A cell ended: write its line when it is a code cell."""
        if index in self.numbers:
            seconds = time.perf_counter() - self._since
            self.write(f"{self.chapter}  cell {self.numbers[index]}/{len(self.numbers)}  {seconds:6.1f} s\n")


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def repository_root(start: Path | None = None) -> Path:
    """The folder with ``_toc.yml`` and ``notebooks/``: above ``start`` (default: here), else where canonlib lies;
    ``ConfigError`` for none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in [here, *here.parents, *Path(__file__).resolve().parents]:
        if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise ConfigError(f"no canonlib repository at or above {here}: run this inside a clone (it needs notebooks/).")


def find_chapters(root: Path, names: Sequence[str]) -> list[Path]:
    """Sources of the named chapters: by number (``3``), stem or unique prefix; all, in order, when none is named.

    Raises ``ConfigError`` for a name that is unknown or fits several, and for a repository without chapters.
    """
    sources = {p.stem: p for p in sorted((root / "notebooks").glob("*.py"))}
    if not sources:
        raise ConfigError(f"{root / 'notebooks'} holds no chapter (*.py).")
    return [sources[_match(name, list(sources))] for name in names] or list(sources.values())


def _match(name: str, stems: list[str]) -> str:
    wanted = Path(name).stem if name.endswith((".py", ".ipynb")) else name
    number = int(wanted) if wanted.isdecimal() else None
    if wanted in stems:
        return wanted
    by_number = [s for s in stems if number is not None and re.match(rf"0*{number}(?!\d)", s)]
    by_start = [s for s in stems if s.startswith(wanted) or re.sub(r"^\d+-", "", s).startswith(wanted)]
    hits = by_start if number is None else by_number
    if len(hits) == 1 and wanted:
        return hits[0]
    if len(hits) > 1:
        raise ConfigError(f"chapter {name!r} is ambiguous: {', '.join(hits)}.")
    raise unknown("chapter", name, stems)


def run_chapters(names: Sequence[str] = (), parameters: dict[str, str] | None = None, out: Path | None = None,
                 root: Path | None = None, write: Callable[[str], object] | None = None,
                 jobs: int = 1) -> list[Executed]:  # fmt: skip
    """Execute chapters (all when ``names`` is empty), ``jobs`` at a time, and return what was written, in order.

    Without ``parameters`` and ``out`` they go to ``book/``. With ``parameters`` (texts, read as the type of each
    default) each goes to a folder of its own, ``runs/<chapter>-<parameters>/`` or below ``out``, never to ``book/``.
    Raises ``ConfigError`` for an unknown name before anything runs, ``NotebookError`` when a cell fails. With several
    jobs each chapter runs in a process of its own and tells its progress on standard error, not to ``write``.
    """
    require_positive("jobs", jobs)
    root = repository_root() if root is None else root
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ConfigError(f"executing chapters needs {', '.join(missing)}: pip install 'canonlib[notebooks]'.")
    sources = find_chapters(root, names)
    asked = [(s, check_parameters(s, parameters or {})) for s in sources]
    book = (root / "book").resolve()
    if out is not None and (out.resolve() == book or book in out.resolve().parents):
        raise ConfigError(f"out is {str(out)!r}: book/ holds only runs with default parameters; choose another folder.")
    todo = []
    for source, values in asked:
        folder = book if out is None and not values else (out or Path("runs")) / run_name(source.stem, values)
        todo.append((source, folder / f"{source.stem}.ipynb", values, root))
    if min(jobs, len(todo)) == 1:
        return [run_chapter(*one, write) for one in todo]
    return _run_side_by_side(todo, jobs)


def _run_side_by_side(todo: list[tuple[Path, Path, dict[str, Value], Path]], jobs: int) -> list[Executed]:
    """``run_chapter`` for each of ``todo``, ``jobs`` processes at a time; the first failure ends the queue."""
    done: dict[int, Executed] = {}
    queue = iter(enumerate(todo))
    with ProcessPoolExecutor(min(jobs, len(todo)), get_context("spawn")) as pool:
        # Handed over one by one: what a pool has taken into its own queue cannot be called back.
        running = {pool.submit(run_chapter, *one): i for i, one in islice(queue, jobs)}
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                done[running.pop(future)] = future.result()
                running |= {pool.submit(run_chapter, *one): i for i, one in islice(queue, 1)}
    return [done[i] for i in sorted(done)]


def run_chapter(source: Path, target: Path, parameters: dict[str, Value] | None = None, root: Path | None = None,
                write: Callable[[str], object] | None = None) -> Executed:  # fmt: skip
    """Execute one py:percent ``source`` into ``target``, whose bytes change only when the outcome does.

    Raises ``NotebookError`` when a cell fails, an output is too large or would differ from run to run; the
    failed notebook is then kept as ``book/_build/failed/<stem>.ipynb`` and ``target`` stays as it was.
    """
    root = repository_root(source.parent) if root is None else root
    start = time.perf_counter()
    progress = Progress(source.stem, write)
    with tempfile.TemporaryDirectory(prefix="canonlib-") as scratch:
        done = Path(scratch) / "out.ipynb"
        try:
            notebook = _execute(source, done, parameters or {}, root, progress)
            clean_notebook(notebook, source.stem)
            _refuse(source.stem, output_problems(notebook, (str(root), str(Path.home()))))
        except NotebookError as error:
            raise NotebookError(f"{error}{_keep_failed(done, source.stem, root)}") from None
        memory = peak_memory(Path(scratch))
    changed = _write_if_changed(target, to_text(notebook))
    seconds = time.perf_counter() - start
    if target.resolve().parent == (root / "book").resolve():
        record_execution(target, seconds, memory)
    progress.write(f"{source.stem}  {'written' if changed else 'unchanged'}  {seconds:6.1f} s\n")
    return Executed(source.stem, target, changed, seconds)


def _execute(source: Path, done: Path, parameters: dict[str, Value], root: Path, progress: Progress) -> Any:
    """The executed notebook, as papermill leaves it."""
    import jupytext
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from canonlib.book.kernel import register_engine

    plain = done.with_name("in.ipynb")
    notebook = jupytext.read(source)
    # papermill asks for both before it injects parameters; a source need not have either.
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, plain)
    (root / "book").mkdir(exist_ok=True)
    with own_kernel(done.parent) as kernel:
        try:
            papermill.execute_notebook(
                plain, done, parameters=parameters, engine_name=register_engine(progress), kernel_name=kernel,
                cwd=str(root / "book"), progress_bar=False, record_timing=False, execution_timeout=CELL_TIMEOUT,
            )  # fmt: skip
        except PapermillExecutionError as error:
            raise NotebookError(_failure(source.stem, progress, error)) from error
        except DeadKernelError as error:
            raise NotebookError(_stopped(source.stem, progress, "the kernel died (out of memory?)")) from error
        except CellTimeoutError as error:
            raise NotebookError(_stopped(source.stem, progress, f"no end after {CELL_TIMEOUT} s")) from error
    return nbformat.read(done, as_version=4)


def _failure(chapter: str, progress: Progress, error: Any) -> str:
    """Chapter, cell number, source and error of a failing cell, and the traceback without colours."""
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    source = "\n".join(f"    {line}" for line in error.source.splitlines())
    head = f"chapter {chapter}, cell {progress.current} of {len(progress.numbers)}: {error.ename}: {error.evalue}"
    return f"{head}\n\n{source}\n\n{trace}\n"


def _stopped(chapter: str, progress: Progress, why: str) -> str:
    return f"chapter {chapter}, cell {progress.current} of {len(progress.numbers)}: {why}.\n"


def _refuse(chapter: str, problems: list[str]) -> None:
    if problems:
        raise NotebookError(f"chapter {chapter} ran, but its outputs cannot be kept:\n" + "".join(
            f"    {line}\n" for line in problems))  # fmt: skip


def _keep_failed(done: Path, stem: str, root: Path) -> str:
    """Copy what papermill has so far to ``book/_build/failed``; returns a line that says so."""
    if not done.exists():
        return ""
    kept = root / "book" / "_build" / "failed" / f"{stem}.ipynb"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(done, kept)
    return f"The failed notebook is kept as {kept.relative_to(root)}; the committed one is unchanged.\n"


def _write_if_changed(target: Path, text: str) -> bool:
    """Replace ``target`` in one step, unless it holds ``text`` already (then even its time stays)."""
    data = text.encode()
    if target.is_file() and target.read_bytes() == data:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(data)
    partial.replace(target)
    return True
