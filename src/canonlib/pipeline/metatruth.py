"""The truth stage: what the meta-SAE of one seed says, against the fact table, other lists of parts, and smaller SAEs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from canonlib.pipeline import metastage
from canonlib.sae.selectivity import distinct_facts
from canonlib.store import Build, write_json

if TYPE_CHECKING:
    from canonlib.meta import PartScore
    from canonlib.pipeline.run import Run

CODE = (*metastage.CODE, __name__)
KS = (1, 2, 4, 8)
"""Active parts for each direction, on average."""
SMALLER = "batchtopk-entities-seeds"
"""The family whose smaller SAEs are set beside the meta-latents, each seed's beside its own; else ``metastage.BASE``."""
HELD_OUT = 0.2
"""Share of the rows on which lists of parts are judged that were made from the others."""
SIMILAR = 0.7
"""Cosine above which the meta-SAE post calls two directions similar."""
PURSUED = "meta-latents by pursuit"
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
    every: dict[str, Any] | None
    """``PartScore`` over all facts; None where it was not asked for."""
    rare: dict[str, Any]
    """``PartScore`` over facts that at most a third of their kind has."""


def truth_of(run: Run, seed: int) -> Truth:
    """The facts of the entities that the base SAE of that seed has latents for; twin facts count as one."""
    stage = run.meta_of(seed)
    facts, membership = distinct_facts()
    place = (torch.cumsum(stage.alive, 0) - 1)[stage.own]
    return Truth(place, membership.T[stage.entity], stage.entity, metastage.kinds()[stage.entity], list(facts))


def truth_stage(run: Run, seed: int) -> dict[str, Any]:
    """One seed's findings, from the store or made now.

    Keys: ``seed``; ``n_rare`` facts and their labels ``rare``; ``meta``, a ``Scored`` for the meta-SAE at each of
    ``KS``; ``lists``, one for each other list of parts and k (written by pursuit); ``cosine``, for each smaller SAE and
    the base itself the mean highest cosine of meta-latents with its latents, the share ``above`` 0.7, and for both
    controls (``random`` directions, ``gaussian`` ones of the rows' covariance) their mean and the distance in standard
    deviations; ``fates``, a ``FactFate`` for each fact.
    """

    def build(b: Build) -> None:
        write_json(b.folder / "truth.json", {"seed": seed, **_measure(run, seed)})

    made = run.store.get_or_build("meta-truth", config(run, seed), build, code=list(CODE))
    found: dict[str, Any] = made.json("truth.json")
    return found


def config(run: Run, seed: int) -> dict[str, Any]:
    """What one seed's findings depend on."""
    smaller = [run.family(smaller_family(run)).artefact(n, seed=_known(run, seed)).key for n in _sizes(run)]
    return {"meta": metastage.meta_key(run, seed), "smaller": smaller, "seed": seed}


def _measure(run: Run, seed: int) -> dict[str, Any]:
    from canonlib.meta import fates, meta_activations, rare_facts

    stage, truth = run.meta_of(seed), truth_of(run, seed)
    rows, smaller = metastage.base_rows(run, seed), _smaller_rows(run, seed)
    if len(truth.place) == 0 or len(torch.unique(truth.entity)) < 10:
        return {"rare": [], "meta": [], "lists": [], "cosine": _cosines(run, seed, rows, smaller), "fates": []}
    rare = rare_facts(truth.holds, truth.kind)
    uses = (meta_activations(stage.meta, rows) > 0)[truth.place]
    told = fates(rows[truth.place], uses, truth.holds, truth.facts, truth.entity, truth.kind, seed=run.tier.seed)
    return {
        "rare": [fact for fact, is_rare in zip(truth.facts, rare.tolist(), strict=True) if is_rare],
        "meta": [asdict(row) for row in _meta_saes(run, seed, rows, truth, rare)],
        "lists": [asdict(row) for row in _lists(run, seed, rows, smaller, truth, rare)],
        "cosine": _cosines(run, seed, rows, smaller),
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


def _lists(
    run: Run, seed: int, rows: torch.Tensor, smaller: dict[int, torch.Tensor], truth: Truth, rare: torch.Tensor
) -> Iterator[Scored]:
    """Other lists of parts, written by pursuit at each of ``KS``; held out, lists made of rows are made of the others."""
    from canonlib.meta import attribute_parts, pursue, train_meta_sae

    config = metastage.meta_config(run.tier, seed)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(config.seed))  # as held_out_variance's
    out, kept = order[: int(HELD_OUT * len(rows))], order[int(HELD_OUT * len(rows)) :]
    mean = torch.nn.functional.normalize(rows[kept], dim=1).mean(0)
    apart = _made_of(rows[kept], config.n_latents, config.seed)
    apart[PURSUED] = train_meta_sae(rows[kept], config, progress=False).sae.W_dec
    for name, parts in _competitors(run, seed, rows, smaller).items():
        for k in (k for k in KS if k <= len(parts)):
            written = pursue(rows, parts, k)
            unseen = pursue(rows[out], apart.get(name, parts), k, mean).variance_explained
            every, rare_only = _scores(written.uses[truth.place], truth, rare, every=k == run.tier.meta_k)
            yield Scored(name, k, written.variance_explained, unseen, every, rare_only)
    seen = truth.holds.any(0) & ~truth.holds.all(0)
    parts, known = attribute_parts(rows[truth.place], truth.holds[:, seen]), seen.nonzero()[:, 0]
    for k in (k for k in KS if k <= len(parts)):
        written = pursue(rows, parts, k)
        every, rare_only = _scores(written.uses[truth.place], truth, rare, known)
        yield Scored(ORACLE, k, written.variance_explained, None, every, rare_only)


