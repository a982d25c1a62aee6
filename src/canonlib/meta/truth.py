"""Is a decomposition the truth? Parts of latents against the facts of the entities that the latents stand for.

A part gets a name (a fact) from the latents that use it, and says that fact of every latent that uses it. Precision is
the share of what is said that is true; recall the share of an entity's facts that is said. An entity must not help to
choose the names that it is judged by: so the entities are split into folds, and each fold's latents are judged by names
from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.meta.naming import name_meta_latents
from canonlib.store import none_for_nan

COMMON = 1 / 3
"""A fact that holds of more entities of its kind than this cannot be said three times as well as by chance."""


@dataclass(frozen=True)
class PartScore:
    """How true the names of parts are, over all (latent, named part) pairs of entities that did not choose the names."""

    precision: float
    """Share of the pairs whose name holds of the latent's entity; NaN when no part has a name."""
    chance: float
    """The same share if each name were said of latents of that kind drawn at random: the base rates of the names."""
    recall: float
    """Share of the (latent, fact that holds) pairs that some named part of the latent says."""
    n_pairs: int
    """(latent, named part) pairs judged."""
    named: float
    """Share of the (latent, part) pairs whose part has a name."""

    @property
    def lift(self) -> float:
        """Precision in multiples of chance; NaN when no part has a name."""
        return self.precision / self.chance if self.chance > 0 else float("nan")

    def to_json(self) -> dict[str, Any]:
        """All fields and ``lift`` as JSON-ready values, None for NaN."""
        return none_for_nan({**asdict(self), "lift": self.lift})


def rare_facts(truth: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """Which facts hold of at most ``COMMON`` of the latents of every kind: bool ``[n_facts]``.

    ``truth`` ``[n_latents, n_facts]`` (bool) says what holds of each latent's entity, ``kinds`` ``[n_latents]`` of
    which kind that is. What nearly everybody has ("not a laureate") is no news of anybody, and its name is true by
    chance.

    >>> truth = torch.tensor([[True, True], [False, True], [False, True], [False, False]])
    >>> rare_facts(truth, kinds=torch.zeros(4)).tolist()
    [True, False]
    """
    shares = [truth[kinds == kind].double().mean(0) for kind in torch.unique(kinds)]
    return torch.stack(shares).amax(0) <= COMMON


def score_parts(
    uses: torch.Tensor,
    truth: torch.Tensor,
    entities: torch.Tensor,
    kinds: torch.Tensor,
    folds: int = 5,
    n_permutations: int | None = None,
    seed: int = 0,
    known: torch.Tensor | None = None,
) -> PartScore:
    """Judge parts by facts, each entity by names that other entities chose.

    ``uses`` ``[n_latents, n_parts]`` (bool) says which parts each latent has, ``truth`` ``[n_latents, n_facts]`` (bool)
    what holds of its entity, ``entities`` and ``kinds`` ``[n_latents]`` whose it is and of which kind. A part has a
    name when that is beyond chance in the other folds (``MetaName.beyond_chance``). For parts that were made for a fact
    each, ``known`` ``[n_parts]`` (int64) holds its column, and nothing is named. Raises ``ConfigError`` for fewer than
    two folds or entities, and as ``name_meta_latents`` does.

    >>> truth = torch.tensor([[i % 3 == 0, i % 4 == 0] for i in range(24)])
    >>> score = score_parts(truth, truth, torch.arange(24), torch.zeros(24))  # parts that are the facts themselves
    >>> score.precision, score.recall, round(score.lift, 1)
    (1.0, 1.0, 3.4)
    """
    require_positive("folds", folds)
    _require_same_latents(uses, truth, entities, kinds, known)
    uses, truth, entities, kinds = uses.cpu(), truth.cpu(), entities.cpu(), kinds.cpu()
    known = None if known is None else known.cpu()
    distinct, owner = torch.unique(entities, return_inverse=True)
    if folds < 2 or len(distinct) < folds:
        raise ConfigError(f"folds must be from 2 to the number of entities ({len(distinct)}), got {folds}.")
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))
    fold = (order % folds)[owner]
    said, right, expected, told, pairs = 0, 0, 0.0, torch.zeros_like(truth), int(uses.sum())
    for f in range(folds):
        out = fold == f
        fact = known
        if fact is None:
            fact = _names(uses[~out], truth[~out], entities[~out], kinds[~out], n_permutations, seed)
        named = uses[out] & (fact >= 0)
        claim = truth[out][:, fact.clamp(min=0)]  # [n_out, n_parts]: does the part's name hold?
        said, right = said + int(named.sum()), right + int((named & claim).sum())
        for kind in torch.unique(kinds[out]):
            rate = truth[kinds == kind].double().mean(0)[fact.clamp(min=0)]  # [n_parts]
            expected += float((rate * named[kinds[out] == kind].sum(0)).sum())
        latent, part = named.nonzero(as_tuple=True)
        told[out.nonzero()[latent, 0], fact[part]] = True
    nan = float("nan")
    return PartScore(
        precision=right / said if said else nan,
        chance=expected / said if said else nan,
        recall=float((told & truth).sum() / truth.sum().clamp(min=1)),
        n_pairs=said,
        named=said / max(pairs, 1),
    )


