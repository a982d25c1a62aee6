"""The fast trainer against SAELens's own: the same selection, losses, gradients and updates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import (
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer

from canonlib.sae import fast as fast_module
from canonlib.sae.fast import FastTrainer

D, N, B = 12, 40, 64


def untrained(kind: str, dtype: str = "float64", **more: Any) -> Any:
    fields: dict[str, Any] = {"d_in": D, "d_sae": N, "k": 4, "dtype": dtype, **more}
    torch.manual_seed(1)
    if kind == "topk":
        sae: Any = TopKTrainingSAE(TopKTrainingSAEConfig(**fields))
    elif kind == "batchtopk":
        sae = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**fields))
    else:
        sae = MatryoshkaBatchTopKTrainingSAE(
            MatryoshkaBatchTopKTrainingSAEConfig(**fields, matryoshka_widths=[8, 20, N])
        )
    with torch.no_grad():
        sae.W_dec.mul_(torch.linspace(0.5, 2.0, len(sae.W_dec), dtype=sae.dtype)[:, None])
        sae.b_enc.add_(0.1 * torch.randn_like(sae.b_enc))
        sae.b_dec.add_(0.3 * torch.randn_like(sae.b_dec))
        sae.b_enc[-9:] = -50.0  # dead from the start
    return sae


def trainer(kind: type, sae: Any, batches: Any, window: int = 3) -> Any:
    config = SAETrainerConfig(
        total_training_samples=30 * B, train_batch_size_samples=B, lr=3e-3, lr_end=3e-4, lr_warm_up_steps=3,
        lr_decay_steps=5, dead_feature_window=window, logger=LoggingConfig(log_to_wandb=False),
    )  # fmt: skip
    return kind(config, sae, data_provider=iter(batches))


def batches(dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(B, D, generator=generator, dtype=dtype) for _ in range(30)]


KINDS = ["topk", "batchtopk", "matryoshka"]


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_start_gives_the_same_loss_curve(kind: str, rescale: bool, subtract: bool) -> None:
    options = {"rescale_acts_by_decoder_norm": rescale, "apply_b_dec_to_input": subtract}
    ours, theirs = untrained(kind, **options), untrained(kind, **options)
    fast, slow = trainer(FastTrainer, ours, []), trainer(SAETrainer, theirs, [])
    revived = 0.0
    for batch in batches():
        a, b = fast.step(batch), slow.step(batch)
        fast.n_training_steps += 1
        slow.n_training_steps += 1
        assert a.losses.keys() == b.losses.keys()
        for name in a.losses:
            assert float(a.losses[name]) == pytest.approx(float(b.losses[name]), rel=1e-9, abs=1e-12), name
        assert float(a.loss) == pytest.approx(float(b.loss), rel=1e-9)
        torch.testing.assert_close(a.feature_acts.to_dense(), b.feature_acts.to_dense())
        torch.testing.assert_close(a.sae_out, b.sae_out)
        revived += float(a.losses["auxiliary_reconstruction_loss"])
    assert revived > 0, "the auxiliary loss never acted"
    fast.release()
    for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10, msg=name)
    torch.testing.assert_close(fast.act_freq_scores, slow.act_freq_scores)
    torch.testing.assert_close(fast.n_forward_passes_since_fired, slow.n_forward_passes_since_fired)


@pytest.mark.parametrize("kind", ["batchtopk", "matryoshka"])
def test_by_way_of_bfloat16_the_loss_curve_is_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("canonlib.sae.select.pays", lambda *_: asked.append(1) or True)
    ours, theirs = untrained(kind, "float32"), untrained(kind, "float32")
    fast, slow = trainer(FastTrainer, ours, []), trainer(SAETrainer, theirs, [])
    for batch in batches(torch.float32):
        a, b = fast.step(batch), slow.step(batch)
        assert float(a.loss.detach()) == pytest.approx(float(b.loss.detach()), rel=1e-4)
    assert len(asked) == 30


@pytest.mark.parametrize(("n_dead", "way"), [(9, "_dense"), (100, "_sparse")])
def test_the_auxiliary_loss_dense_and_sparse(n_dead: int, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few dead latents a large share is used (dense products), of many a small one (active entries)."""
    taken, method = [], getattr(fast_module, way)
    monkeypatch.setattr(fast_module, way, lambda *given: taken.append(way) or method(*given))
    ours, theirs = (untrained("batchtopk", d_in=4, d_sae=120) for _ in range(2))
    fast, slow = trainer(FastTrainer, ours, []), trainer(SAETrainer, theirs, [])
    for each in (fast, slow):
        each.n_forward_passes_since_fired[:n_dead] = 5
    batch = batches()[0][:, :4]
    a, b = fast.step(batch), slow.step(batch)
    assert taken == [way]
    assert float(a.losses["auxiliary_reconstruction_loss"].detach()) > 0
    assert float(a.loss) == pytest.approx(float(b.loss.detach()), rel=1e-9)
    fast.release()
    torch.testing.assert_close(ours.W_enc, theirs.W_enc, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(ours.W_dec, theirs.W_dec, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(ours.b_dec, theirs.b_dec, rtol=1e-8, atol=1e-12)
