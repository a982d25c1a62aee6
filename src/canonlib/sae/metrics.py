"""How well an SAE reconstructs: L0, MSE, FVU, dead latents and CE loss recovered, each defined once.

For tokens t = 1..n with activations x_t (d_model coordinates), reconstructions x̂_t and latent activations f_t:

* L0 = (1/n) Σ_t #{j : f_j(t) ≠ 0}
* MSE = Σ_t |x_t - x̂_t|² / (n · d_model): the mean over tokens and coordinates
* FVU = Σ_t |x_t - x̂_t|² / Σ_t |x_t - x̄|², x̄ the mean activation: the conventional fraction of variance unexplained,
  residual over mean-centred variance summed over coordinates (SAELens ``evals.ExplainedVarianceCalculator`` reports
  one minus it; SAEBench pull 61 tells it from the older mean of per-token ratios)
* dead fraction = share of latents with f_j(t) = 0 on all n tokens
* CE loss recovered: see ``ce_loss_recovered``
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, note
from canonlib.sae.doubts import doubt
from canonlib.sae.needs import Need, takes
from canonlib.sae.outliers import Outliers
from canonlib.sae.streaming import blocks, decoded, encoded, require_activations, require_sums

if TYPE_CHECKING:
    from sae_lens import SAE


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What ``reconstruction`` measured on ``n_tokens`` tokens; the formulas stand in the module's docstring.

    ``mse`` is in squared activation units per coordinate; ``fires`` ``[n_latents]`` counts the tokens on which each
    latent is active.
    """

    l0: float
    mse: float
    fvu: float
    dead_fraction: float
    n_tokens: int
    fires: torch.Tensor
    fvu_ordinary: float = math.nan
    """FVU on the tokens that are no outliers of norm (see ``canonlib.sae.outliers``); equal to ``fvu`` without any."""
    n_outliers: int = 0

    @property
    def explained_variance(self) -> float:
        """1 - FVU."""
        return 1.0 - self.fvu

    @property
    def n_latents(self) -> int:
        """Dictionary size."""
        return int(self.fires.shape[0])

    def to_json(self) -> dict[str, float | int | None]:
        """The scalar figures as JSON-ready numbers (``fires`` belongs in a safetensors file)."""
        return {
            "n_latents": self.n_latents,
            "l0": self.l0,
            "mse": self.mse,
            "fvu": self.fvu,
            "explained_variance": self.explained_variance,
            "dead_fraction": self.dead_fraction,
            "n_tokens": self.n_tokens,
            "fvu_ordinary": None if math.isnan(self.fvu_ordinary) else self.fvu_ordinary,
            "n_outliers": self.n_outliers,
        }


class _Errors:
    """Σ|x - x̂|² and Σ|x - x̄|² over a stream, in float64.

    Sums are taken about ``origin`` ``[d_model]``, one of the tokens, rather than about zero: with a mean much larger than
    the spread, Σ|x|² and n|x̄|² agree in most of their digits, and their difference would keep few.
    """

    def __init__(self) -> None:
        self.total: torch.Tensor | float = 0.0
        self.squared_error = self.squares = 0.0
        self.n = 0

    def add(self, x: torch.Tensor, rebuilt: torch.Tensor, origin: torch.Tensor) -> None:
        self.squared_error += float((x - rebuilt.double()).square().sum())
        shifted = x - origin
        self.total = self.total + shifted.sum(0)
        self.squares += float(shifted.square().sum())
        self.n += len(x)

    def with_also(self, other: _Errors) -> _Errors:
        both = _Errors()
        both.total, both.n = self.total + other.total, self.n + other.n
        both.squared_error, both.squares = self.squared_error + other.squared_error, self.squares + other.squares
        return both

    def spread(self) -> float:
        return self.squares - float(torch.as_tensor(self.total).square().sum()) / self.n

    def fvu(self) -> float:
        return self.squared_error / self.spread()


