"""The kernel that runs the chapters: always this interpreter, with nothing of the user's own set-up."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from canonlib.book.strict import EXECUTE

KERNEL = "python3"
ENGINE = "canonlib"
MEMORY = "memory.txt"
"""File beside the kernel's description: the most memory that the kernel has held, in MiB."""
# After every cell and not at the end: a kernel that is slow to end is killed, and would say nothing.
_TELL_MEMORY = (
    "get_ipython().events.register('post_run_cell', lambda *_: open({path!r}, 'w').write(str("
    "__import__('resource').getrusage(0).ru_maxrss // (1 << (20 if __import__('sys').platform == 'darwin' else 10)))))"
)


@contextmanager
def own_kernel(scratch: Path, threads: int | None = 1) -> Iterator[str]:
    """Put a kernel description that starts ``sys.executable`` first on Jupyter's path; yields its name.

    A ``python3`` kernel that the user has installed for all environments would otherwise win. The kernel gets a
    fixed hash seed, one thread (the last bits of a sum depend on their number; and kernels side by side that each take
    every core slow one another down far more than they gain; None leaves the number to torch), no progress bars, no
    IPython profile and no history, and it is strict (``canonlib.book.strict``).
    """
    folder = scratch / "jupyter" / "kernels" / KERNEL
    folder.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False",
            "--IPKernelApp.log_level=40", f"--IPKernelApp.exec_lines={EXECUTE}"]  # fmt: skip
    if os.name == "posix":
        argv.append(f"--IPKernelApp.exec_lines={_TELL_MEMORY.format(path=str(scratch / MEMORY))}")
    env = {"PYTHONHASHSEED": "0", "IPYTHONDIR": str(scratch / "ipython"), "CANONLIB_PROGRESS": "0"}
    env |= {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    spec = {"argv": argv, "display_name": "Python 3", "language": "python", "env": env}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = os.pathsep.join([str(scratch / "jupyter"), *([before] if before else [])])
    try:
        yield KERNEL
    finally:
        if before is None:
            os.environ.pop("JUPYTER_PATH", None)
        else:
            os.environ["JUPYTER_PATH"] = before


def peak_memory(scratch: Path) -> int | None:
    """MiB that the kernel of ``own_kernel(scratch)`` has held at most; None where it did not say, as on Windows."""
    path = scratch / MEMORY
    return int(path.read_text(encoding="utf-8")) if path.is_file() else None


def register_engine(progress: Any) -> str:
    """Register a papermill engine that tells ``progress`` (begin, start, done) of each cell; returns its name."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> Any:
            progress.begin(nb_man.nb.cells)
            start, complete = nb_man.cell_start, nb_man.cell_complete

            def cell_start(cell: Any, cell_index: int | None = None, **more: Any) -> None:
                progress.start(cell_index)
                start(cell, cell_index, **more)

            def cell_complete(cell: Any, cell_index: int | None = None, **more: Any) -> None:
                complete(cell, cell_index, **more)
                progress.done(cell_index)

            nb_man.cell_start, nb_man.cell_complete = cell_start, cell_complete
            return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)

    papermill_engines.register(ENGINE, Engine)
    return ENGINE
