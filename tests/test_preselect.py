"""The bfloat16 search loses nothing: held against every score in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from canonlib.sae import select as select_module
from canonlib.sae.entries import Encoder
from canonlib.sae.preselect import Preselector, exact, pays
from canonlib.sae.select import Selector


def problem(
    n: int, d: int, tokens: int, seed: int, spread: float = 0.0, bias: float = 0.1
) -> tuple[torch.Tensor, Encoder]:
    """Random rows whose norms spread over ``spread`` powers of ten."""
    g = torch.Generator().manual_seed(seed)
    far = 10 ** (spread * (torch.rand(tokens, 1, generator=g) - 0.5))
    x = far * torch.randn(tokens, d, generator=g)
    encoder = Encoder(
        torch.randn(n, d, generator=g) / d**0.5, bias * torch.randn(n, generator=g), torch.rand(n, generator=g) + 0.5
    )
    return x, encoder


def scores(x: torch.Tensor, encoder: Encoder) -> torch.Tensor:
    w, b, s = (part.double() for part in encoder)
    return (x.double() @ w.T + b) * s


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 50), st.integers(0, 99), st.sampled_from([0.0, 2.0, 6.0]),
    st.sampled_from([0.0, 0.1, 30.0]), st.floats(0, 1),
)  # fmt: skip
def test_no_entry_above_the_threshold_is_lost(
    n: int, d: int, tokens: int, seed: int, spread: float, bias: float, quantile: float
) -> None:
    x, encoder = problem(n, d, tokens, seed, spread, bias)
    every = scores(x, encoder)
    threshold = max(0.0, float(every.flatten().quantile(quantile)))
    search = Preselector()
    search.round(x, encoder)
    found = search.above(threshold)
    assert torch.equal(found, found.unique())
    assert set((every.flatten() > threshold).nonzero()[:, 0].tolist()) <= set(found.tolist())


def test_little_is_found_that_is_not_above() -> None:
    x, encoder = problem(2000, 128, 300, 0)
    every = scores(x, encoder)
    threshold = float(every.flatten().quantile(0.99))
    search = Preselector()
    search.round(x, encoder)
    assert len(search.above(threshold)) < 1.15 * int((every > threshold).sum())


HALFWAY = 1 + 2**-8  # between the bfloat16 numbers 1 and 1 + 2**-7, and rounded to 1: the largest loss there is


@pytest.mark.parametrize("rounded", ["tokens", "latents", "bias"])
def test_rounding_at_its_worst(rounded: str) -> None:
    """One side loses all it can, the other nothing, and the score lies just above a bfloat16 number."""
    ones, lossy = torch.ones(1, 62), torch.full((1, 62), HALFWAY)
    ones[0, -1], lossy[0, -1] = -13 / 64, 1.0
    x, w, b = {
        "tokens": (lossy, ones, 0.0), "latents": (ones, lossy, 0.0), "bias": (-0.96875 * ones.round(), ones, 60.87)
    }[rounded]  # fmt: skip
    encoder = Encoder(w, torch.tensor([b]), torch.ones(1))
    score = float(scores(x, encoder))
    without_care = (x.bfloat16() @ w.bfloat16().T + torch.tensor(b).bfloat16()).bfloat16()
    threshold = 61.01 if rounded != "bias" else score - 2**-10
    assert float(without_care) < threshold < score
    search = Preselector()
    search.round(x, encoder)
    assert search.above(threshold).tolist() == [0]


def test_tiles_meet_and_a_smaller_batch_finds_nothing_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canonlib.sae.preselect._TOKENS", 7)
    monkeypatch.setattr("canonlib.sae.preselect._LATENTS", 5)
    search = Preselector()
    for n, d, tokens in ((23, 30, 20), (23, 30, 3), (9, 70, 4), (23, 28, 20)):
        x, encoder = problem(n, d, tokens, n)
        every = scores(x, encoder)
        search.round(x, encoder)
        found = search.above(0.5)
        assert set((every.flatten() > 0.5).nonzero()[:, 0].tolist()) <= set(found.tolist())
        assert every.flatten()[found].min() > 0.4


def test_exact_is_the_float32_product() -> None:
    x, encoder = problem(40, 96, 30, 1)
    flat = torch.arange(0, 1200, 7)
    expected = (x.double() @ encoder.weight.double().T).flatten()[flat]
    torch.testing.assert_close(exact(x, encoder, flat).double(), expected, rtol=1e-6, atol=1e-5)


def test_the_selection_is_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = {}
    for half in (False, True):
        monkeypatch.setattr(select_module, "pays", lambda *_, half=half: half)
        selector = Selector()
        ways[half] = [
            selector.over_batch(*problem(300, 64, 100, seed), n_active)
            for seed in range(3)
            for n_active in (1, 700, 10**5)
        ]
    for with_it, without in zip(ways[True], ways[False], strict=True):
        assert torch.equal(with_it.latent, without.latent)
        assert torch.equal(with_it.offsets, without.offsets)
        torch.testing.assert_close(with_it.value, without.value, rtol=1e-5, atol=1e-5)


def test_it_pays_for_large_float32_products_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canonlib.sae.preselect._has_amx", lambda: True)
    assert pays(torch.zeros(4, 128), 8192)
    assert not pays(torch.zeros(4, 128), 256)
    assert not pays(torch.zeros(4, 128, dtype=torch.float64), 8192)
    monkeypatch.setattr("canonlib.sae.preselect._has_amx", lambda: False)
    assert not pays(torch.zeros(4, 128), 8192)
