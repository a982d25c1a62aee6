"""Other lists of parts: what would directions look like in pieces that no meta-SAE has learnt?

A *list of parts* is a matrix of unit directions. ``pursue`` writes each decoder direction as mean + at most k parts, by
orthogonal matching pursuit with coefficients of at least zero (as a meta-SAE's activations are), the same for every
list, so that lists can be compared at equal sparsity and without a trained encoder (the sparse regression that the
meta-SAE post suggests and leaves undone). scikit-learn's pursuit knows no sign; scipy's non-negative least squares fits
the coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from canonlib.errors import ConfigError, require_positive, require_seed
from canonlib.meta.model import unit_rows, variance_of
from canonlib.sae.needs import Need, takes
from canonlib.sae.space import require_one_space

if TYPE_CHECKING:
    from sae_lens import SAE

_BLOCK = 4096
_NOTHING = 1e-9
"""A product of a part with what is left of a unit row that counts as none."""


@dataclass(frozen=True, eq=False)
class Pursuit:
    """Directions written as mean + Σ coefficient · part: ``coefficients`` ``[n_directions, n_parts]``, none below zero."""

    coefficients: torch.Tensor
    variance_explained: float
    """1 - Σ|d - d̂|² / Σ|d - d̄|² over unit directions, as for a meta-SAE."""

    @property
    def uses(self) -> torch.Tensor:
        """bool ``[n_directions, n_parts]``: parts with a coefficient above zero."""
        return self.coefficients > 0


@takes(directions=Need.DIRECTIONS, parts=Need.DIRECTIONS)
def pursue(
    directions: SAE[Any] | torch.Tensor, parts: SAE[Any] | torch.Tensor, k: int, mean: torch.Tensor | None = None
) -> Pursuit:
    """Write each row of ``directions`` ``[n_directions, d_model]`` as ``mean`` + at most ``k`` of ``parts`` ``[n_parts, d_model]``.

    Rows and parts are scaled to unit length. Parts are chosen one at a time, the one whose product with what is left is
    highest, and all coefficients are fitted anew each time, none below zero; a row is done when no product is above
    zero. ``mean`` ``[d_model]`` is that of ``directions`` unless given (give the training rows' for rows held out).
    Raises ``ConfigError`` for another d_model, model or hook point, and for ``k`` below 1 or above the number of parts
    or of dimensions.

    >>> parts = torch.eye(16)[:6]
    >>> rows = torch.stack([parts[i] + parts[j] for i in range(6) for j in range(i)])  # 15 latents of two parts each
    >>> found = pursue(rows, parts, k=2, mean=torch.zeros(16))
    >>> found.uses.sum(1).tolist(), round(found.variance_explained, 3)
    ([2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], 1.0)
    """
    require_positive("k", k)
    require_one_space(directions, parts, ("the SAE of the directions", "the SAE of the parts"))
    rows = unit_rows(directions).double().cpu()
    atoms = unit_rows(parts, rows.shape[1]).double().cpu()
    if k > min(atoms.shape):
        raise ConfigError(f"k = {k} parts asked of {atoms.shape[0]} parts in {atoms.shape[1]} dimensions: lower k.")
    spread = variance_of(rows)
    middle = rows.mean(0) if mean is None else torch.as_tensor(mean).double().cpu()
    if middle.shape != rows.shape[1:] or not bool(torch.isfinite(middle).all()):
        raise ConfigError(f"mean must hold {rows.shape[1]} finite numbers, got shape {list(middle.shape)}.")
    centred = rows - middle
    coefficients = torch.cat([_pursue_block(part, atoms, k) for part in centred.split(_BLOCK)])
    left = (centred - coefficients @ atoms).square().sum()
    return Pursuit(coefficients.float(), float(1 - left / spread))


def _pursue_block(rows: torch.Tensor, atoms: torch.Tensor, k: int) -> torch.Tensor:
    """Coefficients ``[n_rows, n_parts]``."""
    from scipy.optimize import nnls

    left, chosen = rows.clone(), torch.zeros(len(rows), k, dtype=torch.int64)
    fitted, n_chosen = torch.zeros(len(rows), k, dtype=rows.dtype), torch.zeros(len(rows), dtype=torch.int64)
    for step in range(k):
        products = left @ atoms.T
        products.scatter_(1, chosen[:, :step], -1.0)  # those a row has are fitted: nothing of them is left
        best = products.max(1)
        going = ((best.values > _NOTHING) & (n_chosen == step)).nonzero()[:, 0]
        chosen[going, step], n_chosen[going] = best.indices[going], step + 1
        for i in going.tolist():
            support = atoms[chosen[i, : step + 1]].numpy()
            fitted[i, : step + 1] = torch.from_numpy(nnls(support.T, rows[i].numpy())[0])
        left[going] = rows[going] - torch.einsum("ik,ikd->id", fitted[going], atoms[chosen[going]])
    return torch.zeros(len(rows), len(atoms), dtype=rows.dtype).scatter_add_(1, chosen, fitted)


@takes(directions=Need.DIRECTIONS)
def principal_parts(directions: SAE[Any] | torch.Tensor, n: int, seed: int = 0) -> torch.Tensor:
    """The first n/2 principal components of the unit rows and their opposites, ``[n, d_model]``.

    Coefficients are never below zero, so each component needs both. Fewer where the rows span fewer dimensions, and one
    fewer for an odd ``n``. ``seed`` is not used: the answer has no chance in it. Raises ``ConfigError`` for ``n`` below
    1.

    >>> principal_parts(torch.eye(4), n=4).shape
    torch.Size([4, 4])
    """
    require_positive("n", n)
    rows = unit_rows(directions).double()
    _, values, components = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    half = components[: n // 2][values[: n // 2] > 1e-9 * values[0]].float()
    return torch.cat([half, -half])


@takes(directions=Need.DIRECTIONS)
def cluster_parts(directions: SAE[Any] | torch.Tensor, n: int, seed: int = 0) -> torch.Tensor:
    """Directions ``[n, d_model]`` from the mean to the centres of ``n`` clusters: scikit-learn's k-means on unit rows.

    ``directions`` is an SAE or a matrix ``[n_directions, d_model]``. Raises ``ConfigError`` for more clusters than
    rows.

    >>> import torch
    >>> parts = torch.eye(16)[:6]
    >>> rows = torch.stack([parts[i] + parts[j] for i in range(6) for j in range(i)])  # 15 latents of two parts each
    >>> cluster_parts(rows, n=6).shape
    torch.Size([6, 16])
    """
    from sklearn.cluster import KMeans

    rows = unit_rows(directions)
    _require_enough(n, len(rows))
    centres = (
        KMeans(n, n_init=1, random_state=require_seed("seed", seed) % 2**32)
        .fit(rows.double().cpu().numpy())
        .cluster_centers_
    )
    away = torch.from_numpy(centres) - rows.double().mean(0).cpu()
    return F.normalize(away, dim=1).float()


@takes(directions=Need.DIRECTIONS)
def drawn_parts(directions: SAE[Any] | torch.Tensor, n: int, seed: int = 0) -> torch.Tensor:
    """``n`` of the unit rows themselves, drawn without replacement and taken from the mean, ``[n, d_model]``.

    A row drawn rebuilds itself, which flatters this list in sample. Raises ``ConfigError`` for more than there are.

    >>> drawn_parts(torch.eye(4), n=3).shape
    torch.Size([3, 4])
    """
    rows = unit_rows(directions)
    _require_enough(n, len(rows))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:n].to(rows.device)
    return F.normalize(rows[order] - rows.mean(0), dim=1)


LISTS: dict[str, Callable[..., torch.Tensor]] = {
    "principal components": principal_parts,
    "cluster centres": cluster_parts,
    "rows drawn": drawn_parts,
}
"""Lists made of the directions themselves, by name: each takes (directions, n, seed)."""


@takes(directions=Need.DIRECTIONS)
def attribute_parts(directions: SAE[Any] | torch.Tensor, holds: torch.Tensor, ridge: float = 1.0) -> torch.Tensor:
    """The direction that each attribute value adds to a decoder direction, ``[n_facts, d_model]``: an oracle's list.

    ``holds`` ``[n_directions, n_facts]`` (bool) says of which facts each latent's entity is an example: the rows are
    fitted as a mean plus one direction for each fact that holds (ridge regression, so that facts that always go
    together share what they explain). Fitted to the rows that they are then judged on, with the truth in hand, they
    show what a short sum of single directions for facts can say; a list that has to find out starts from less. Raises
    ``ConfigError`` for tables of different length, and for facts that hold of no row or of all, which have no
    direction.

    >>> parts = torch.eye(16)[:6]
    >>> rows = torch.stack([parts[i] + parts[j] for i in range(6) for j in range(i)])  # 15 latents of two parts each
    >>> holds = torch.tensor([[f in (i, j) for f in range(6)] for i in range(6) for j in range(i)])
    >>> found = attribute_parts(rows, holds)
    >>> found.shape, found.argmax(1).tolist()  # each fact's direction is its part's
    (torch.Size([6, 16]), [0, 1, 2, 3, 4, 5])
    """
    rows = unit_rows(directions).double()
    if holds.shape[:1] != rows.shape[:1] or holds.ndim != 2:
        raise ConfigError(
            f"holds has shape {list(holds.shape)} for {len(rows)} directions: give a row of facts for each."
        )
    idle = (holds.all(0) | ~holds.any(0)).nonzero()[:, 0].tolist()
    if idle:
        raise ConfigError(f"{len(idle)} facts hold of no row or of all (column {idle[0]} first): leave them out.")
    x = holds.to(rows)
    x, y = x - x.mean(0), rows - rows.mean(0)
    weights = torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype, device=x.device), x.T @ y)
    return F.normalize(weights, dim=1).float()


def _require_enough(n: int, n_rows: int) -> None:
    require_positive("n", n)
    if n > n_rows:
        raise ConfigError(f"n ({n}) must not exceed the number of directions ({n_rows}).")
