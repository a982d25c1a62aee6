"""One entity's latent taken apart: its meta-latents, what the fact table says of them, and who shares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from canonlib.errors import require_positive, unknown
from canonlib.sae.needs import Need, takes
from canonlib.viz.graph import meta_graph
from canonlib.world import table

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch
    from sae_lens import SAE

    from canonlib.meta import MetaName, MetaSAE, naming


class Sharing(NamedTuple):
    """A meta-latent of an entity's latent: its name, its activation there, and the other entities that use it most."""

    name: naming.MetaName
    weight: float
    others: list[str]


@takes(meta=Need.SUM, directions=Need.DIRECTIONS)
def entity_graph(entity: str, meta: MetaSAE, directions: SAE[Any] | torch.Tensor, names: Sequence[MetaName],
                 latents: Mapping[str, int], *, title: str, n_others: int = 3, alt: str = "",
                 height: int = 520) -> go.Figure:  # fmt: skip
    """``meta_graph`` of an entity's latent: its meta-latents, each with the other entities that use it most.

    ``directions`` is the SAE (or its decoder ``[n_latents, d_model]``) that ``meta`` was trained on, ``latents`` maps
    an entity to its latent there, and ``names`` has one name per meta-latent. A meta-latent is shown by its fact, with
    ✓ where the world's table says that it holds of the entity and ✗ where it does not; by its number alone when the
    fact is no better than chance (``MetaName.beyond_chance``). Raises ``ConfigError`` for an entity without a latent
    and for ``n_others`` below 1.
    """
    metas: dict[str, float] = {}
    others: dict[str, list[str]] = {}
    hover = {entity: _about(entity)}
    for part in entity_parts(entity, meta, directions, names, latents, n_others):
        label = _label(part.name, entity, metas)
        metas[label], others[label] = part.weight, part.others
        hover[label] = _explain(part.name, entity)
        hover |= {other: f"{_about(other)}<br>{_shared(entity, other)}" for other in part.others}
    return meta_graph(entity, metas, others, title=title, hover=hover, alt=alt, height=height)


@takes(meta=Need.SUM, directions=Need.DIRECTIONS)
def entity_parts(entity: str, meta: MetaSAE, directions: SAE[Any] | torch.Tensor, names: Sequence[MetaName],
                 latents: Mapping[str, int], n_others: int = 3) -> list[Sharing]:  # fmt: skip
    """What ``entity_graph`` draws: the meta-latents of an entity's latent, most active first, and who shares each.

    ``directions`` is an SAE or its decoder ``[n_latents, d_model]``. Raises ``ConfigError`` for an entity without a
    latent and for ``n_others`` below 1.
    """
    from canonlib.meta import decompose, users

    require_positive("n_others", n_others)
    if entity not in latents:
        raise unknown("entity with a latent", entity, latents)
    owner = {latent: name for name, latent in latents.items()}
    parts = decompose(meta, latents[entity], directions)
    found = []
    for m, weight in zip(parts.meta_latents.tolist(), parts.activations.tolist(), strict=True):
        sharing = [owner[j] for j in users(meta, directions, m).latents.tolist() if j in owner and owner[j] != entity]
        found.append(Sharing(names[m], weight, sharing[:n_others]))
    return found


def misfits(parts: Sequence[Sharing]) -> str:
    """A sentence on the entities shown that lack the fact of the part they share: whom, and how often that happens."""
    lines, n_shown, n_lacking = [], 0, 0
    for part in (part for part in parts if part.name.beyond_chance):
        lacking = [other for other in part.others if not fact_holds(part.name.fact, other)]
        n_shown, n_lacking = n_shown + len(part.others), n_lacking + len(lacking)
        if lacking:
            lines.append(f"{part.name.fact} does not hold of {_listed(lacking)} ({part.name.precision:.0%} of this part's users "
                         "have it)")  # fmt: skip
    which = "; ".join(lines) or "none"  # in italics, as names that data chose are
    return f"Of the {n_shown} shown on the right of a named part, {n_lacking} lack the fact that it is named after: *{which}*."


def fact_holds(fact: str | None, entity: str) -> bool:
    """Whether the world's table says ``fact``, such as "country=Germany", of the entity; False without a fact."""
    attribute, _, value = (fact or "").partition("=")
    return table.facts(entity).get(attribute) == value


def fact_mark(fact: str | None, entity: str) -> str:
    """ "✓" where ``fact_holds``, "✗" where not, and "–" where the table has no such attribute of the entity.

    >>> fact_mark("country=Germany", "Einstein"), fact_mark("country=Japan", "Einstein"), fact_mark("language=German", "Einstein")
    ('✓', '✗', '–')
    """
    if (fact or "").partition("=")[0] not in table.facts(entity):
        return "–"
    return "✓" if fact_holds(fact, entity) else "✗"


def _listed(names: Sequence[str]) -> str:
    """ "A", "A and B", "A, B and C"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _label(name: MetaName, entity: str, taken: Mapping[str, float]) -> str:
    """Fact and mark, or number; the number too where two meta-latents have the same fact."""
    if not name.beyond_chance:
        return f"unnamed {name.meta_latent}"
    text = f"{name.fact} {fact_mark(name.fact, entity)}"
    return f"{text} · {name.meta_latent}" if text in taken else text


def _explain(name: MetaName, entity: str) -> str:
    """Hover text of a meta-latent."""
    head = f"meta-latent {name.meta_latent}, used by {name.n_users} latents of entities"
    if not name.beyond_chance:
        return f"{head}<br>no fact fits it better than chance"
    truth = {"✓": "true of", "✗": "not true of", "–": "not an attribute of"}[fact_mark(name.fact, entity)]
    score = f"precision {name.precision:.2f}, recall {name.recall:.2f}, F1 {name.f1:.2f} (chance {name.chance_f1:.2f})"
    return f"{head}<br>best fact: {name.fact}, {truth} {entity}<br>{score}"


def _about(entity: str) -> str:
    return f"<b>{entity}</b>: " + ", ".join(table.facts(entity)[a] for a in _SHOWN if a in table.facts(entity))


_SHOWN = ("occupation", "country", "century")
"""Attributes that introduce an entity in a hover; a city has only the second."""


def _shared(entity: str, other: str) -> str:
    same = [f"{a}={v}" for a, v in table.facts(entity).items() if table.facts(other).get(a) == v]
    return f"true of {entity} too: {', '.join(same) or 'nothing in the table'}"
