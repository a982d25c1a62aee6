"""Swap groups: reconstruction latents of a large SAE and the small SAE's latents they stand for.

Latents of the two SAEs are joined where their decoder cosine reaches a threshold; the connected components of that
bipartite graph are exchanged as wholes, for a latent that was split into two is replaced by both (Leask et al. 2025,
stitching).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from canonlib.compare import pairs_above
from canonlib.sae.needs import Need, takes
from canonlib.stitch.assembly import Latents, checked_latents
from canonlib.stitch.mixture import Mixture
from canonlib.stitch.pooling import Pool
from canonlib.stitch.support import one_space

if TYPE_CHECKING:
    from sae_lens import SAE


@dataclass(frozen=True)
class Group:
    """Latents that change places: ``out`` of the small SAE for ``into`` of the large one, both ascending."""

    out: tuple[int, ...]
    into: tuple[int, ...]
    cosine: float
    """The highest cosine in the group."""

    @property
    def kind(self) -> str:
        """``1-1``, ``1-n`` (a latent was split), ``n-1`` (latents were merged) or ``n-n``."""
        return f"{'1' if len(self.out) == 1 else 'n'}-{'1' if len(self.into) == 1 else 'n'}"

    @property
    def size(self) -> int:
        """Number of latents on both sides."""
        return len(self.out) + len(self.into)


@takes(small=Need.INDEPENDENT, large=Need.INDEPENDENT)
def swap_groups(
    small: SAE[Any], large: SAE[Any], threshold: float, of_small: Latents | None = None, of_large: Latents | None = None
) -> list[Group]:
    """The connected components with latents of both SAEs, highest cosine first.

    An edge is a decoder cosine of at least ``threshold``; ``of_small`` and ``of_large`` restrict the latents (all by
    default; for the paper's groups, give the large SAE's reconstruction latents). A latent without an edge is in no
    group. Low thresholds chain everything into one component: look at ``Group.size``. Raises ``ConfigError`` for SAEs
    that cannot be stitched, latents repeated or out of range, and a threshold outside -1 ... 1.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> groups = swap_groups(small, large, threshold=0.7)
    >>> sorted((group.out, group.into) for group in groups)[:3], groups[0].kind
    ([((0,), (0,)), ((1,), (1,)), ((2,), (2,))], '1-1')
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one_space(small, large)
    ours = checked_latents(range(small.cfg.d_sae) if of_small is None else of_small, small.cfg.d_sae, "small SAE")
    theirs = checked_latents(range(large.cfg.d_sae) if of_large is None else of_large, large.cfg.d_sae)
    if not ours or not theirs:
        return []
    edges = pairs_above(small.W_dec.detach()[ours], large.W_dec.detach()[theirs], threshold)
    n = len(ours) + len(theirs)
    a, b = edges.a.numpy(), edges.b.numpy() + len(ours)
    _, label = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    found: dict[int, list[float]] = {}
    for component, cosine in zip(label[a].tolist(), edges.cosine.tolist(), strict=True):
        found.setdefault(component, []).append(cosine)
    members: dict[int, tuple[list[int], list[int]]] = {component: ([], []) for component in found}
    for place, component in enumerate(label.tolist()):
        if component in members:
            side = place >= len(ours)
            members[component][side].append(theirs[place - len(ours)] if side else ours[place])
    groups = [Group(tuple(sorted(o)), tuple(sorted(i)), max(found[c])) for c, (o, i) in members.items()]
    return sorted(groups, key=lambda group: (-group.cosine, group.out))


@dataclass(frozen=True, eq=False)
class SwapEffects:
    """What each swap, made alone, does to the small SAE."""

    delta_mse: torch.Tensor
    """[n_groups] change of the MSE per coordinate (float64; negative lowers the error)."""
    delta_l0: torch.Tensor
    """[n_groups] change of the number of active latents per token."""


def swap_effects(pool: Pool, groups: Sequence[Group]) -> SwapEffects:
    """The effect of each group's swap on the pool's first SAE, the small one, its decoder bias kept.

    Exact: within a group latents act on one another's tokens, and that is part of the effect. Raises ``ConfigError``
    for a pool that is not of two SAEs and for latents out of range.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> from canonlib.stitch import pool
    >>> effects = swap_effects(pool([small, large], truth.activations), swap_groups(small, large, threshold=0.7))
    >>> bool((effects.delta_mse.abs() < 1e-6).all())  # each latent is exchanged for itself
    True
    """
    pool.require_pair()
    mixture = Mixture(pool, start=0)
    changes = [mixture.preview([*pool.numbers(0, g.out), *pool.numbers(1, g.into)]) for g in groups]
    count = pool.n_tokens * pool.rows.shape[1]
    return SwapEffects(
        torch.tensor([c.effect(pool.b_dec[0]) / count for c in changes], dtype=torch.float64),
        torch.tensor([c.active / pool.n_tokens for c in changes], dtype=torch.float64),
    )
