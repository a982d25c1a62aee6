"""The best dictionary of a given size that can be put together from the latents of several SAEs.

The authors' post calls an SAE made of latents of others a *Frankenstein SAE* (Bussmann et al. 2024, stitching). Finding
the best one is a search over subsets; here it is greedy with exchanges, from several starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.stitch.assembly import Part, combine
from canonlib.stitch.greedy import Greedy
from canonlib.stitch.running import Running, Source

_TRIED = 8
"""Members that are tried for an exchange, those first whose loss would raise the error least."""


@dataclass(frozen=True, eq=False)
class Frankenstein:
    """What the search found."""

    sae: Any
    """The dictionary as a SAELens SAE; its decoder bias is the best for the tokens of the search."""
    latents: tuple[tuple[int, ...], ...]
    """For each source the latents taken."""
    mse: float
    """Mean squared error per coordinate on the tokens of the search: use others to judge it."""
    l0: float
    start: int | None
    """Index of the source it grew from; None for an empty dictionary."""
    exchanges: int
    """Latents exchanged after the first full dictionary."""


def frankenstein(
    sources: Sequence[Source], budget: int, activations: Any, exchanges: int = 100, progress: bool = False
) -> Frankenstein:
    """A dictionary of at most ``budget`` latents drawn from all ``sources``, with a low MSE on ``activations``.

    From an empty dictionary, and from the largest source of at most ``budget`` latents, the latent that lowers the error
    most is added until the budget is spent or none does; then a member that is little missed gives way to the latent
    that helps most, up to ``exchanges`` times or until that does not help. The better of the two is returned: never
    worse than that source with its best decoder bias. Raises ``ConfigError`` for no sources and a budget below 1.
    """
    from tqdm.auto import tqdm

    require_positive("budget", budget)
    if not sources:
        raise ConfigError("frankenstein needs at least one source, got none.")
    fitting = [i for i, s in enumerate(sources) if len(s.rows) <= budget]
    starts = [None, *sorted(fitting, key=lambda i: len(sources[i].rows))[-1:]]
    found = [
        _grow(sources, start, budget, activations, exchanges)
        for start in tqdm(starts, desc="frankenstein", unit="start", disable=not progress)
    ]
    return min(found, key=lambda each: each.mse)


def _grow(sources: Sequence[Source], start: int | None, budget: int, activations: Any, exchanges: int) -> Frankenstein:
    running = Running(activations, None if start is None else sources[start])
    inside = [range(len(s.rows)) if i == start else range(0) for i, s in enumerate(sources)]
    greedy = Greedy(running, sources, inside)
    while running.size < budget:
        effect, number, latent = greedy.best()
        if effect >= 0:
            break
        greedy.move(number, latent)
    done = _exchange(greedy, exchanges) if running.size == budget else 0
    latents = tuple(tuple(np.flatnonzero(one.inside).tolist()) for one in greedy.candidates)
    parts = [Part(s.sae, chosen) for s, chosen in zip(sources, latents, strict=True) if chosen]
    if not parts:
        raise ConfigError("no latent of any source lowers the error on these activations: are they the SAEs' own?")
    bias = running.best_bias
    made = combine(parts, torch.from_numpy(bias).to(parts[0].sae.b_dec.device), operation="frankenstein")
    return Frankenstein(made, latents, running.mse(bias), running.l0, start, done)


def _exchange(greedy: Greedy, limit: int) -> int:
    """Exchange members for better latents; the number of exchanges that helped."""
    for done in range(limit):
        if not _exchange_one(greedy):
            return done
    return limit


def _exchange_one(greedy: Greedy) -> bool:
    """One exchange that lowers the error, among the members that are missed least; False when there is none."""
    before = greedy.running.mse(greedy.running.best_bias)
    for number, latent in greedy.least_missed(_TRIED):
        greedy.move(number, latent)
        effect, other, chosen = greedy.best()
        if (other, chosen) != (number, latent) and np.isfinite(effect):
            greedy.move(other, chosen)
            if greedy.running.mse(greedy.running.best_bias) < before * (1 - 1e-9):
                return True
            greedy.move(other, chosen)  # back as it was
        greedy.move(number, latent)
    return False
