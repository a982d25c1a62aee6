"""Which latents stand for which entity or fact, measured against the world's ground truth.

A latent is a detector: it fires on a token or it does not. Counting how often it fires on each entity's mentions is
enough to score it against every entity and every fact, since a fact is a set of entities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from canonlib.activations import Split
from canonlib.sae.needs import Need, takes
from canonlib.sae.streaming import blocks, encoded, require_activations
from canonlib.world import table

if TYPE_CHECKING:
    from sae_lens import SAE

OWN = 0.7
"""F1 above which a latent counts as an entity's, or an attribute value's, own."""
TWINS = " / "
"""What stands between the names of facts that hold of the same entities, see ``distinct_facts``."""


def fact_membership() -> tuple[tuple[table.Fact, ...], torch.Tensor]:
    """The world's facts, and which entities each holds of: bool [n_facts, n_entities] in ``table.entities()`` order.

    >>> facts, membership = fact_membership()
    >>> len(facts), tuple(membership.shape)
    (105, (105, 466))
    """
    _, facts, rows = table.truth_matrix()
    return tuple(facts), torch.tensor(rows, dtype=torch.bool).T


def distinct_facts() -> tuple[tuple[str, ...], torch.Tensor]:
    """The world's facts with twins as one: labels, and which entities each holds of, bool ``[n_distinct, n_entities]``.

    Twins hold of exactly the same entities (who is a politician, and whose field is politics), so nothing that looks at
    entities can tell them apart, and a count over facts would count them twice. Their label names all of them.

    >>> labels, membership = distinct_facts()
    >>> len(labels), "field=politics / occupation=politician" in labels
    (92, True)
    """
    facts, membership = fact_membership()
    columns, which = torch.unique(membership, dim=0, return_inverse=True)
    names: dict[int, list[str]] = {}
    for fact, group in zip(facts, which.tolist(), strict=True):
        names.setdefault(group, []).append(str(fact))
    return tuple(TWINS.join(together) for together in names.values()), columns[list(names)]


@dataclass(frozen=True, eq=False)
class Selectivity:
    """Firing counts of one SAE's latents.

    >>> by_entity = torch.tensor([[8, 0], [5, 5]])  # latent 0 fires on 8 of the first entity's 10 mentions
    >>> counts = Selectivity(by_entity, fires=by_entity.sum(1), mentions=torch.tensor([10, 10]))
    >>> [[round(f1, 2) for f1 in row] for row in counts.entity_f1().tolist()]
    [[0.89, 0.0], [0.5, 0.5]]
    """

    by_entity: torch.Tensor
    """[n_latents, n_entities] mentions of each entity on which the latent fires."""
    fires: torch.Tensor
    """[n_latents] tokens of any kind on which it fires."""
    mentions: torch.Tensor
    """[n_entities] mentions of each entity in the data."""

    def entity_f1(self) -> torch.Tensor:
        """[n_latents, n_entities] F1 of "fires" as a detector of "this entity is named"."""
        return _f1(self.by_entity.double(), self.fires, self.mentions.double())

    def fact_f1(self, membership: torch.Tensor) -> torch.Tensor:
        """[n_latents, n_facts] F1 as a detector of "an entity of which the fact holds is named".

        ``membership``: bool [n_facts, n_entities].
        """
        groups = membership.double()
        return _f1(self.by_entity.double() @ groups.T, self.fires, groups @ self.mentions.double())

    def best_entity(self) -> tuple[torch.Tensor, torch.Tensor]:
        """F1 and index of the entity that each latent detects best, both [n_latents]."""
        best = self.entity_f1().max(1)
        return best.values, best.indices

    def own_entities(self) -> torch.Tensor:
        """bool [n_entities]: some latent detects the entity with F1 above ``OWN``; never-mentioned ones are False."""
        return self.entity_f1().max(0).values > OWN

    def own_facts(self, membership: torch.Tensor) -> torch.Tensor:
        """bool [n_facts]: some latent detects the fact with F1 above ``OWN``."""
        return self.fact_f1(membership).max(0).values > OWN


def _f1(hits: torch.Tensor, fires: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """2 TP / (predicted + present), 0 where both are 0."""
    return 2 * hits / (fires.double()[:, None] + present[None]).clamp_min(1)


@torch.no_grad()
@takes(sae=Need.ACTIVATIONS)
def selectivity(sae: SAE[Any], split: Split, batch_size: int = 8192) -> Selectivity:
    """Count on which entities' mentions each latent fires, over all rows of ``split``.

    Raises ``ConfigError`` for activations that do not suit the SAE or are not finite.
    """
    require_activations(split.activations, int(sae.cfg.d_in))
    n_latents, n_entities = sae.W_dec.shape[0], len(table.entities())
    counts = torch.zeros(n_latents * (n_entities + 1), dtype=torch.long)
    entity = split.entity.long() + 1  # column 0 collects the tokens that name no entity
    start = 0
    for block in blocks(split.activations, batch_size, sae.W_dec.device):
        token, latent = (encoded(sae, block) > 0).nonzero().cpu().T
        where = latent * (n_entities + 1) + entity[start : start + len(block)][token]
        counts += torch.bincount(where, minlength=len(counts))
        start += len(block)
    table_ = counts.view(n_latents, n_entities + 1)
    mentions = torch.bincount(entity, minlength=n_entities + 1)[1:]
    return Selectivity(table_[:, 1:].clone(), table_.sum(1), mentions)
