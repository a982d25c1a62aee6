"""One entity's latent taken apart: its meta-latents, what the fact table says of them, and who shares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from canonlib.errors import require_positive, unknown
from canonlib.viz.graph import meta_graph
from canonlib.world import table

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch
    from sae_lens import SAE

    from canonlib.meta import MetaName, MetaSAE

BEYOND_CHANCE = 0.01
"""Largest p-value of a name that is shown as a fact; other meta-latents stay unnamed."""


def entity_graph(entity: str, meta: MetaSAE, directions: SAE[Any] | torch.Tensor, names: Sequence[MetaName],
                 latents: Mapping[str, int], *, title: str, n_others: int = 3, alt: str = "",
                 height: int = 520) -> go.Figure:  # fmt: skip
    """``meta_graph`` of an entity's latent: its meta-latents, each with the other entities that use it most.

    ``directions`` is the SAE (or its decoder ``[n_latents, d_model]``) that ``meta`` was trained on, ``latents`` maps
    an entity to its latent there, and ``names`` has one name per meta-latent. A meta-latent is shown by its fact, with
    ✓ where the world's table says that it holds of the entity and ✗ where it does not; by its number alone when the
    fact is no better than chance (p above ``BEYOND_CHANCE``). Raises ``ConfigError`` for an entity without a latent
    and for ``n_others`` below 1.
    """
    from canonlib.meta import decompose, users

    require_positive("n_others", n_others)
    if entity not in latents:
        raise unknown("entity with a latent of its own", entity, latents)
    owner = {latent: name for name, latent in latents.items()}
    parts = decompose(meta, latents[entity], directions)
    metas: dict[str, float] = {}
    others: dict[str, list[str]] = {}
    hover = {entity: _about(entity)}
    for m, weight in zip(parts.meta_latents.tolist(), parts.activations.tolist(), strict=True):
        label = _label(names[m], entity, metas)
        sharing = [owner[j] for j in users(meta, directions, m).latents.tolist() if j in owner and owner[j] != entity]
        metas[label], others[label] = weight, sharing[:n_others]
        hover[label] = _explain(names[m], entity)
        hover |= {other: f"{_about(other)}<br>{_shared(entity, other)}" for other in sharing[:n_others]}
    return meta_graph(entity, metas, others, title=title, hover=hover, alt=alt, height=height)


def _holds(name: MetaName, entity: str) -> bool:
    attribute, _, value = (name.fact or "").partition("=")
    return table.facts(entity).get(attribute) == value


def _named(name: MetaName) -> bool:
    return name.fact is not None and name.p_value <= BEYOND_CHANCE


def _label(name: MetaName, entity: str, taken: Mapping[str, float]) -> str:
    """Fact and mark, or number; the number too where two meta-latents have the same fact."""
    if not _named(name):
        return f"unnamed {name.meta_latent}"
    text = f"{name.fact} {'✓' if _holds(name, entity) else '✗'}"
    return f"{text} · {name.meta_latent}" if text in taken else text


def _explain(name: MetaName, entity: str) -> str:
    """Hover text of a meta-latent."""
    head = f"meta-latent {name.meta_latent}, used by {name.n_users} latents of entities"
    if not _named(name):
        return f"{head}<br>no fact fits it better than chance"
    truth = "true" if _holds(name, entity) else "not true"
    score = f"precision {name.precision:.2f}, recall {name.recall:.2f}, F1 {name.f1:.2f} (chance {name.chance_f1:.2f})"
    return f"{head}<br>best fact: {name.fact}, {truth} of {entity}<br>{score}"


def _about(entity: str) -> str:
    return f"<b>{entity}</b>: " + ", ".join(table.facts(entity)[a] for a in _SHOWN if a in table.facts(entity))


_SHOWN = ("occupation", "country", "century")
"""Attributes that introduce an entity in a hover; a city has only the second."""


def _shared(entity: str, other: str) -> str:
    same = [f"{a}={v}" for a, v in table.facts(entity).items() if table.facts(other).get(a) == v]
    return f"true of {entity} too: {', '.join(same) or 'nothing in the table'}"
