"""One meta-latent's case for the judge: latents to learn from, and latents held out to be tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from canonlib.errors import ConfigError, require_positive

Texts = tuple[str, ...]
"""A latent, as the texts in which it is most active."""


@dataclass(frozen=True)
class Case:
    """A meta-latent, told by the texts of the latents that use it."""

    meta_latent: int
    shown: tuple[Texts, ...]
    """Latents that use it, for the explanation, the strongest first."""
    held_out: tuple[Texts, ...]
    """Other latents, half of which use it, in random order."""
    uses: tuple[bool, ...]
    """Which of ``held_out`` use it."""


def build_cases(
    activations: torch.Tensor, contexts: Sequence[Sequence[str]], n_shown: int = 8, n_each: int = 5, seed: int = 0,
    groups: Sequence[int] | None = None,
) -> list[Case]:  # fmt: skip
    """Cases for the meta-latents with enough users, by falling number of users.

    ``activations`` ``[n_latents, n_meta]`` are those of the meta-latents on the latents' directions
    (``meta_activations``), ``contexts`` the texts of each latent (``top_contexts``); latents without a text (they never
    fire) are left out. ``groups`` ``[n_latents]`` says which latents are about one thing (an entity, say): of each
    group one latent at most is in a case, so that none is shown and held out; without it latents with the same texts
    are one group. Of the users of a meta-latent, ``n_each`` drawn at random are held out, the strongest ``n_shown`` of
    the others are shown, and as many latents that do not use it are drawn to be held out with them. A meta-latent needs
    at least ``n_each`` + 2 users, and as many latents that do not use it as are held out. Raises ``ConfigError`` for
    tables of different length and numbers below 1.

    >>> activations = (torch.arange(20) < 10).float()[:, None]  # one meta-latent, which the first ten latents use
    >>> texts = [[f"text {i}"] for i in range(20)]
    >>> (case,) = build_cases(activations, texts, n_shown=2, n_each=3)
    >>> len(case.shown), len(case.held_out), sum(case.uses)
    (2, 6, 3)
    """
    for field, value in (("n_shown", n_shown), ("n_each", n_each)):
        require_positive(field, value)
    if activations.ndim != 2 or len(activations) != len(contexts):
        raise ConfigError(
            f"contexts holds {len(contexts)} latents and activations has shape {list(activations.shape)}."
        )
    if groups is not None and len(groups) != len(contexts):
        raise ConfigError(f"groups holds {len(groups)} latents and contexts {len(contexts)}: name a group for each.")
    generator = torch.Generator().manual_seed(seed)
    told = torch.tensor([bool(texts) for texts in contexts])
    same = [tuple(texts) for texts in contexts] if groups is None else list(groups)
    cases = []
    for m in (activations > 0)[told].sum(0).argsort(descending=True, stable=True).tolist():
        users, others = ((told & using).nonzero()[:, 0] for using in (activations[:, m] > 0, activations[:, m] <= 0))
        users = _one_each(users[torch.randperm(len(users), generator=generator)], same, [])
        taken = [same[j] for j in (activations[:, m] > 0).nonzero()[:, 0].tolist()]
        others = _one_each(others[torch.randperm(len(others), generator=generator)], same, taken)[:n_each]
        if len(users) < n_each + 2 or len(others) < n_each:
            continue
        tested, rest = users[:n_each], users[n_each:]
        rest = rest[activations[rest, m].argsort(descending=True, stable=True)][:n_shown]
        mixed = torch.cat([tested, others])[torch.randperm(2 * n_each, generator=generator)].tolist()
        cases.append(
            Case(
                meta_latent=m,
                shown=tuple(tuple(contexts[j]) for j in rest.tolist()),
                held_out=tuple(tuple(contexts[j]) for j in mixed),
                uses=tuple(bool(activations[j, m] > 0) for j in mixed),
            )
        )
    return cases


def _one_each(latents: torch.Tensor, group: Sequence[object], taken: Sequence[object]) -> torch.Tensor:
    """The first latent of each group, in the order given, without the groups that are taken."""
    seen, kept = set(taken), []
    for j in latents.tolist():
        if group[j] not in seen:
            seen.add(group[j])
            kept.append(j)
    return torch.tensor(kept, dtype=torch.int64)
