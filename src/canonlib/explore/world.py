"""The world's explorer: latents and meta-latents beside the facts that we wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from canonlib.explore.subject import Fit, Smaller, Subject, Texts, Truth

if TYPE_CHECKING:
    from sae_lens import SAE

    from canonlib.activations import Split
    from canonlib.pipeline import Run
    from canonlib.sae.selectivity import Selectivity

NAMED = 0.5
"""F1 from which a latent is called after an entity or a fact."""
N_FACTS = 4
"""Facts listed for a latent."""
N_START = 12


def world_subject(run: Run) -> Subject:
    """The run's base SAE on entity mentions, its meta-SAE, the smaller SAEs of the family, and the facts."""
    from canonlib.activations import documents
    from canonlib.pipeline import metastage
    from canonlib.world import corpus

    sae, stage = metastage.load_base(run), run.meta
    split = run.data.eval.only("entities")
    family = run.family(metastage.BASE)
    smaller = [
        Smaller(s, f"{n:,} latents", [name for name, _ in _named(s, split)])
        for n, s in family.saes().items()
        if n < run.tier.meta_base
    ]
    named = [n if n.beyond_chance else None for n in stage.names]
    names, own = _named(sae, split), stage.entity_latents
    return Subject(
        title=f"The world's SAE of {run.tier.meta_base:,} latents",
        sae=sae,
        meta=stage.meta,
        texts=Texts(split, documents(run.tier, "eval"), list(corpus.token_ids()), spaced=True, unit="entity mentions"),
        lm=run.lm,
        smaller=smaller,
        names=[name for name, _ in names],
        meta_names=[str(n.fact) if n else "" for n in named],
        meta_scores=[n.f1 if n else None for n in named],
        truth=_truth(sae, split, stage, [f1 for _, f1 in names]),
        alive=stage.alive,
        start=[own[name] for name in _famous(own)],
    )


def to_train(run: Run) -> str:
    """What the store lacks and ``world_subject`` trains first, in words; "" when all is there."""
    from canonlib import activations
    from canonlib.pipeline import metastage
    from canonlib.sae import group

    store, tier = run.store, run.tier
    harvest = store.key("activations", activations.configuration(tier), code=list(activations.CODE))
    jobs = [group.Job(family, member) for family in tier.every_family for member in family.members]
    keys = {store.key("sae", group.configuration(tier, job, harvest), code=list(group.CODE)) for job in jobs}
    lacking = sum(not (store.root / "sae" / key).is_dir() for key in keys)
    if lacking:
        return f"{lacking} of its {len(keys)} SAEs, and the meta-SAE"
    return "" if (store.root / "meta" / metastage.meta_key(run)).is_dir() else "the meta-SAE"


def _famous(own: dict[str, int]) -> list[str]:
    """People and cities with a latent of their own, by turns, the best known first."""
    from canonlib.world import table

    kinds = ([e.name for e in those if e.name in own] for those in (table.people(), table.cities()))
    return [name for pair in zip(*kinds, strict=False) for name in pair][:N_START]


def _named(sae: SAE[Any], split: Split) -> list[tuple[str, float | None]]:
    """The entity that each latent detects, or else the fact, and the F1, at least ``NAMED``; ("", None) for the others."""
    from canonlib.sae.selectivity import fact_membership, selectivity
    from canonlib.world import table

    found, (facts, membership) = selectivity(sae, split), fact_membership()
    score, entity = found.best_entity()
    fact_score, fact = found.fact_f1(membership).max(1)
    everyone = table.entities()
    names: list[tuple[str, float | None]] = []
    for s, e, t, f in zip(score.tolist(), entity.tolist(), fact_score.tolist(), fact.tolist(), strict=True):
        told = (everyone[e].name, s) if s >= NAMED and s >= t else (str(facts[f]), t) if t >= NAMED else ("", None)
        names.append(told)
    return names


def _truth(sae: SAE[Any], split: Split, stage: Any, name_f1: list[float | None]) -> Truth:
    from canonlib.sae.selectivity import fact_membership, selectivity
    from canonlib.world import table

    facts, membership = fact_membership()
    labels = [str(f) for f in facts]
    place = {label: i for i, label in enumerate(labels)}
    score, entity = (found := selectivity(sae, split)).best_entity()
    everyone = table.entities()
    owner = [everyone[e].name if s > NAMED else None for s, e in zip(score.tolist(), entity.tolist(), strict=True)]
    holds = [membership[:, e].nonzero()[:, 0].tolist() for e in range(len(everyone))]
    return Truth(
        facts=labels,
        owner=owner,
        true=[holds[e] if o else [] for o, e in zip(owner, entity.tolist(), strict=True)],
        fits=_fits(found, membership),
        meta_fits=[
            Fit(place[n.fact], n.precision, n.recall, n.f1, n.beyond_chance) if n.fact else None for n in stage.names
        ],
        q_values=[n.q_value for n in stage.names],
        chance_f1=[n.chance_f1 for n in stage.names],
        owner_f1=score.tolist(),
        name_f1=name_f1,
    )


def _fits(found: Selectivity, membership: torch.Tensor) -> list[list[Fit]]:
    """For each latent the facts that it detects best, from its firings on mentions."""
    groups = membership.double()
    hits = found.by_entity.double() @ groups.T
    precision = hits / found.fires.double()[:, None].clamp_min(1)
    recall = hits / (groups @ found.mentions.double())[None].clamp_min(1)
    best = found.fact_f1(membership).topk(N_FACTS, dim=1)
    return [
        [Fit(f, float(precision[j, f]), float(recall[j, f]), s) for s, f in zip(scores, which, strict=True) if s > 0]
        for j, (scores, which) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True))
    ]
