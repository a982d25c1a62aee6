"""How latents split as a family grows, told in meta-latents: one meta-SAE on the decoders of all sizes together.

A latent of a larger SAE is a *child* of the nearest latent of the next smaller SAE when their directions are close
enough. With one list of parts for all sizes, what a child has that its parent lacks can be read off (meta-SAE post,
2024: "talk", one meta-latent, splits into seven latents that each add some).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from canonlib.compare import nearest
from canonlib.errors import ConfigError, unknown
from canonlib.meta.model import MetaSAE, meta_activations, unit_rows
from canonlib.sae.needs import Need, takes
from canonlib.sae.space import require_one_space

if TYPE_CHECKING:
    from sae_lens import SAE

SAME = 0.7
"""Cosine from which a latent of a larger SAE counts as a child (the meta-SAE post's line for "similar")."""


@dataclass(frozen=True, eq=False)
class Dictionaries:
    """The decoder directions of several SAEs in one matrix, smallest SAE first."""

    rows: torch.Tensor
    """Unit rows ``[n_rows, d_model]``."""
    size: torch.Tensor
    """int64 ``[n_rows]``: dictionary size of the SAE that each row belongs to."""
    latent: torch.Tensor
    """int64 ``[n_rows]``: its latent there."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Dictionary sizes, ascending."""
        return tuple(torch.unique(self.size).tolist())

    def of(self, size: int) -> torch.Tensor:
        """Places of the rows of that size, ``[n]``; ``ConfigError`` lists the sizes for another."""
        if size not in self.sizes:
            raise unknown("size", str(size), [str(s) for s in self.sizes])
        return (self.size == size).nonzero()[:, 0]

    def place(self, size: int, latent: int) -> int:
        """Place of a latent; ``ConfigError`` for one that was left out or is out of range."""
        found = self.of(size)[self.latent[self.of(size)] == latent]
        if len(found) == 0:
            raise ConfigError(f"latent {latent} of the SAE of {size} latents is not among the rows: was it left out?")
        return int(found[0])


@takes(saes=Need.DIRECTIONS)
def stack(saes: Mapping[int, SAE[Any] | torch.Tensor], alive: Mapping[int, torch.Tensor] | None = None) -> Dictionaries:
    """The decoder rows of all SAEs (by dictionary size) at unit length, in one matrix.

    ``alive[size]`` (bool ``[size]``) says which latents to take; without it all are. Raises ``ConfigError`` for no SAE,
    SAEs of different d_model, models or hook points, and masks of another length.

    >>> family = stack({2: torch.eye(4)[:2], 3: torch.eye(4)[:3]})
    >>> family.sizes, family.rows.shape, family.place(3, latent=0)
    ((2, 3), torch.Size([5, 4]), 2)
    """
    if not saes:
        raise ConfigError("saes must hold at least one SAE, got none.")
    rows: list[torch.Tensor] = []
    sizes, latents = [], []
    for size, sae in saes.items():
        held = len(getattr(sae, "W_dec", sae))
        if size != held or isinstance(size, bool):
            raise ConfigError(f"saes[{size!r}] has {held} latents: give each SAE under its dictionary size.")
    (least, smallest), *larger = sorted(saes.items())
    for size, sae in larger:
        require_one_space(
            smallest, sae, (f"the SAE of {least} latents", f"the SAE of {size} latents"), "To stack them,"
        )
    for size, sae in sorted(saes.items()):
        every = unit_rows(sae, rows[0].shape[1] if rows else None)
        if alive is not None and size not in alive:
            raise ConfigError(f"alive has no entry for the SAE of {size} latents: give one for each SAE, or none.")
        mask = torch.ones(len(every), dtype=torch.bool) if alive is None else alive[size]
        mask = torch.as_tensor(mask)
        if mask.dtype != torch.bool or not mask.any():
            raise ConfigError(f"alive[{size}] must be a mask, bool [{size}], with at least one True.")
        if mask.shape != (len(every),):
            raise ConfigError(
                f"alive[{size}] has shape {list(mask.shape)} for {len(every)} latents: one value for each."
            )
        kept = mask.nonzero()[:, 0].cpu()
        rows.append(every[kept.to(every.device)])
        sizes.append(torch.full((len(kept),), size))
        latents.append(kept)
    return Dictionaries(torch.cat(rows), torch.cat(sizes), torch.cat(latents))


def parents(family: Dictionaries, same: float = SAME) -> torch.Tensor:
    """Place of each row's parent, int64 ``[n_rows]``: the nearest row of the next smaller size.

    -1 for rows of the smallest size and where that cosine is below ``same``.

    >>> parents(stack({2: torch.eye(4)[:2], 3: torch.eye(4)[:3]})).tolist()  # the last has no parent
    [-1, -1, 0, 1, -1]
    """
    found = torch.full((len(family.rows),), -1)
    for small, large in zip(family.sizes, family.sizes[1:], strict=False):
        above, below = family.of(small), family.of(large)
        near = nearest(family.rows[below], family.rows[above])
        place, close = near.index[:, 0].cpu(), (near.cosine[:, 0] >= same).cpu()
        found[below[close]] = above[place[close]]
    return found


@dataclass(frozen=True, eq=False)
class Split:
    """A latent with its children in the next larger SAE, and the meta-latents that each has."""

    size: int
    latent: int
    parts: dict[int, float]
    """Meta-latent to its activation on this latent's direction."""
    added: tuple[int, ...]
    """Meta-latents that the parent lacks, most active first; none for the root."""
    dropped: tuple[int, ...]
    """Meta-latents of the parent that this latent lacks."""
    children: tuple[Split, ...]

    def walk(self) -> Iterator[Split]:
        """This node and all below it, a parent before its children."""
        yield self
        for child in self.children:
            yield from child.walk()


@takes(meta=Need.SUM)
def split_tree(meta: MetaSAE, family: Dictionaries, size: int, latent: int, same: float = SAME) -> Split:
    """A latent's children, their children, and so on to the largest size, each with its meta-latents.

    ``meta`` is trained on ``family.rows`` (or at least on rows of one space with them). Raises ``ConfigError`` for a
    latent that is not among the rows.
    """
    uses, parent = meta_activations(meta, family.rows).cpu(), parents(family, same)

    def parts(place: int) -> dict[int, float]:
        order = uses[place].argsort(descending=True, stable=True)
        return {int(m): float(uses[place, m]) for m in order[: int((uses[place] > 0).sum())]}

    def grow(place: int, above: dict[int, float] | None) -> Split:
        own = parts(place)
        below = (parent == place).nonzero()[:, 0].tolist()
        return Split(
            size=int(family.size[place]),
            latent=int(family.latent[place]),
            parts=own,
            added=() if above is None else tuple(m for m in own if m not in above),
            dropped=() if above is None else tuple(m for m in above if m not in own),
            children=tuple(grow(child, own) for child in below),
        )

    return grow(family.place(size, latent), None)


@dataclass(frozen=True)
class SplitCounts:
    """What happens to meta-latents where a latent has at least two children in the next larger SAE."""

    n_splits: int
    n_children: int
    parts_before: float
    """Meta-latents of a latent that splits, mean."""
    parts_after: float
    """Meta-latents of a child, mean."""
    kept: float
    """Share of a parent's meta-latents that a child keeps, over all (child, meta-latent of its parent) pairs."""
    adding: float
    """Share of the children that have a meta-latent which their parent lacks."""


@takes(meta=Need.SUM)
def count_splits(meta: MetaSAE, family: Dictionaries, same: float = SAME) -> SplitCounts:
    """All splits of a family counted: a split is a latent with at least two children. Means are NaN without splits."""
    uses, parent = meta_activations(meta, family.rows).cpu() > 0, parents(family, same)
    children = (parent >= 0).nonzero()[:, 0]
    n_children = torch.bincount(parent[children], minlength=len(parent))
    children = children[n_children[parent[children]] >= 2]
    splits = torch.unique(parent[children])
    own, above = uses[children], uses[parent[children]]
    n_above = int(above.sum())
    return SplitCounts(
        n_splits=len(splits),
        n_children=len(children),
        parts_before=float(uses[splits].sum(1).double().mean()),
        parts_after=float(own.sum(1).double().mean()),
        kept=int((own & above).sum()) / n_above if n_above else float("nan"),
        adding=float((own & ~above).any(1).double().mean()),
    )
