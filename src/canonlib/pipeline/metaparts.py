"""The meta-SAE stages side by side: one process for each core, since a meta-SAE's training keeps one core busy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from canonlib.pipeline import metafamily, metastage, metasweep, metatruth
from canonlib.processes import side_by_side
from canonlib.store import Store
from canonlib.tiers import Tier

if TYPE_CHECKING:
    from canonlib.pipeline.run import Run


SWEEP, FAMILY = "sweep", "family"


class Part(NamedTuple):
    """What one process is to make: the findings of a seed, ``SWEEP`` or ``FAMILY``."""

    tier: Tier
    root: str
    what: int | str


def make_all(run: Run) -> None:
    """Make whatever of the meta-SAE stages the store lacks; the SAEs that they rest on are trained first."""
    bases = [] if run.tier.meta_bases is None else [run.tier.meta_bases.name]
    for name in (metastage.BASE, *bases, metatruth.smaller_family(run)):
        run.family(name)
    first, *others = metastage.seeds(run.tier)
    # The sweep and the family start from the first seed's meta-SAE, and the sweep takes longest.
    order: list[int | str] = [first, *others[:1], SWEEP, *others[1:], FAMILY]
    missing = [Part(run.tier, str(run.store.root), what) for what in order if not _made(run, what)]
    side_by_side(_make, missing, "meta-SAEs", run.progress)


def _made(run: Run, what: int | str) -> bool:
    def has(room: str, config: dict[str, Any], code: tuple[str, ...]) -> bool:
        return run.store.find(room, config, code=list(code)) is not None

    if what == SWEEP:
        return has("meta-sweep", metasweep.config(run), metasweep.CODE)
    if what == FAMILY:
        return has("meta-family", metafamily.config(run), metafamily.CODE)
    return has("meta-truth", metatruth.config(run, int(what)), metatruth.CODE)


def _make(part: Part) -> None:
    from canonlib.pipeline.run import Run

    run = Run(part.tier, Store(Path(part.root)), progress=False)
    if part.what == SWEEP:
        metasweep.sweep_stage(run)
    elif part.what == FAMILY:
        metafamily.family_stage(run)
    else:
        metatruth.truth_stage(run, int(part.what))