@torch.no_grad()
@takes(sae=Need.ACTIVATIONS)
def reconstruction(
    sae: SAE[Any], activations: Any, batch_size: int = 8192, max_norm: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> Reconstruction:  # fmt: skip
    """Measure ``sae`` on ``activations`` ``[n_tokens, d_model]`` (a tensor or array, memory-mapped or not).

    Streams ``batch_size`` tokens at a time and sums in float64, so the answer does not depend on the batch size
    beyond rounding. Any SAELens SAE will do, its own input scaling included. max_norm: leave out tokens whose norm is
    more than this many times the median; without it all count, and ``fvu_ordinary`` says how those fare that are within
    ten times. tell: is called with what the reader should know (by default a ``UserWarning``): activations that do not
    look like those the SAE was trained on (``canonlib.sae.doubts``), and outliers that outweigh all others.

    Raises ``ConfigError`` for no tokens, a wrong ``d_model``, activations that are not finite, and activations without
    variance (FVU is undefined there).

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> found = reconstruction(large, truth.activations)
    >>> found.n_latents, found.dead_fraction, found.fvu < reconstruction(small, truth.activations).fvu
    (12, 0.0, True)
    """
    require_activations(activations, sae.cfg.d_in)
    fires = torch.zeros(sae.cfg.d_sae, dtype=torch.long, device=sae.W_dec.device)
    outliers, near, far = Outliers(activations, max_norm), _Errors(), _Errors()
    origin: torch.Tensor | None = None
    for block in blocks(activations, batch_size, sae.W_dec.device):
        for sums, rows in zip((near, far), outliers.split(block), strict=True):
            if rows is None or not len(rows):
                continue
            latents, exact = encoded(sae, rows), rows.double()
            origin = exact[0].clone() if origin is None else origin
            sums.add(exact, decoded(sae, latents), origin)
            fires += torch.count_nonzero(latents, dim=0)
    outliers.require_some()
    every = near.with_also(far) if far.n else near
    require_sums(every.spread(), every.squared_error)
    if every.spread() <= 0.0:
        raise ConfigError(
            f"activations have zero variance (all {every.n} tokens are the same), so FVU is undefined: "
            "give at least two different tokens."
        )
    ordinary = near.fvu() if near.n and near.spread() > 0 else math.nan
    found = Reconstruction(
        l0=int(fires.sum()) / every.n,
        mse=every.squared_error / (every.n * sae.cfg.d_in),
        fvu=every.fvu(),
        dead_fraction=int((fires == 0).sum()) / len(fires),
        n_tokens=every.n,
        fires=fires.cpu(),
        fvu_ordinary=ordinary,
        n_outliers=outliers.n_far,
    )
    outliers.tell("FVU and MSE", f" (FVU is {found.fvu:.3g} with them, {ordinary:.3g} on the others)", tell)
    if told := doubt(found, sae):
        note(told, tell)
    return found


def ce_loss_recovered(clean: float, spliced: float, zeroed: float) -> float:
    """(zeroed - spliced) / (zeroed - clean): 1 is the model's own loss, 0 that of a zero-ablated hook point.

    ``clean`` is the model's mean next-token cross-entropy in nats, ``spliced`` the same with the SAE's reconstruction
    in place of the activations, ``zeroed`` with zeros in their place ('loss recovered' of Rajamanoharan et al. 2024,
    arXiv 2404.16014; SAEBench's ``ce_loss_score``). Raises ``ConfigError`` when a loss is not finite or when zeroing
    does not raise the loss, for then the scale has no length.

    >>> ce_loss_recovered(clean=2.0, spliced=2.5, zeroed=4.0)
    0.75
    """
    for name, value in (("clean", clean), ("spliced", spliced), ("zeroed", zeroed)):
        if not math.isfinite(value):
            raise ConfigError(f"the {name} CE loss is {value}: look for overflow or an empty batch.")
    if zeroed <= clean:
        raise ConfigError(
            f"zero ablation gives a CE loss of {zeroed}, no higher than the clean {clean}: CE loss recovered is "
            "undefined. Check the hook point and that both losses come from the same tokens."
        )
    return (zeroed - spliced) / (zeroed - clean)
