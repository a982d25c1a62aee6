"""Where SAEs are trained: in processes of this machine, one for each core."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import suppress
from multiprocessing import get_context
from queue import Empty
from typing import Any, Protocol

from canonlib.processes import end_with_parent, stop, workers_here
from canonlib.sae.group import Job, Told, groups, train_group
from canonlib.store import Store
from canonlib.tiers import Tier


class Engine(Protocol):
    """Something that trains jobs into a store."""

    def train(self, tier: Tier, jobs: Sequence[Job], store: Store, progress: bool) -> None:
        """Return when every job's SAE is in the store; raise what a training raises."""


class Bar:
    """The progress of many trainings at once: tokens taken by all of them, and the last one's figures."""

    def __init__(self, jobs: Sequence[Job], progress: bool) -> None:
        from tqdm.auto import tqdm

        self.total = sum(j.family.steps * j.family.batch for j in jobs)
        self.bar = tqdm(
            total=self.total, desc=f"train {len(jobs)} SAEs", unit="token", unit_scale=True, disable=not progress
        )

    def show(self, told: Told) -> None:
        """Move by what a training has told."""
        text = f"{told.job}: loss {told.mse:.2f}, L0 {told.l0:.1f}, {told.dead} dead"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(told.tokens)

    def end(self) -> None:
        """All are done, whatever was told."""
        self.bar.update(self.total - self.bar.n)
        self.bar.close()


class Local:
    """Processes of this machine: ``workers`` of them, by default ``CANONLIB_WORKERS`` or one for each core, at most 8."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers_here(workers)

    def train(self, tier: Tier, jobs: Sequence[Job], store: Store, progress: bool) -> None:
        """Deal the jobs into groups, one stream each, and train the groups side by side, the dearest first."""
        context = get_context("spawn")
        bar = Bar(jobs, progress)
        told = context.Queue()
        with ProcessPoolExecutor(self.workers, context, _begin, (told,)) as pool:
            running = {pool.submit(_train, str(store.root), tier, group) for group in groups(jobs, self.workers)}
            try:
                while running:
                    done, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    _drain(told, bar)
            except BaseException:
                stop(pool)
                raise
        bar.end()


_told: Any = None
"""In a worker: the queue for news."""


def _begin(told: Any) -> None:
    """In a worker: keep the queue, and end when the process that started this one is gone, however it went."""
    global _told
    _told = told
    end_with_parent()  # checkpoints outlive both


def _train(store_root: str, tier: Tier, group: list[Job]) -> list[str]:
    return train_group(store_root, tier, group, _told.put)


def _drain(told: Any, bar: Bar) -> None:
    with suppress(Empty):
        while True:
            bar.show(told.get_nowait())
