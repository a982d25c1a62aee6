"""Splits, replacement and adjacency, against brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from canonlib.errors import ConfigError
from canonlib.meta import (
    MetaConfig,
    MetaSAE,
    count_splits,
    meta_activations,
    parents,
    replace_parts,
    shared_part_overlap,
    split_tree,
    stack,
    train_meta_sae,
)

D = 16


def reads(n: int) -> MetaSAE:
    """A meta-SAE whose meta-latent m is active where coordinate m is above 0.3, and writes that coordinate."""
    rows = F.normalize(torch.randn(3 * n, D, generator=torch.Generator().manual_seed(0)), dim=1)
    meta = train_meta_sae(rows, MetaConfig(n, k=1, steps=1), progress=False)
    meta.sae.W_enc.copy_(torch.eye(D, n))
    meta.sae.W_dec.copy_(torch.eye(n, D))
    meta.sae.b_enc.zero_()
    meta.sae.b_dec.zero_()
    meta.sae.threshold.fill_(0.3)
    return meta


def sums(*parts: tuple[int, ...]) -> torch.Tensor:
    """Rows that are sums of coordinates."""
    return torch.stack([torch.eye(D)[list(p)].sum(0) for p in parts])


# Latent 0 of the small SAE is a; it splits into a+b, a+c and a. Latent 1 is d, and has one child, d+e. g is new.
A, B, C, DD, E, G = range(6)
SMALL, LARGE = sums((A,), (DD,)), sums((A, B), (A, C), (A,), (DD, E), (G,))


def test_parents_are_the_nearest_smaller_latents_that_are_close() -> None:
    family = stack({2: SMALL, 5: 3 * LARGE})
    assert family.sizes == (2, 5)
    assert parents(family).tolist() == [-1, -1, 0, 0, 0, 1, -1]
    assert parents(family, same=0.9).tolist() == [-1, -1, -1, -1, 0, -1, -1]


def test_a_tree_tells_what_each_child_adds() -> None:
    family = stack({2: SMALL, 5: LARGE})
    tree = split_tree(reads(6), family, 2, 0)
    assert (tree.size, tree.latent, list(tree.parts), tree.added, tree.dropped) == (2, 0, [A], (), ())
    assert [(c.latent, c.added, c.dropped) for c in tree.children] == [(0, (B,), ()), (1, (C,), ()), (2, (), ())]
    assert [n.latent for n in tree.walk()] == [0, 0, 1, 2]
    assert tree.children[0].parts[B] == pytest.approx(0.5**0.5)
    counts = count_splits(reads(6), family)
    assert (counts.n_splits, counts.n_children) == (1, 3)
    assert (counts.parts_before, counts.parts_after) == (1.0, pytest.approx(5 / 3))
    assert (counts.kept, counts.adding) == (1.0, pytest.approx(2 / 3))


def test_latents_left_out_have_no_place() -> None:
    family = stack(
        {2: SMALL, 5: LARGE}, {2: torch.tensor([True, False]), 5: torch.tensor([False, True, True, True, True])}
    )
    assert family.latent.tolist() == [0, 1, 2, 3, 4] and family.size.tolist() == [2, 5, 5, 5, 5]
    assert family.place(5, 2) == 2
    with pytest.raises(ConfigError, match="latent 0 of the SAE of 5 latents is not among the rows"):
        split_tree(reads(6), family, 5, 0)
    with pytest.raises(ConfigError, match="unknown size '7'"):
        family.of(7)
    with pytest.raises(ConfigError, match=r"alive\[2\] has shape \[3\]"):
        stack({2: SMALL}, {2: torch.ones(3, dtype=torch.bool)})
    with pytest.raises(ConfigError, match="alive has no entry for the SAE of 5 latents"):
        stack({2: SMALL, 5: LARGE}, {2: torch.ones(2, dtype=torch.bool)})
    with pytest.raises(ConfigError, match="at least one SAE"):
        stack({})
    with pytest.raises(ConfigError, match="d_model"):
        stack({2: SMALL, 5: LARGE[:, :8]})


def overlap_by_hand(meta: MetaSAE, rows: torch.Tensor, others: torch.Tensor, threshold: float) -> tuple[int, int, int]:
    uses = meta_activations(meta, rows) > 0
    near = F.normalize(rows, dim=1) @ F.normalize(others, dim=1).T >= threshold
    pairs = list(itertools.combinations(range(len(rows)), 2))
    shared = {p for p in pairs if (uses[p[0]] & uses[p[1]]).any()}
    close = {p for p in pairs if (near[p[0]] & near[p[1]]).any()}
    return len(shared), len(close), len(shared & close)


def test_overlap_counts_the_edges_of_both_graphs() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, others = torch.randn(60, D, generator=generator), torch.randn(12, D, generator=generator)
    meta = reads(D)
    found = shared_part_overlap(meta, rows, others)
    n_shared, n_near, n_common = overlap_by_hand(meta, rows, others, found.threshold)
    assert (found.n_edges, found.n_near, found.n_common) == (n_shared, n_near, n_common)
    assert abs(found.n_near - found.n_edges) < 0.05 * found.n_edges
    assert found.share == pytest.approx(2 * n_common / (n_shared + n_near))
    # Each edge of one graph is in the other with the other's density.
    expected = n_shared * n_near / (60 * 59 / 2)
    assert found.by_chance == pytest.approx(2 * expected / (n_shared + n_near))


def test_overlap_of_a_meta_sae_with_its_own_parts_is_whole() -> None:
    rows = sums(*[(i, j) for i, j in itertools.combinations(range(D), 2)])
    found = shared_part_overlap(reads(D), rows, torch.eye(D))
    assert found.share == 1.0 and found.n_common == found.n_edges == found.n_near
    with pytest.raises(ConfigError, match="no two of the 16 directions share a meta-latent"):
        shared_part_overlap(reads(D), torch.eye(D), torch.eye(D))


def test_replacing_parts_keeps_the_given_directions_and_retrains_the_rest() -> None:
    generator = torch.Generator().manual_seed(0)
    atoms = F.normalize(torch.randn(12, D, generator=generator), dim=1)
    holds = torch.zeros(300, 12).scatter_(1, torch.rand(300, 12, generator=generator).topk(3).indices, 1.0)
    rows = holds @ atoms + 0.05 * torch.randn(300, D, generator=generator)
    meta = train_meta_sae(rows, MetaConfig(12, k=3, steps=400, batch_size=300), progress=False)
    noise = torch.randn(40, D, generator=generator)
    own, same, random = (replace_parts(meta, rows, pool, 200, progress=False) for pool in (None, meta.sae.W_dec, noise))
    torch.testing.assert_close(own.sae.W_dec, meta.sae.W_dec)
    torch.testing.assert_close(same.sae.W_dec, meta.sae.W_dec)
    assert own.report.variance_explained == pytest.approx(same.report.variance_explained, abs=1e-6)
    assert own.report.variance_explained > meta.report.variance_explained - 0.02
    once = replace_parts(meta, rows, None, 1, progress=False)  # one step away from where the meta-SAE left off
    for name in ("W_enc", "b_enc", "b_dec"):
        assert float((getattr(once.sae, name) - getattr(meta.sae, name)).abs().max()) < 2 * meta.config.lr
    chosen = F.normalize(noise, dim=1)[(meta.sae.W_dec @ F.normalize(noise, dim=1).T).argmax(1)]
    torch.testing.assert_close(random.sae.W_dec, chosen)
    assert not torch.equal(random.sae.W_enc, meta.sae.W_enc)
    assert random.report.variance_explained < own.report.variance_explained - 0.1
    with pytest.raises(ConfigError, match="d_model"):
        replace_parts(meta, rows, noise[:, :8], 10, progress=False)
