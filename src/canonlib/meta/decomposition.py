"""What a latent is made of: its direction as a sum of meta-latents, and the latents that share a meta-latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from canonlib.errors import ConfigError, shown
from canonlib.meta.model import MetaSAE, meta_activations, unit_rows
from canonlib.sae.needs import Need, takes

if TYPE_CHECKING:
    from sae_lens import SAE


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A unit direction d as bias + Σ activation · meta-latent direction + residual, most active meta-latent first."""

    meta_latents: torch.Tensor
    """``[n_active]`` indices (int64), by falling activation; empty for a direction that no meta-latent fires on."""
    activations: torch.Tensor
    """``[n_active]`` activations, all above zero, in units of the (unit) direction's length."""
    residual_norm: float
    """Length of d - d̂: 0 is a perfect decomposition."""
    cosine_to_reconstruction: float
    """Cosine of d and d̂; 0 when d̂ is zero."""

    def __len__(self) -> int:
        return len(self.meta_latents)


class Users(NamedTuple):
    """Latents that use a meta-latent, by falling activation: ``latents`` ``[n_users]`` (int64), ``activations``."""

    latents: torch.Tensor
    activations: torch.Tensor


@torch.no_grad()
@takes(meta=Need.SUM, directions=Need.DIRECTIONS)
def decompose(
    meta: MetaSAE, latent: int | torch.Tensor, directions: SAE[Any] | torch.Tensor | None = None
) -> Decomposition:
    """Decompose a direction ``[d_model]`` (any length but zero), or the latent of that index in ``directions``.

    Raises ``ConfigError`` for an index without ``directions`` or out of their range, and for a direction that is zero,
    not finite or of another d_model.

    >>> from canonlib.meta import MetaConfig, train_meta_sae
    >>> parts = torch.eye(16)[:6]
    >>> rows = torch.stack([parts[i] + parts[j] for i in range(6) for j in range(i)])  # 15 latents of two parts each
    >>> meta = train_meta_sae(rows, MetaConfig(n_latents=6, k=2.0, steps=100, batch_size=15), progress=False)
    >>> found = decompose(meta, 0, rows)
    >>> len(found) > 0, found.cosine_to_reconstruction > 0.9
    (True, True)
    """
    direction = _direction(latent, directions)
    row = unit_rows(direction, int(meta.sae.cfg.d_in)).to(meta.sae.W_dec.device)
    active = meta.sae.encode(row)
    rebuilt = meta.sae.decode(active)[0].double()
    order = _falling(active[0])
    length = float(rebuilt.norm())
    return Decomposition(
        meta_latents=order,
        activations=active[0][order],
        residual_norm=float((row[0].double() - rebuilt).norm()),
        cosine_to_reconstruction=float(row[0].double() @ rebuilt) / length if length > 0 else 0.0,
    )


@torch.no_grad()
@takes(meta=Need.SUM, directions=Need.DIRECTIONS)
def users(meta: MetaSAE, directions: SAE[Any] | torch.Tensor, meta_latent: int) -> Users:
    """The latents (rows of ``directions``) that use ``meta_latent``: the inverse of ``decompose``.

    ``directions`` is an SAE or a matrix ``[n_latents, d_model]``. Raises ``ConfigError`` for a meta-latent out of range
    and for directions that do not suit the meta-SAE.

    >>> from canonlib.meta import MetaConfig, train_meta_sae
    >>> parts = torch.eye(16)[:6]
    >>> rows = torch.stack([parts[i] + parts[j] for i in range(6) for j in range(i)])  # 15 latents of two parts each
    >>> meta = train_meta_sae(rows, MetaConfig(n_latents=6, k=2.0, steps=100, batch_size=15), progress=False)
    >>> strongest = int(decompose(meta, 0, rows).meta_latents[0])
    >>> 0 in users(meta, rows, strongest).latents.tolist()
    True
    """
    _require_index("meta_latent", meta_latent, meta.n_latents)
    column = meta_activations(meta, directions)[:, meta_latent]
    order = _falling(column)
    return Users(order, column[order])


def _direction(latent: int | torch.Tensor, directions: SAE[Any] | torch.Tensor | None) -> torch.Tensor:
    """The direction as a matrix of one row, ``[1, d_model]``."""
    if isinstance(latent, np.ndarray):
        latent = torch.from_numpy(np.array(latent))
    if isinstance(latent, torch.Tensor):
        if latent.ndim != 1:
            raise ConfigError(
                f"a direction must have shape [d_model], got {list(latent.shape)}: decompose one at a time."
            )
        return latent.unsqueeze(0)
    if directions is None:
        raise ConfigError(f"latent {latent} is an index: give the directions it belongs to, or the direction itself.")
    rows = (directions if isinstance(directions, torch.Tensor) else directions.W_dec).detach()
    _require_index("latent", latent, len(rows))
    return rows[latent : latent + 1]


def _falling(activations: torch.Tensor) -> torch.Tensor:
    """Indices of the entries above zero, highest first, the lower index first among equals."""
    order = activations.argsort(descending=True, stable=True)
    return order[: int(torch.count_nonzero(activations))]


def _require_index(name: str, index: object, size: int) -> None:
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < size:
        raise ConfigError(f"{name} must be a whole number from 0 to {size - 1}, got {shown(index)}.")
