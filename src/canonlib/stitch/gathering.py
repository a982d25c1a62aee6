"""The best dictionary of a given size that can be put together from the latents of several SAEs.

The authors' post calls an SAE made of latents of others a *Frankenstein SAE* (Bussmann et al. 2024, stitching). Finding
the best one is a search over subsets; here it is greedy with exchanges, from several starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.stitch.assembly import Part, combine
from canonlib.stitch.mixture import Mixture
from canonlib.stitch.pooling import Pool

_TRIED = 8
"""Members that are tried for an exchange, those first whose loss would raise the error least."""


@dataclass(frozen=True, eq=False)
class Frankenstein:
    """What the search found."""

    sae: Any
    """The dictionary as a SAELens SAE; its decoder bias is the best for the tokens of the search."""
    latents: tuple[tuple[int, ...], ...]
    """For each SAE of the pool the latents taken."""
    mse: float
    """Mean squared error per coordinate on the tokens of the search: use others to judge it."""
    l0: float
    start: int | None
    """Index of the SAE it grew from; None for an empty dictionary."""
    exchanges: int
    """Latents exchanged after the first full dictionary."""


def frankenstein(pool: Pool, budget: int, exchanges: int = 100, progress: bool = False) -> Frankenstein:
    """A dictionary of at most ``budget`` latents drawn from all SAEs of the pool, with a low MSE on its tokens.

    From an empty dictionary, and from the largest SAE of at most ``budget`` latents, the latent that lowers the error
    most is added until the budget is spent or none does; when it is spent, a member that is little missed gives way to
    the latent that helps most, up to ``exchanges`` times or until that does not help. The better of the two is
    returned: never worse than that SAE with its best decoder bias. Raises ``ConfigError`` for a budget below 1, and
    when no SAE is small enough to begin with and no latent of any lowers the error.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> from canonlib.stitch import pool
    >>> rest = toy.planted_sae(truth, range(6, 12))
    >>> found = frankenstein(pool([small, rest], truth.activations), budget=8)
    >>> [len(taken) for taken in found.latents], found.sae.cfg.d_sae
    ([6, 2], 8)
    """
    from tqdm.auto import tqdm

    require_positive("budget", budget)
    fitting = [i for i, size in enumerate(pool.sizes()) if size <= budget]
    starts = [None, *sorted(fitting, key=lambda i: pool.sizes()[i])[-1:]]
    bar = tqdm(starts, desc="frankenstein", unit="start", disable=not progress)
    grown = [found for start in bar if (found := _grow(pool, start, budget, exchanges)) is not None]
    if not grown:
        raise ConfigError("no latent of any SAE lowers the error on these activations: are they the SAEs' own?")
    return min(grown, key=lambda each: each.mse)


def _grow(pool: Pool, start: int | None, budget: int, exchanges: int) -> Frankenstein | None:
    """What grows from one start; None when it stays empty."""
    mixture = Mixture(pool, start)
    while mixture.size < budget:
        effect, latent = _best(mixture)
        if effect >= 0:
            break
        mixture.change([latent])
    done = _exchange(mixture, exchanges) if mixture.size == budget else 0
    taken = [np.flatnonzero(mixture.inside[slice(*span)]).tolist() for span in pairwise(pool.starts)]
    parts = [Part(sae, chosen) for sae, chosen in zip(pool.saes, taken, strict=True) if chosen]
    if not parts:
        return None
    bias = torch.from_numpy(mixture.best_bias).to(parts[0].sae.b_dec.device)
    made = combine(parts, bias, operation="frankenstein")
    return Frankenstein(made, tuple(map(tuple, taken)), mixture.mse(), mixture.l0, start, done)


def _best(mixture: Mixture) -> tuple[float, int]:
    """Effect on the SSE and number of the best single insertion; the effect is infinite when there is none."""
    effects = np.where(~mixture.inside & (mixture.pool.fires > 0), mixture.effects(), np.inf)
    latent = int(effects.argmin())
    return float(effects[latent]), latent


def _exchange(mixture: Mixture, limit: int) -> int:
    """Exchange members for better latents; the number of exchanges that helped."""
    for done in range(limit):
        if not _exchange_one(mixture):
            return done
    return limit


def _exchange_one(mixture: Mixture) -> bool:
    """One exchange that lowers the error, among the members that are missed least; False when there is none."""
    before = mixture.mse()
    missed = np.where(mixture.inside, mixture.effects(), np.inf)
    for latent in np.argsort(missed, kind="stable")[: min(_TRIED, mixture.size)].tolist():
        mixture.change([latent])
        effect, chosen = _best(mixture)
        if chosen != latent and np.isfinite(effect):
            mixture.change([chosen])
            if mixture.mse() < before * (1 - 1e-9):
                return True
            mixture.change([chosen])  # back as it was
        mixture.change([latent])
    return False
