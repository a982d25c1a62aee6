"""The truth stage: what the meta-SAE of one seed says, against the fact table, other lists of parts, and smaller SAEs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from canonlib.pipeline import metastage
from canonlib.sae.selectivity import fact_membership
from canonlib.store import Build, write_json

if TYPE_CHECKING:
    from canonlib.meta import PartScore, Pursuit
    from canonlib.pipeline.run import Run

CODE = (*metastage.CODE, __name__)
KS = (1, 2, 4, 8)
"""Active parts for each direction, on average."""
SMALLER = "batchtopk-entities-seeds"
"""The family whose smaller SAEs are set beside the meta-latents, each seed's beside its own; else ``metastage.BASE``."""
HELD_OUT = 0.2
"""Share of the rows on which lists of parts are judged that were made from the others."""
ORACLE = "attributes (oracle)"


class Truth(NamedTuple):
    """What is true of the entity latents of one base SAE; tensors run over them."""

    place: torch.Tensor
    """int64 ``[n]``: their places among the rows that fire."""
    holds: torch.Tensor
    """bool ``[n, n_facts]``"""
    entity: torch.Tensor
    kind: torch.Tensor
    facts: list[str]


@dataclass(frozen=True)
class Scored:
    """A list of parts with k of them active: what it explains, and how true its names are."""

    name: str
    k: int
    variance_explained: float
    variance_held_out: float | None
    every: dict[str, Any]
    """``PartScore`` over all facts."""
    rare: dict[str, Any]
    """``PartScore`` over facts that at most a third of their kind has."""


def truth_of(run: Run, seed: int) -> Truth:
    """The facts of the entities that the base SAE of that seed has latents for."""
    stage = run.meta_of(seed)
    facts, membership = fact_membership()
    place = (torch.cumsum(stage.alive, 0) - 1)[stage.own]
    return Truth(
        place, membership.T[stage.entity], stage.entity, metastage.kinds()[stage.entity], [str(f) for f in facts]
    )


def truth_stage(run: Run, seed: int) -> dict[str, Any]:
    """One seed's findings, from the store or made now.

    Keys: ``seed``; ``n_rare`` facts and their labels ``rare``; ``meta``, a ``Scored`` for the meta-SAE at each of ``KS``;
    ``lists``, one for each other list of parts and k (written by pursuit); ``cosine``, for each smaller SAE the mean
    highest cosine of meta-latents and of random directions with its latents, and their distance in standard deviations;
    ``fates``, a ``FactFate`` for each fact.
    """

    def build(b: Build) -> None:
        write_json(b.folder / "truth.json", {"seed": seed, **_measure(run, seed)})

    made = run.store.get_or_build("meta-truth", config(run, seed), build, code=list(CODE))
    found: dict[str, Any] = made.json("truth.json")
    return found


def config(run: Run, seed: int) -> dict[str, Any]:
    """What one seed's findings depend on."""
    smaller = [run.family(_smaller(run)).artefact(n, seed=_known(run, seed)).key for n in _sizes(run)]
    return {"meta": metastage.meta_key(run, seed), "smaller": smaller, "seed": seed}


def _measure(run: Run, seed: int) -> dict[str, Any]:
    from canonlib.meta import fates, meta_activations, rare_facts

    stage, truth = run.meta_of(seed), truth_of(run, seed)
    rows = metastage.load_base(run, seed).W_dec.detach()[stage.alive]
    if len(truth.place) == 0 or len(torch.unique(truth.entity)) < 10:
        return {"rare": [], "meta": [], "lists": [], "cosine": _cosines(run, seed), "fates": []}
    rare = rare_facts(truth.holds, truth.kind)
    uses = (meta_activations(stage.meta, rows) > 0)[truth.place]
    told = fates(rows[truth.place], uses, truth.holds, truth.facts, truth.entity, truth.kind, seed=run.tier.seed)
    return {
        "rare": [fact for fact, is_rare in zip(truth.facts, rare.tolist(), strict=True) if is_rare],
        "meta": [asdict(row) for row in _meta_saes(run, seed, rows, truth, rare)],
        "lists": [asdict(row) for row in _lists(run, seed, rows, truth, rare)],
        "cosine": _cosines(run, seed),
        "fates": [fate.to_json() for fate in told],
    }


def _meta_saes(run: Run, seed: int, rows: torch.Tensor, truth: Truth, rare: torch.Tensor) -> Iterator[Scored]:
    """The meta-SAE with other numbers of active meta-latents."""
    from canonlib.meta import meta_activations, train_meta_sae

    stage = run.meta_of(seed)
    for k in (k for k in KS if k <= run.tier.meta_latents):
        config = replace(metastage.meta_config(run.tier, seed), k=float(k))
        ours = config == metastage.meta_config(run.tier, seed)
        meta = stage.meta if ours else train_meta_sae(rows, config, progress=False)
        uses = (meta_activations(meta, rows) > 0)[truth.place]
        held_out = stage.summary["variance_held_out"] if ours else None
        every, rare_only = _scores(uses, truth, rare)
        yield Scored("meta-latents", k, meta.report.variance_explained, held_out, every, rare_only)


