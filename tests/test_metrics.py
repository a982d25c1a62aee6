from __future__ import annotations

import numpy as np
import pytest
import torch
from sae_lens.evals import ExplainedVarianceCalculator
from saehelpers import random_activations, random_sae

from canonlib.errors import ConfigError
from canonlib.sae.metrics import ce_loss_recovered, reconstruction
from canonlib.sae.streaming import blocks


def identity_pair() -> object:
    """Latents: max(x0, 0), max(x1 - 1, 0) and one that never fires; no decoder bias."""
    sae = random_sae("standard", d_sae=3, d_in=2)
    with torch.no_grad():
        sae.W_enc.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
        sae.b_enc.copy_(torch.tensor([0.0, -1.0, -5.0]))
        sae.W_dec.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]))
        sae.b_dec.zero_()
    return sae


def test_by_hand() -> None:
    # token    latents     reconstruction   residual
    # (1, 0)   1, 0, 0     (1, 0)           (0, 0)
    # (3, 2)   3, 1, 0     (3, 1)           (0, 1)
    # (-1, 4)  0, 3, 0     (0, 3)           (-1, 1)
    # L0 = (1 + 2 + 1) / 3; SSE = 0 + 1 + 2 = 3, MSE = 3 / 6
    # mean (1, 2); centred squares 4 + 0, 4 + 0, 4 + 4: 16; FVU = 3 / 16
    measured = reconstruction(identity_pair(), torch.tensor([[1.0, 0.0], [3.0, 2.0], [-1.0, 4.0]]))
    assert measured.l0 == pytest.approx(4 / 3)
    assert measured.mse == pytest.approx(0.5)
    assert measured.fvu == pytest.approx(3 / 16)
    assert measured.explained_variance == pytest.approx(13 / 16)
    assert measured.fires.tolist() == [2, 2, 0]
    assert measured.dead_fraction == pytest.approx(1 / 3)
    assert (measured.n_tokens, measured.n_latents) == (3, 3)
    assert measured.to_json()["fvu"] == measured.fvu and "fires" not in measured.to_json()


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated", "topk"])
def test_batch_size_does_not_matter(architecture: str) -> None:
    sae, x = random_sae(architecture, d_sae=30), random_activations(101)
    whole, pieces = reconstruction(sae, x), reconstruction(sae, x, batch_size=7)
    assert whole.to_json() == pytest.approx(pieces.to_json(), rel=1e-12)
    assert torch.equal(whole.fires, pieces.fires)
    if architecture == "topk":
        assert whole.l0 <= 3


def test_agrees_with_saelens() -> None:
    sae, x = random_sae("standard", d_sae=30), random_activations(101)
    theirs = ExplainedVarianceCalculator()
    for part in x.split(40):
        theirs.add_batch(sae(part).detach(), part)
    assert reconstruction(sae, x, batch_size=16).explained_variance == pytest.approx(theirs.compute(), rel=1e-9)


def test_large_mean_keeps_its_digits() -> None:
    # Σ|x|² is 1e14 times the variance here: a formula that subtracts n|mean|² from it loses everything.
    sae, x = random_sae("standard", d_sae=30), random_activations(50)
    shifted = x + 2.0**23
    exact = float((x - x.mean(0)).square().sum())
    measured = reconstruction(sae, shifted)
    sse = float((shifted - sae(shifted).detach()).square().sum())
    assert sse / measured.fvu == pytest.approx(exact, rel=1e-6)


def test_reads_a_memory_mapped_file(tmp_path) -> None:
    sae, x = random_sae("standard", d_sae=30, dtype="float32"), random_activations(64, dtype=torch.float32)
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert reconstruction(sae, mapped, batch_size=10).mse == pytest.approx(reconstruction(sae, x).mse, rel=1e-6)


def test_bad_activations() -> None:
    sae, x = random_sae("standard", d_sae=30), random_activations(20)
    with pytest.raises(ConfigError, match="0 tokens"):
        reconstruction(sae, x[:0])
    with pytest.raises(ConfigError, match="d_model = 11 .* d_in = 12"):
        reconstruction(sae, x[:, :11])
    with pytest.raises(ConfigError, match=r"got shape \[2, 10, 12\]"):
        reconstruction(sae, x.reshape(2, 10, 12))
    with pytest.raises(ConfigError, match="zero variance"):
        reconstruction(sae, x[:1].expand(20, -1))
    with pytest.raises(ConfigError, match="batch_size"):
        reconstruction(sae, x, batch_size=0)


def test_non_finite_activations_are_counted_and_located() -> None:
    sae, x = random_sae("standard", d_sae=30), random_activations(20)
    x[9, 4], x[9, 7], x[15, 0] = float("nan"), float("inf"), float("-inf")
    with pytest.raises(ConfigError, match="hold 3 non-finite .* token 9, coordinate 4"):
        reconstruction(sae, x, batch_size=6)


def test_ce_loss_recovered() -> None:
    assert ce_loss_recovered(clean=3.0, spliced=3.5, zeroed=8.0) == pytest.approx(0.9)  # (8 - 3.5) / (8 - 3)
    assert ce_loss_recovered(clean=3.0, spliced=3.0, zeroed=8.0) == 1.0
    assert ce_loss_recovered(clean=3.0, spliced=9.0, zeroed=8.0) < 0
    with pytest.raises(ConfigError, match="undefined"):
        ce_loss_recovered(clean=3.0, spliced=3.5, zeroed=3.0)
    with pytest.raises(ConfigError, match="spliced CE loss is nan"):
        ce_loss_recovered(clean=3.0, spliced=float("nan"), zeroed=8.0)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 9])
def test_blocks_cover_every_token_once(n: int) -> None:
    x = torch.arange(2.0 * n).reshape(n, 2)
    taken = list(blocks(x, 4))
    assert torch.equal(torch.cat(taken), x)
    assert max(len(b) for b in taken) <= 4
