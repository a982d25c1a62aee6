"""Families of SAEs: one architecture, one set of tokens, one SAE for each dictionary size, sparsity target and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from canonlib.activations import Activations
from canonlib.errors import ConfigError
from canonlib.sae import engine
from canonlib.sae.group import CODE, Job, configuration
from canonlib.store import Artefact, Store
from canonlib.tiers import Family, Member, Tier

if TYPE_CHECKING:
    from sae_lens import SAE


@dataclass(frozen=True)
class TrainedFamily:
    """The SAEs of a family.

    >>> from canonlib import tiers
    >>> nothing_yet = TrainedFamily(tiers.get("world").family("standard-all"), artefacts={})
    >>> nothing_yet.sizes
    (16, 20, 24, 32, 48, 64, 96, 128)
    """

    family: Family
    artefacts: Mapping[Member, Artefact]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Dictionary sizes, ascending."""
        return self.family.sizes

    def member(self, size: int, sparsity: float | None = None, seed: int | None = None) -> Member:
        """The member of that size; the family's first sparsity target and seed where none is given.

        Raises ``ConfigError`` listing the members there are.
        """
        wanted = Member(
            size,
            self.family.sparsity if sparsity is None else sparsity,
            self.family.seeds[0] if seed is None else seed,
        )
        if wanted not in self.artefacts:
            f = self.family
            raise ConfigError(
                f"family {f.name!r} has no SAE with {size} latents, sparsity {wanted.sparsity:g} and seed "
                f"{wanted.seed}. Sizes: {f.sizes}; sparsities: {f.sparsities}; seeds: {f.seeds}."
            )
        return wanted

    def artefact(self, size: int, sparsity: float | None = None, seed: int | None = None) -> Artefact:
        """The store's artefact of one member (chosen as in ``member``)."""
        return self.artefacts[self.member(size, sparsity, seed)]

    def sae(self, size: int, sparsity: float | None = None, seed: int | None = None) -> SAE[Any]:
        """One SAE (chosen as in ``member``), as a SAELens inference SAE."""
        from canonlib.sae import training

        return training.load(self.artefact(size, sparsity, seed).folder)

    def saes(self) -> dict[int, SAE[Any]]:
        """The SAEs of the first sparsity target and seed, by size."""
        return {size: self.sae(size) for size in self.sizes}


def train_families(
    tier: Tier,
    families: tuple[Family, ...],
    store: Store,
    data: Activations,
    progress: bool = True,
    where: engine.Engine | None = None,
) -> list[TrainedFamily]:
    """Every SAE of the families, from the store or trained now.

    SAEs that share tokens, batch size and seed train from one stream of activations in each process. where: the
    engine, one process for each core of this machine by default. Raises what a training raises (ConfigError,
    StoreError).
    """
    jobs = [Job(f, m) for f in families for m in f.members]

    def find(job: Job) -> Artefact | None:
        return store.find("sae", configuration(tier, job, data.key), code=list(CODE))

    once: dict[str, Job] = {}  # families may share SAEs
    for job in jobs:
        once.setdefault(store.key("sae", configuration(tier, job, data.key), code=list(CODE)), job)
    missing = [job for job in once.values() if find(job) is None]
    if missing:
        (where or engine.Local()).train(tier, missing, store, progress)
    found = {job: find(job) for job in jobs}
    return [TrainedFamily(f, {m: a for m in f.members if (a := found[Job(f, m)]) is not None}) for f in families]
