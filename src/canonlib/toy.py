"""A planted dictionary: activations whose true features are known, for exact tests and first pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, require_positive

if TYPE_CHECKING:
    from sae_lens import SAE


@dataclass(frozen=True, eq=False)
class Planted:
    """Activations made of known features."""

    directions: torch.Tensor
    """[n_features, d_model] unit rows: the true features."""
    activations: torch.Tensor
    """[n_tokens, d_model]"""
    fires: torch.Tensor
    """[n_features] number of tokens that each feature is part of."""
    l0: float
    """Features in a token, on average."""


def planted(
    n_tokens: int = 100_000,
    n_features: int = 256,
    d_model: int = 64,
    l0: float = 5.0,
    skew: float = 0.5,
    noise: float = 0.0,
    seed: int = 0,
) -> Planted:
    """Sums of ``l0`` of ``n_features`` random directions on average, in ``d_model`` dimensions.

    Each feature is in a token or not by chance, independently, the i-th with a probability proportional to
    (i + 1)^-skew; where it is, its strength is 1 plus an exponential of mean 1/2. ``noise`` is the spread of Gaussian
    noise on every coordinate. More features than dimensions is what superposition means: no basis holds them, yet few
    enough at a time can be told apart (Elhage et al. 2022). Raises ``ConfigError`` for numbers that cannot work.
    """
    for field, value in (("n_tokens", n_tokens), ("n_features", n_features), ("d_model", d_model)):
        require_positive(field, value)
    rate = torch.arange(1, n_features + 1, dtype=torch.float64) ** -skew
    rate = rate * (l0 / rate.sum())
    if not 0 < float(rate.max()) < 1:
        raise ConfigError(
            f"l0 = {l0:g} features per token with skew {skew:g} gives the commonest a probability of "
            f"{float(rate.max()):.2f}: lower l0 or skew."
        )
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(n_features, d_model, generator=generator), dim=1)
    activations, fires = torch.empty(n_tokens, d_model), torch.zeros(n_features, dtype=torch.long)
    for rows in torch.arange(n_tokens).split(8_192):
        there = torch.rand(len(rows), n_features, generator=generator) < rate
        strength = 1 + 0.5 * torch.empty(len(rows), n_features).exponential_(generator=generator)
        activations[rows] = (there * strength) @ directions
        fires += there.sum(0)
    if noise:
        activations += noise * torch.randn(n_tokens, d_model, generator=generator)
    return Planted(directions, activations, fires, float(fires.sum()) / n_tokens)


def recovery(truth: Planted, sae: SAE[Any] | torch.Tensor) -> torch.Tensor:
    """Cosine of each true feature with the decoder direction nearest to it, ``[n_features]``; 1 is recovered."""
    from canonlib.compare import max_cosine

    return max_cosine(truth.directions, sae)
