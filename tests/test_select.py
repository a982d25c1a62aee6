"""Selection and gradients on active entries, against sorting everything and autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from canonlib.sae import select as select_module
from canonlib.sae.entries import Encoder, Entries
from canonlib.sae.gradients import Decoded, Gradients, backward, by_latent
from canonlib.sae.select import Selector


def problem(n: int = 30, d: int = 6, tokens: int = 50, seed: int = 0) -> tuple[torch.Tensor, Encoder]:
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(n, d, generator=g, dtype=torch.float64)
    encoder = Encoder(
        weight, torch.randn(n, generator=g, dtype=torch.float64), torch.rand(n, generator=g).double() + 0.5
    )
    return torch.randn(tokens, d, generator=g, dtype=torch.float64), encoder


def scores(x: torch.Tensor, encoder: Encoder) -> torch.Tensor:
    return (x @ encoder.weight.T + encoder.bias) * encoder.scale


def dense(entries: Entries, shape: torch.Size) -> torch.Tensor:
    out = torch.zeros(shape, dtype=entries.score.dtype)
    out[entries.token, entries.latent] = entries.score
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 400), st.integers(0, 5))
def test_over_a_batch_it_is_the_largest_of_all(n: int, tokens: int, wanted: int, seed: int) -> None:
    x, encoder = problem(n, 3, tokens, seed)
    selector, every = Selector(), scores(x, encoder)
    for _ in range(2):  # the second time with a running threshold
        entries = selector.over_batch(x, encoder, wanted) if wanted else None
        if entries is None:
            return
        positive = every.relu().flatten()
        top = positive.topk(min(wanted, positive.numel()))
        expected = torch.zeros_like(positive).scatter(0, top.indices, top.values).reshape(every.shape)
        torch.testing.assert_close(dense(entries, every.shape), expected)


def test_a_threshold_that_was_right_for_other_data_costs_time_alone() -> None:
    x, encoder = problem()
    selector = Selector()
    selector.over_batch(100 * x, encoder, 20)
    for factor in (1.0, 0.01, 1e-9, 50.0):
        entries = selector.over_batch(factor * x, encoder, 200)
        assert len(entries.latent) == 200
        fresh = Selector().over_batch(factor * x, encoder, 200)
        assert torch.equal(entries.latent, fresh.latent)
        assert torch.equal(entries.value, fresh.value)


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize("negative", [False, True])
def test_per_token_it_is_the_largest_of_each(rows: int, negative: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select_module, "_MIN_ROWS", rows)
    monkeypatch.setattr(select_module, "_BLOCK_BYTES", 1)
    x, encoder = problem()
    entries, every = Selector().per_token(x, encoder, 5, negative), scores(x, encoder)
    top = every.topk(5, dim=1)
    values = top.values if negative else top.values.relu()
    torch.testing.assert_close(dense(entries, every.shape), torch.zeros_like(every).scatter(1, top.indices, values))


def test_equal_scores_are_never_more_than_k() -> None:
    x = torch.ones(9, 4, dtype=torch.float64)
    encoder = Encoder(torch.ones(12, 4).double(), torch.zeros(12).double(), torch.ones(12).double())
    assert Selector().per_token(x, encoder, 3).offsets.diff().tolist() == [3] * 9
    assert len(Selector().over_batch(x, encoder, 20).latent) == 20


def test_gradients_are_autograds() -> None:
    x, encoder = problem()
    entries = Selector().over_batch(x, encoder, 120)
    w_dec = torch.randn(30, 6, dtype=torch.float64)
    target = torch.randn(50, 6, dtype=torch.float64)
    decoded, out = Decoded(entries, w_dec), Gradients.zeros(30, w_dec)
    difference = decoded.out - target
    out.w_dec.fill_(7.0)  # what was there before must not show
    backward(entries, decoded, x, difference, 2.0, out)
    weight, bias, dec = (t.clone().requires_grad_() for t in (encoder.weight, encoder.bias, w_dec))
    chosen = torch.zeros(50, 30, dtype=torch.float64)
    chosen[entries.token, entries.latent] = 1.0
    loss = ((((x @ weight.T + bias) * chosen) @ dec - target) ** 2).sum()
    for ours, theirs in zip(
        (out.w_enc, out.b_enc, out.w_dec), torch.autograd.grad(loss, (weight, bias, dec)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_by_latent_is_the_transpose() -> None:
    x, encoder = problem()
    entries = Selector().per_token(x, encoder, 4)
    columns = by_latent(entries, 30)
    token, latent = entries.token[columns.order.long()], entries.latent[columns.order.long()]
    assert torch.equal(token, columns.token.long())
    assert torch.equal(latent, latent.sort().values)
    assert torch.equal(columns.offsets.long().diff(), torch.bincount(entries.latent, minlength=30))
