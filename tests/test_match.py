"""Matching latents to facts against hand-computed scores and a plain loop."""

from __future__ import annotations

import pytest
import torch

from canonlib.errors import ConfigError
from canonlib.world import match
from canonlib.world.match import match_facts, own_share

FIRES = torch.tensor([[1, 0, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
LABELS = torch.tensor([[1, 0], [0, 0], [1, 0], [1, 0]], dtype=torch.bool)


def random_tables(seed: int = 0, density: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    fires = torch.rand(101, 13, generator=generator) < density
    return fires, torch.rand(101, 7, generator=generator) < 0.4


def loop(fires: torch.Tensor, labels: torch.Tensor) -> list[list[tuple[float, float, float]]]:
    """Precision, recall and F1 of every pair, item by item."""
    table = []
    for latent in fires.T.tolist():
        row = []
        for fact in labels.T.tolist():
            tp = sum(a and b for a, b in zip(latent, fact))
            precision = tp / sum(latent) if any(latent) else 0.0
            recall = tp / sum(fact) if any(fact) else 0.0
            row.append((precision, recall, 2 * precision * recall / (precision + recall) if tp else 0.0))
        table.append(row)
    return table


def test_scores_are_those_worked_out_by_hand() -> None:
    found = match_facts(FIRES, LABELS)
    # Latent 0 fires on items 0, 1, 2, fact 0 holds of 0, 2, 3: two in common. Latent 1 and fact 1 are empty.
    assert found.precision.tolist() == [[2 / 3, 0], [0, 0], [1 / 2, 0]]
    assert found.recall.tolist() == [[2 / 3, 0], [0, 0], [1 / 3, 0]]
    assert found.f1.tolist() == [[2 / 3, 0], [0, 0], [2 / 5, 0]]
    assert found.fires.tolist() == [3, 0, 2]
    assert found.holds.tolist() == [3, 0]


@pytest.mark.parametrize("block", [1, 10, 8192])
@pytest.mark.parametrize("density", [0.002, 0.3])
def test_scores_equal_a_loop_whatever_the_block_and_the_density(block: int, density: float) -> None:
    fires, labels = random_tables(density=density)
    found = match_facts(fires, labels, block=block)
    got = torch.stack([found.precision, found.recall, found.f1], dim=2)
    torch.testing.assert_close(got, torch.tensor(loop(fires, labels), dtype=torch.float64), rtol=1e-12, atol=0)


def test_sparse_and_dense_counting_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    fires, labels = random_tables()
    dense = match_facts(fires, labels).true_positives
    monkeypatch.setattr(match, "_dense_counts", None)
    monkeypatch.setattr(match, "SPARSE_BELOW", 1.1)
    assert torch.equal(match_facts(fires, labels).true_positives, dense)


def test_the_best_partner_of_each_side_is_the_first_of_equals() -> None:
    fires = torch.tensor([[1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    labels = torch.tensor([[1, 0], [0, 1]], dtype=torch.bool)
    found = match_facts(fires, labels)
    assert found.best_per_latent().index.tolist() == [0, 0, 1]
    assert found.best_per_fact().index.tolist() == [0, 2]
    assert found.best_per_fact().value.tolist() == [1.0, 1.0]
    assert found.best_per_fact().value.dtype == torch.float64


def test_own_share_counts_facts_strictly_above_the_threshold() -> None:
    f1 = torch.tensor([[0.7, 0.2, 0.9, 0.1], [0.1, 0.71, 0.8, 0.0]], dtype=torch.float64)
    assert own_share(f1) == 0.5
    assert own_share(f1, threshold=0.5) == 0.75


def test_bad_tables_are_named() -> None:
    with pytest.raises(ConfigError, match=r"fires must be a bool tensor, got torch\.float32"):
        match_facts(FIRES.float(), LABELS)
    with pytest.raises(ConfigError, match="labels must be a bool tensor"):
        match_facts(FIRES, LABELS.int())
    with pytest.raises(ConfigError, match="fires holds 4 items and labels 3"):
        match_facts(FIRES, LABELS[:3])
    with pytest.raises(ConfigError, match=r"fires must be \[n_items, n_latents\]"):
        match_facts(FIRES[:0], LABELS[:0])
    with pytest.raises(ConfigError, match="block must be"):
        match_facts(FIRES, LABELS, block=0)
    with pytest.raises(ConfigError, match="threshold must lie in"):
        own_share(torch.zeros(2, 2), threshold=1.0)
    with pytest.raises(ConfigError, match="with entries"):
        own_share(torch.zeros(0, 2))
