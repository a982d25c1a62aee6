"""The Ray engine: the same groups of SAEs as tasks of a Ray cluster, with the store on a path that all nodes share.

Needs the extra ``canonlib[cluster]``. A task whose worker or node is lost is started again by Ray, finds the store's
locks released and its checkpoints in place, and goes on from there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from canonlib.errors import CanonlibError, ConfigError
from canonlib.sae.engine import Bar
from canonlib.sae.group import Job, groups, train_group
from canonlib.store import Store
from canonlib.tiers import Tier

RETRIES = 5
"""How often a task is started again after its worker was lost."""


class OnRay:
    """Trains on a Ray cluster: the one at ``address`` ("auto" for a running one), or one started here for the purpose.

    gpus: GPUs for each task, 0 to train on CPUs; a share such as 0.5 lets tasks share one. Raises ``ConfigError`` when
    Ray is not installed, when the address cannot be reached and when the cluster lacks what a task needs.
    """

    def __init__(self, address: str | None = None, gpus: float = 0.0) -> None:
        self.address, self.gpus = address, gpus

    def train(self, tier: Tier, jobs: Sequence[Job], store: Store, progress: bool) -> None:
        """Return when every job's SAE is in the store; what a training raises is raised here as it was.

        Raises ``ConfigError`` where Ray is not installed or cannot be reached.
        """
        ray = _ray()
        started = not ray.is_initialized()
        if started:
            self._connect(ray)
        try:
            self._run(ray, tier, jobs, store, progress)
        finally:
            if started:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
        try:
            if self.address:
                ray.init(address=self.address, **quiet)
            else:
                ray.init(include_dashboard=False, **quiet)
        except (ConnectionError, ValueError) as error:
            raise ConfigError(
                f"no Ray cluster at {self.address!r} ({error}): start one with 'ray start --head', or leave --address "
                "out to use this machine."
            ) from error

    def _parts(self, ray: Any) -> int:
        """Tasks that can run at once."""
        there = ray.cluster_resources()
        if self.gpus and there.get("GPU", 0) < self.gpus:
            raise ConfigError(
                f"each task asks for {self.gpus:g} GPUs and the cluster has {there.get('GPU', 0):g}: set gpus to 0 "
                "to train on CPUs."
            )
        cores = int(there.get("CPU", 1))
        return max(1, min(cores, int(there["GPU"] / self.gpus)) if self.gpus else cores)

    def _run(self, ray: Any, tier: Tier, jobs: Sequence[Job], store: Store, progress: bool) -> None:
        from ray.util.queue import Queue

        parts, bar = self._parts(ray), Bar(jobs, progress)
        news = Queue(actor_options={"num_cpus": 0})
        task = ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES)(_task)
        device = "cuda" if self.gpus else "cpu"
        waiting = [task.remote(str(store.root), tier, group, news, device) for group in groups(jobs, parts)]
        try:
            while waiting:
                done, waiting = ray.wait(waiting, timeout=0.5)
                for one in done:
                    _result(ray, one)
                _drain(news, bar)
        except BaseException:
            for one in waiting:
                ray.cancel(one, force=True)
            raise
        finally:
            news.shutdown(force=True)
        bar.end()


def _task(store_root: str, tier: Tier, group: list[Job], news: Any, device: str) -> list[str]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    def tell(told: Any) -> None:
        with suppress(Exception):  # the bar is not worth a training
            news.put_nowait(told)

    return train_group(store_root, tier, group, tell, device)


def _result(ray: Any, one: Any) -> None:
    """Raise what the task raised, as it was raised there."""
    try:
        ray.get(one)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CanonlibError):
            raise error.cause from None
        raise


def _drain(news: Any, bar: Bar) -> None:
    with suppress(Exception):  # a lost queue costs the bar's figures, nothing else
        for told in news.get_nowait_batch(news.qsize()):
            bar.show(told)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError("engine 'ray' needs Ray: pip install 'canonlib[cluster]'.") from error
    return ray