def _require_same_latents(
    uses: torch.Tensor, truth: torch.Tensor, entities: torch.Tensor, kinds: torch.Tensor, known: torch.Tensor | None
) -> None:
    for name, values in (("truth", truth), ("entities", entities), ("kinds", kinds)):
        if len(values) != len(uses):
            raise ConfigError(f"{name} holds {len(values)} latents and uses {len(uses)}: give a row for each latent.")
    if truth.ndim != 2 or truth.shape[1] == 0:
        raise ConfigError(f"truth must be [n_latents, n_facts] with at least one fact, got shape {list(truth.shape)}.")
    if known is not None and (
        known.shape != uses.shape[1:] or not bool(((known >= 0) & (known < truth.shape[1])).all())
    ):
        raise ConfigError(
            f"known must name one of {truth.shape[1]} facts for each of {uses.shape[1]} parts, got shape {list(known.shape)}."
        )


def _names(
    uses: torch.Tensor,
    truth: torch.Tensor,
    entities: torch.Tensor,
    kinds: torch.Tensor,
    n_permutations: int | None,
    seed: int,
) -> torch.Tensor:
    """Column of the fact that names each part, int64 ``[n_parts]``; -1 for none."""
    columns = [str(i) for i in range(truth.shape[1])]
    names = name_meta_latents(uses, truth, columns, entities, n_permutations, seed, kinds)
    return torch.tensor([int(n.fact) if n.beyond_chance and n.fact is not None else -1 for n in names])


@dataclass(frozen=True)
class FactFate:
    """What became of one fact: is it in the directions at all, and do parts find it?"""

    fact: str
    n_entities: int
    """Entities with a latent of which the fact holds."""
    readable: float
    """AUC of a linear probe that tells from a latent's direction alone whether the fact holds, on entities that the
    probe has not seen; NaN where there are too few entities to hold some back."""
    best_f1: float
    """Highest F1 of a part with the fact."""
    named: bool
    """Whether some part has the fact for its name, beyond chance."""

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON-ready values, None for NaN."""
        return none_for_nan(asdict(self))


def fates(
    directions: torch.Tensor, uses: torch.Tensor, truth: torch.Tensor, facts: Sequence[str], entities: torch.Tensor,
    kinds: torch.Tensor, folds: int = 5, seed: int = 0,
) -> list[FactFate]:  # fmt: skip
    """The fate of every fact, in the order of ``facts``; arguments as in ``score_parts``, and the latents'
    ``directions`` ``[n_latents, d_model]``.

    The probe is scikit-learn's ridge classifier, and is asked within the kind in which the fact occurs most. Errors as
    in ``name_meta_latents``.
    """
    from canonlib.world.match import match_facts

    found = match_facts(uses, truth)
    best = found.best_per_fact().value
    names = name_meta_latents(uses, truth, list(facts), entities, groups=kinds, seed=seed)
    said = {n.fact for n in names if n.beyond_chance}
    told = []
    for column, fact in enumerate(facts):
        holds = truth[:, column]
        own = kinds == (kinds[holds].mode().values if holds.any() else kinds[0])
        readable = _probe(directions[own], holds[own], entities[own], folds)
        n = len(torch.unique(entities[holds]))
        told.append(FactFate(fact, n, readable, float(best[column]), fact in said))
    return told


def _probe(rows: torch.Tensor, holds: torch.Tensor, entities: torch.Tensor, folds: int) -> float:
    """Cross-validated AUC, no entity on both sides; NaN with fewer entities than folds on either side of the fact."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    sides = [len(torch.unique(entities[side])) for side in (holds, ~holds)]
    if min(sides) < folds:
        return float("nan")
    probe = RidgeClassifier(alpha=1.0, class_weight="balanced")
    x, y = rows.double().cpu().numpy(), holds.cpu().numpy()
    split = StratifiedGroupKFold(folds)
    score = cross_val_predict(probe, x, y, groups=entities.cpu().numpy(), cv=split, method="decision_function")
    return float(roc_auc_score(y, score))
