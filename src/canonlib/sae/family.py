"""Families of SAEs: one architecture, one set of tokens, one SAE for each dictionary size."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, NamedTuple

from canonlib.activations import Activations
from canonlib.store import Artefact, Build, Store
from canonlib.tiers import Family, Tier

if TYPE_CHECKING:
    from sae_lens import SAE

CODE = ("canonlib.sae.training", "canonlib.sae.batches", "canonlib.sae.folders")


class Progress(NamedTuple):
    """News from a worker."""

    family: str
    size: int
    steps: int
    mse: float


@dataclass(frozen=True)
class TrainedFamily:
    """The SAEs of a family, by dictionary size."""

    family: Family
    artefacts: Mapping[int, Artefact]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Dictionary sizes, ascending."""
        return tuple(sorted(self.artefacts))

    def sae(self, size: int) -> SAE[Any]:
        """The SAE with ``size`` latents, as a SAELens inference SAE."""
        from canonlib.sae import training

        return training.load(self.artefacts[size].folder)

    def saes(self) -> dict[int, SAE[Any]]:
        """All SAEs of the family, by size."""
        return {size: self.sae(size) for size in self.sizes}


def configuration(tier: Tier, family: Family, size: int, harvest: str) -> dict[str, Any]:
    """Everything that decides one SAE (the store's key)."""
    fields = asdict(family)
    del fields["sizes"]
    return {**fields, "n_latents": size, "seed": tier.seed, "activations": harvest, "metadata": metadata(tier)}


def metadata(tier: Tier) -> dict[str, Any]:
    """SAELens's metadata of the tier: which model and hook point the SAE belongs to."""
    name = "canonlib-world" if tier.model == "embedded" else tier.model
    return {"model_name": name, "hook_name": tier.hook, "context_size": tier.context, "prepend_bos": True}


def build_one(store_root: str, tier: Tier, family: Family, size: int, told: Queue[Progress] | None = None) -> str:
    """Train one SAE into the store, or find it there; returns the artefact's key. Runs in a process of its own.

    told: queue that is told of the steps done since the last message.
    """
    import torch

    from canonlib import activations as rooms
    from canonlib.sae import training

    torch.set_num_threads(1)  # the result then does not depend on how many cores there are
    store = Store(store_root)
    data = rooms.harvest(tier, store, progress=False)

    def build(b: Build) -> None:
        rows = data.train.only(family.tokens).activations
        seen = 0

        def report(step: int, losses: dict[str, float]) -> None:
            nonlocal seen
            if told is not None:
                told.put(Progress(family.name, size, step - seen, losses["mse_loss"]))
            seen = step

        training.train(family, size, rows, tier.seed, b.folder, b.checkpoint, metadata(tier), report)

    config = configuration(tier, family, size, data.key)
    return store.get_or_build("sae", config, build, code=list(CODE)).key


def _workers() -> int:
    return max(1, min(int(os.environ.get("CANONLIB_WORKERS", 0)) or os.cpu_count() or 1, 8))


def train_families(
    tier: Tier, families: tuple[Family, ...], store: Store, data: Activations, progress: bool = True
) -> list[TrainedFamily]:
    """Every SAE of the families, from the store or trained now: largest first, one process for each core.

    Several families at once keep the cores busy to the end. Raises what a training raises (ConfigError, StoreError).
    ``CANONLIB_WORKERS`` sets the number of processes.
    """
    jobs = [(f, size) for f in families for size in f.sizes]
    found = {job: store.find("sae", configuration(tier, *job, data.key), code=list(CODE)) for job in jobs}
    missing = sorted((j for j in jobs if found[j] is None), key=lambda j: -j[1])
    if missing:
        _train_all(tier, missing, store, progress)
        for job in missing:
            found[job] = store.find("sae", configuration(tier, *job, data.key), code=list(CODE))
    made = {job: artefact for job, artefact in found.items() if artefact is not None}
    return [TrainedFamily(f, {s: made[f, s] for s in f.sizes}) for f in families]


def _train_all(tier: Tier, jobs: list[tuple[Family, int]], store: Store, progress: bool) -> None:
    from tqdm.auto import tqdm

    context = get_context("spawn")
    total = sum(f.steps * n for f, n in jobs)
    bar = tqdm(total=total, desc=f"train {len(jobs)} SAEs", unit="latent·step", unit_scale=True, disable=not progress)
    with bar, context.Manager() as manager, ProcessPoolExecutor(_workers(), mp_context=context) as pool:
        told: Queue[Progress] = manager.Queue()
        running = {pool.submit(build_one, str(store.root), tier, f, n, told) for f, n in jobs}
        try:
            while running:
                done, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                _show(bar, told)
        except BaseException:
            for future in running:
                future.cancel()
            for process in list(pool._processes.values()):
                process.terminate()
            raise
        bar.update(total - bar.n)


def _show(bar: Any, told: Queue[Progress]) -> None:
    """Move the bar by what the workers have told."""
    with suppress(Empty):
        while True:
            news = told.get_nowait()
            bar.set_postfix_str(f"{news.family} {news.size}: mse {news.mse:.2f}", refresh=False)
            bar.update(news.steps * news.size)