def _competitors(run: Run, seed: int, rows: torch.Tensor, smaller: dict[int, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Lists of as many parts as there are meta-latents (of the smaller SAE nearest in size, as many as fire)."""
    from canonlib.meta import random_directions

    n, meta = run.tier.meta_latents, run.meta_of(seed).meta.sae.W_dec
    lists = {PURSUED: meta}
    small = min(smaller, key=lambda size: abs(size - n), default=None)
    if small is not None:
        lists[f"latents of the SAE of {small}"] = smaller[small]
    lists |= _made_of(rows, n, run.tier.seed + seed)
    return {**lists, "random directions": random_directions(meta, run.tier.seed + seed)}


def _made_of(rows: torch.Tensor, n: int, seed: int) -> dict[str, torch.Tensor]:
    """The lists that are made of the rows themselves."""
    from canonlib.meta.baselines import LISTS

    return {name: make(rows, n, seed) for name, make in LISTS.items()}


def _scores(
    uses: torch.Tensor, truth: Truth, rare: torch.Tensor, known: torch.Tensor | None = None, every: bool = True
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Over all facts (where asked for), and over the rare ones alone."""
    all_facts = _score(uses, truth.holds, truth, known) if every else None
    if known is None:
        return all_facts, _score(uses, truth.holds[:, rare], truth, None)
    column = torch.cumsum(rare, 0) - 1  # where a rare fact stands among the rare
    kept = rare[known]
    return all_facts, _score(uses[:, kept], truth.holds[:, rare], truth, column[known[kept]])


def _score(uses: torch.Tensor, holds: torch.Tensor, truth: Truth, known: torch.Tensor | None) -> dict[str, Any]:
    from canonlib.meta import score_parts

    if holds.shape[1] == 0:  # no fact is rare
        return {}
    found: PartScore = score_parts(uses, holds, truth.entity, truth.kind, known=known)
    return found.to_json()


def _cosines(run: Run, seed: int, base: torch.Tensor, smaller: dict[int, torch.Tensor]) -> list[dict[str, float]]:
    """Meta-latents, random directions and directions of the rows' covariance beside the latents of each SAE of that seed."""
    from canonlib.compare import max_cosine
    from canonlib.meta import gaussian_directions, random_directions

    meta = run.meta_of(seed).meta.sae.W_dec
    centred = torch.nn.functional.normalize(base, dim=1)
    controls = {
        "random": random_directions(meta, run.tier.seed + seed),
        # As a meta-latent is, a direction from the mean of the rows to one of them.
        "gaussian": (gaussian_directions(base, run.tier.seed + seed) - centred.mean(0))[: len(meta)],
    }
    rows = []
    for size, latents in {**smaller, run.tier.meta_base: base}.items():
        ours = max_cosine(meta, latents).double()
        row = {"size": size, "meta": float(ours.mean()), "above": float((ours > SIMILAR).double().mean())}
        for name, directions in controls.items():
            theirs = max_cosine(directions, latents).double()
            spread = ((ours.var() + theirs.var()) / 2).sqrt()
            row |= {name: float(theirs.mean()), f"effect_{name}": float((ours.mean() - theirs.mean()) / spread)}
        rows.append(row)
    return rows


def smaller_family(run: Run) -> str:
    """The family whose smaller SAEs are set beside the meta-latents."""
    return SMALLER if SMALLER in {f.name for f in run.tier.every_family} else metastage.BASE


def _smaller_rows(run: Run, seed: int) -> dict[int, torch.Tensor]:
    """For each smaller SAE of that seed the decoder rows ``[n_alive, d_model]`` of the latents that fire."""
    return {n: metastage.live_rows(run, smaller_family(run), n, _known(run, seed)) for n in _sizes(run)}


def _known(run: Run, seed: int) -> int:
    """That seed, or the first where the smaller SAEs have one seed alone."""
    seeds = run.family(smaller_family(run)).family.seeds
    return seed if seed in seeds else seeds[0]


def _sizes(run: Run) -> list[int]:
    return [n for n in run.family(smaller_family(run)).sizes if n < run.tier.meta_base]
