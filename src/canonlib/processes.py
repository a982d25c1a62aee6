"""Work side by side: processes of this machine, which end when the one that started them does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

from canonlib.errors import ConfigError, require_positive

T = TypeVar("T")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
MOST = 8
"""Processes at most."""


def workers_here(workers: int | None = None) -> int:
    """``workers``, or else ``CANONLIB_WORKERS`` of the environment, or else one for each core; at most ``MOST``.

    Raises ``ConfigError`` for a number below 1 and for a variable that is no number.
    """
    said = os.environ.get("CANONLIB_WORKERS", "")
    if workers is None and said and not said.isdecimal():
        raise ConfigError(f"CANONLIB_WORKERS must be a whole number of processes, got {said!r}: correct or unset it.")
    chosen = workers if workers is not None else int(said or 0) or os.cpu_count() or 1
    return min(require_positive("workers", chosen), MOST)


def end_with_parent() -> None:
    """In a worker: end this process when the one that started it is gone, however it went."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            wait_for([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def stop(pool: ProcessPoolExecutor) -> None:
    """End the processes at once, after an error or an interruption; what waits is dropped with them.

    Futures are not cancelled: the pool itself fails those that wait, and trips over cancelled ones (Python 3.11).
    """
    for process in list(pool._processes.values()):
        process.terminate()


def side_by_side(
    work: Callable[[T], Any], items: Sequence[T], desc: str, progress: bool = True, workers: int | None = None
) -> None:
    """``work(item)`` for every item, in processes with one thread each, in no order; nothing is returned.

    ``work`` is a module's function and leaves its result in the store: one thread each, so that a result does not
    depend on how many processes there were. Raises what a call raises; the others are then stopped.
    """
    from tqdm.auto import tqdm

    if not items:
        return
    n = min(workers_here(workers), len(items))
    with (
        tqdm(total=len(items), desc=desc, unit="part", disable=not progress) as bar,
        _one_thread_each(),
        ProcessPoolExecutor(n, get_context("spawn"), _begin) as pool,
    ):
        running = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(running):
                future.result()
                bar.update()
        except BaseException:
            stop(pool)
            raise


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started inside get one thread for torch and for NumPy's libraries, which read this when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    import torch

    torch.set_num_threads(1)
    end_with_parent()
