"""Naming meta-latents by facts: which fact holds of the entities whose latents use a meta-latent?

The name is the best of many candidates, so even a meaningless meta-latent gets a name with some F1. The chance level
says how much: the facts are dealt to the entities anew, many times, and each time the best F1 is taken again. Where
entities are of several kinds, facts are dealt within each kind: else a meta-latent that says no more than "a city"
would pass for a fact that only cities can have. And since many meta-latents are tested, some would pass at any level:
q-values (Benjamini and Hochberg) say which share of the names accepted so far are expected to be false.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.world.match import match_facts

FALSE_NAMES = 0.05
"""Share of false names that we put up with: a name counts when its q-value is below this."""
MIN_USERS = 3
"""A meta-latent with fewer users is not tested: one or two entities have something in common by themselves."""
_DEALS = 64
"""Permutations that are counted in one product."""
_TIE = 1e-6
"""F1 values nearer than this are one value, rounded."""


@dataclass(frozen=True)
class MetaName:
    """A meta-latent and the fact it matches best."""

    meta_latent: int
    """Index in the meta-SAE."""
    fact: str | None
    """Label of the fact of highest F1, such as "country=Germany"; None when no user has any of the facts."""
    precision: float
    """Of the latents that use the meta-latent, the share whose entity has the fact."""
    recall: float
    """Of the latents whose entity has the fact, the share that use the meta-latent."""
    f1: float
    """Harmonic mean of precision and recall."""
    n_users: int
    """Latents that use the meta-latent, among those given."""
    chance_f1: float
    """Best F1 over all facts when facts are dealt at random to the entities of a kind: the mean of all permutations."""
    p_value: float
    """(1 + permutations whose best F1 is at least ``f1``) / (1 + permutations). The choice among facts is allowed for;
    that many meta-latents are tested is not."""
    q_value: float
    """Expected share of false names among those with a p-value as low (Benjamini and Hochberg, over the meta-latents
    with at least ``MIN_USERS`` users); 1 for the others."""

    @property
    def beyond_chance(self) -> bool:
        """Whether there is a fact, and its q-value is below ``FALSE_NAMES``."""
        return self.fact is not None and self.q_value < FALSE_NAMES

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON-ready values."""
        return asdict(self)


@torch.no_grad()
def name_meta_latents(
    active: torch.Tensor,
    truth: torch.Tensor,
    facts: Sequence[str],
    entities: torch.Tensor | None = None,
    n_permutations: int | None = None,
    seed: int = 0,
    groups: torch.Tensor | None = None,
) -> list[MetaName]:
    """Name every meta-latent, in the order of their indices.

    ``active`` ``[n_entity_latents, n_meta]`` (bool) says which meta-latents each latent uses, ``truth``
    ``[n_entity_latents, n_facts]`` (bool) what holds of its entity, ``facts`` labels the columns of ``truth``.
    ``entities`` ``[n_entity_latents]`` (whole numbers) says whose latent each is: latents of one entity share its facts
    in every permutation, as they do in truth. Without it each latent counts as an entity of its own, which puts chance
    too low where entities have several latents. ``groups`` ``[n_entity_latents]`` (whole numbers) says of which kind
    the entity is: facts are dealt within a kind only. ``n_permutations`` is by default enough for one good name among
    all meta-latents to pass (``permutations_for``), and a thousand at least. Raises ``ConfigError`` for tables of
    different length, a wrong number of labels, no permutations, or two latents of one entity with different facts or
    kinds.

    >>> truth = torch.tensor([[i < 6, i % 2 == 0] for i in range(12)])
    >>> active = truth[:, :1]  # one meta-latent, which the first six latents use
    >>> (name,) = name_meta_latents(active, truth, ["country=Germany", "field=physics"])
    >>> name.fact, name.f1, name.beyond_chance
    ('country=Germany', 1.0, True)
    """
    if truth.ndim == 2 and len(facts) != truth.shape[1]:
        raise ConfigError(
            f"facts holds {len(facts)} labels for the {truth.shape[1]} columns of truth: label each column."
        )
    n_permutations = permutations_for(active.shape[-1]) if n_permutations is None else n_permutations
    require_positive("n_permutations", n_permutations)
    active = active.to(truth.device)
    found = match_facts(active, truth)
    best = found.best_per_latent()
    precision, recall = found.precision, found.recall
    chance = _chance(active, truth, entities, groups, n_permutations, seed)
    p_values = (1 + (chance >= best.value - _TIE).sum(0)).double() / (1 + n_permutations)
    q_values = false_discovery(p_values, found.fires >= MIN_USERS)
    names = []
    for j, (f1, fact) in enumerate(zip(best.value.tolist(), best.index.tolist())):
        names.append(
            MetaName(
                meta_latent=j,
                fact=facts[fact] if f1 > 0 else None,
                precision=float(precision[j, fact]),
                recall=float(recall[j, fact]),
                f1=f1,
                n_users=int(found.fires[j]),
                chance_f1=float(chance[:, j].mean()),
                p_value=float(p_values[j]),
                q_value=float(q_values[j]),
            )
        )
    return names