def _lists(run: Run, seed: int, rows: torch.Tensor, truth: Truth, rare: torch.Tensor) -> Iterator[Scored]:
    """Other lists of parts, all written by pursuit; held out where a list is made from the rows."""
    from canonlib.meta import attribute_parts, pursue, random_directions
    from canonlib.meta.baselines import LISTS

    n, k, meta = run.tier.meta_latents, run.tier.meta_k, run.meta_of(seed).meta.sae.W_dec
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(run.tier.seed + seed))
    out, kept = order[: int(HELD_OUT * len(rows))], order[int(HELD_OUT * len(rows)) :]
    mean = torch.nn.functional.normalize(rows[kept], dim=1).mean(0)
    small = min(_sizes(run), key=lambda size: abs(size - n), default=None)
    lists = {"meta-latents by pursuit": meta}
    if small is not None:
        lists[f"latents of the SAE of {small}"] = (
            run.family(_smaller(run)).sae(small, seed=_known(run, seed)).W_dec.detach()
        )
    lists |= {name: make(rows, n, run.tier.seed + seed) for name, make in LISTS.items()}
    lists["random directions"] = random_directions(meta, run.tier.seed + seed)
    for name, parts in lists.items():
        written = pursue(rows, parts, k)
        apart = pursue(rows[out], LISTS[name](rows[kept], n, run.tier.seed + seed), k, mean) if name in LISTS else None
        yield _scored(name, k, written, apart, written.uses[truth.place], truth, rare)
    seen = truth.holds.any(0) & ~truth.holds.all(0)
    parts, known = attribute_parts(rows[truth.place], truth.holds[:, seen]), seen.nonzero()[:, 0]
    for k in (k for k in KS if k <= len(parts)):
        written = pursue(rows, parts, k)
        yield _scored(ORACLE, k, written, None, written.uses[truth.place], truth, rare, known)


def _scored(
    name: str, k: int, written: Pursuit, apart: Pursuit | None, uses: torch.Tensor, truth: Truth, rare: torch.Tensor,
    known: torch.Tensor | None = None,
) -> Scored:  # fmt: skip
    held_out = None if apart is None else apart.variance_explained
    return Scored(name, k, written.variance_explained, held_out, *_scores(uses, truth, rare, known))


def _scores(
    uses: torch.Tensor, truth: Truth, rare: torch.Tensor, known: torch.Tensor | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Over all facts, and over the rare ones alone."""
    every = _score(uses, truth.holds, truth, known)
    if known is None:
        return every, _score(uses, truth.holds[:, rare], truth, None)
    column = torch.cumsum(rare, 0) - 1  # where a rare fact stands among the rare
    kept = rare[known]
    return every, _score(uses[:, kept], truth.holds[:, rare], truth, column[known[kept]])


def _score(uses: torch.Tensor, holds: torch.Tensor, truth: Truth, known: torch.Tensor | None) -> dict[str, Any]:
    from canonlib.meta import score_parts

    found: PartScore = score_parts(uses, holds, truth.entity, truth.kind, known=known)
    return found.to_json()


def _cosines(run: Run, seed: int) -> list[dict[str, float]]:
    """Meta-latents and random directions beside the latents of each smaller SAE of that seed."""
    from canonlib.compare import max_cosine
    from canonlib.meta import random_directions

    meta = run.meta_of(seed).meta.sae.W_dec
    luck = random_directions(meta, run.tier.seed + seed)
    rows = []
    for size in _sizes(run):
        sae = run.family(_smaller(run)).sae(size, seed=_known(run, seed))
        ours, theirs = max_cosine(meta, sae).double(), max_cosine(luck, sae).double()
        spread = ((ours.var() + theirs.var()) / 2).sqrt()
        effect = float((ours.mean() - theirs.mean()) / spread)
        rows.append({"size": size, "meta": float(ours.mean()), "random": float(theirs.mean()), "effect": effect,
                     "above": float((ours > 0.7).double().mean())})  # fmt: skip
    return rows


def _smaller(run: Run) -> str:
    return SMALLER if SMALLER in {f.name for f in run.tier.every_family} else metastage.BASE


def _known(run: Run, seed: int) -> int:
    """That seed, or the first where the smaller SAEs have one seed alone."""
    seeds = run.family(_smaller(run)).family.seeds
    return seed if seed in seeds else seeds[0]


def _sizes(run: Run) -> list[int]:
    return [n for n in run.family(_smaller(run)).sizes if n < run.tier.meta_base]
