"""A planted dictionary: activations whose true features are known, for exact tests and first pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.sae.needs import Need, takes

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

    >>> truth = planted(n_tokens=1_000, n_features=12, d_model=32, l0=2.0)
    >>> truth.activations.shape, round(truth.l0)
    (torch.Size([1000, 32]), 2)
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


def planted_sae(truth: Planted, features: Iterable[int], bias: float = -0.5) -> SAE[Any]:
    """A ReLU SAE that knows some of the true features without any training: a latent for each, in that order.

    Encoder and decoder of a latent are its feature's direction, ``bias`` is the encoder's, so that a feature's strength
    comes out lower by as much and what other features have in common with it stays below zero. For examples and tests
    in which the right answer is plain. Raises ``ConfigError`` for no features and for one that is not planted.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=1_000, n_features=12, d_model=32, l0=2.0)
    >>> sae = toy.planted_sae(truth, range(4))
    >>> sae.cfg.d_sae, [round(cosine, 3) for cosine in toy.recovery(truth, sae)[:4].tolist()]
    (4, [1.0, 1.0, 1.0, 1.0])
    """
    from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig

    n_features, d_model = truth.directions.shape
    chosen = list(features)
    if not chosen or not all(0 <= i < n_features for i in chosen):
        raise ConfigError(f"features must name some of 0 to {n_features - 1}, got {chosen}.")
    sae: SAE[Any] = StandardSAE(StandardSAEConfig(d_in=d_model, d_sae=len(chosen)))
    rows = truth.directions[chosen]
    sae.load_state_dict(
        {"W_enc": rows.T.clone(), "b_enc": torch.full((len(chosen),), bias), "W_dec": rows.clone(),
         "b_dec": torch.zeros(d_model)}
    )  # fmt: skip
    return sae


@takes(sae=Need.DIRECTIONS)
def recovery(truth: Planted, sae: SAE[Any] | torch.Tensor) -> torch.Tensor:
    """Cosine of each true feature with the decoder direction nearest to it, ``[n_features]``; 1 is recovered.

    >>> truth = planted(n_tokens=1_000, n_features=12, d_model=32, l0=2.0)
    >>> [round(cosine, 2) for cosine in recovery(truth, planted_sae(truth, range(4))).tolist()[:5]]
    [1.0, 1.0, 1.0, 1.0, 0.1]
    """
    from canonlib.compare import max_cosine

    return max_cosine(truth.directions, sae)