def permutations_for(n_tested: int) -> int:
    """Permutations with which the smallest p-value there is has a q-value below ``FALSE_NAMES``, a thousand at least."""
    return max(1000, math.ceil(1.2 * n_tested / FALSE_NAMES))


def false_discovery(p_values: torch.Tensor, tested: torch.Tensor) -> torch.Tensor:
    """q-values (Benjamini and Hochberg, scipy's) of the p-values ``[n]`` that are ``tested`` (bool ``[n]``), 1 elsewhere."""
    from scipy.stats import false_discovery_control

    q_values = torch.ones_like(p_values)
    if tested.any():
        q_values[tested] = torch.from_numpy(false_discovery_control(p_values[tested].cpu().numpy())).to(q_values)
    return q_values


def _chance(
    active: torch.Tensor,
    truth: torch.Tensor,
    entities: torch.Tensor | None,
    groups: torch.Tensor | None,
    n_permutations: int,
    seed: int,
) -> torch.Tensor:
    """Best F1 of each meta-latent over all facts, in each permutation: ``[n_permutations, n_meta]``."""
    entity_truth, owner = _facts_of_entities(truth, entities)
    kind = _kind_of_entities(groups, owner, len(entity_truth))
    members = [(kind == k).nonzero().flatten() for k in torch.unique(kind)]
    generator = torch.Generator().manual_seed(seed)
    # By entity: all that changes from deal to deal is which entity has which facts. Counts are exact in float32.
    shape = (len(entity_truth), active.shape[1])
    users = torch.zeros(shape, device=truth.device).index_add_(0, owner, active.float())
    latents = torch.bincount(owner, minlength=len(entity_truth)).float()
    fires, dealt_from, best = active.sum(0).float(), entity_truth.float(), []
    for start in range(0, n_permutations, _DEALS):
        deals = []
        for _ in range(min(_DEALS, n_permutations - start)):
            dealt = torch.arange(len(entity_truth), device=truth.device)
            for those in members:
                dealt[those] = those[torch.randperm(len(those), generator=generator).to(truth.device)]
            deals.append(dealt)
        labels = dealt_from[torch.stack(deals)]  # [n_deals, n_entities, n_facts]
        both = (latents @ labels)[:, None, :].add(fires[:, None])  # [n_deals, n_meta, n_facts]
        best.append((users.T @ labels).mul_(2).div_(both.clamp_(min=1)).amax(2))
    return torch.cat(best).double()


def _kind_of_entities(groups: torch.Tensor | None, owner: torch.Tensor, n_entities: int) -> torch.Tensor:
    """The kind of each distinct entity ``[n_entities]``: all one without ``groups``."""
    kind = owner.new_zeros(n_entities)
    if groups is None:
        return kind
    if groups.shape != owner.shape:
        raise ConfigError(f"groups has shape {list(groups.shape)} for {len(owner)} latents: name one kind for each.")
    groups = groups.to(owner)
    kind[owner] = groups
    wrong = (kind[owner] != groups).nonzero().flatten()
    if len(wrong):
        raise ConfigError(f"latent {int(wrong[0])} is of another kind in groups than another latent of its entity.")
    return kind


def _facts_of_entities(truth: torch.Tensor, entities: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Facts of each distinct entity ``[n_entities, n_facts]``, and the entity of each latent ``[n_entity_latents]``."""
    if entities is None:
        return truth, torch.arange(len(truth), device=truth.device)
    if entities.shape != truth.shape[:1]:
        raise ConfigError(
            f"entities has shape {list(entities.shape)} for {len(truth)} latents: name one entity for each."
        )
    distinct, owner = torch.unique(entities.to(truth.device), return_inverse=True)
    facts = truth.new_zeros(len(distinct), truth.shape[1])
    facts[owner] = truth
    wrong = (facts[owner] != truth).any(1).nonzero().flatten()
    if len(wrong):
        raise ConfigError(f"entity {int(entities[wrong[0]])} has other facts in one row of truth than in another.")
    return facts, owner
