"""What a meta-latent reads and writes, against sums by hand on the world's model."""

from __future__ import annotations

import pytest
import torch
from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig
from worldhelpers import small_tier

from canonlib import activations
from canonlib.activations import documents
from canonlib.errors import ConfigError
from canonlib.meta import MetaConfig, gather_evidence, meta_activations, output_words, readings, train_meta_sae
from canonlib.store import Store
from canonlib.world import corpus, model

WORDS = list(corpus.token_ids())


@pytest.fixture(scope="module")
def sae() -> StandardSAE:
    torch.manual_seed(0)
    made = StandardSAE(StandardSAEConfig(d_in=128, d_sae=24))
    made.W_dec.data *= torch.linspace(0.5, 2, 24)[:, None]
    return made


def test_readings_are_the_latents_activations_handed_on(sae: StandardSAE) -> None:
    meta = train_meta_sae(sae, MetaConfig(6, k=2, steps=20), progress=False)
    x = torch.randn(9, 128, generator=torch.Generator().manual_seed(1))
    shares, active = meta_activations(meta, sae), sae.encode(x).detach()
    found = readings(meta, sae, x)
    by_hand = sum(active[3, j] * sae.W_dec[j].detach().norm() * shares[j, 2] for j in range(24))
    assert float(found[3, 2]) == pytest.approx(float(by_hand), rel=1e-4, abs=1e-6)
    assert found.shape == (9, 6)


def test_a_direction_says_the_words_that_it_raises() -> None:
    lm = model.load()
    unembed = lm.W_U.detach() * lm.ln_final.weight.detach()[:, None]
    paris, tokyo = (WORDS.index(w) for w in ("Paris", "Tokyo"))
    for word in (paris, tokyo):
        (found,) = output_words(unembed[:, [word]].T, lm, WORDS, k=3)
        by_hand = (unembed[:, word] @ unembed)[: len(WORDS)].topk(3).indices
        assert found == [WORDS[i] for i in by_hand.tolist()]
        assert WORDS[word] in found
    with pytest.raises(ConfigError, match="d_model"):
        output_words(torch.eye(5), lm, WORDS)
    with pytest.raises(ConfigError, match="k is 99999"):
        output_words(torch.eye(128), lm, WORDS, k=99999)


def test_the_final_norms_weight_counts() -> None:
    from types import SimpleNamespace

    lm = SimpleNamespace(W_U=torch.eye(3), ln_final=SimpleNamespace(weight=torch.tensor([1.0, 10.0, 1.0])))
    direction = torch.tensor([[1.0, 0.5, 0.0]])
    assert output_words(direction, lm, ["a", "b", "c"], k=2) == [["b", "a"]]  # type: ignore[arg-type]
    norm = SimpleNamespace(W_U=torch.eye(3), cfg=SimpleNamespace(normalization_type="LNPre"))
    lifted = torch.tensor([[1.0, 1.0, 0.9]]) * torch.tensor([[1.0, -1.0, 1.0]])
    assert output_words(lifted, norm, ["a", "b", "c"], k=1) == [["a"]]  # type: ignore[arg-type]
    folded = SimpleNamespace(W_U=torch.eye(3))
    assert output_words(direction, folded, ["a", "b", "c"], k=2) == [["a", "b"]]  # type: ignore[arg-type]


def test_evidence_lists_users_texts_and_words(sae: StandardSAE, tmp_path: object) -> None:
    from pathlib import Path

    tier = small_tier()
    split = activations.harvest(tier, Store(Path(str(tmp_path))), progress=False).eval.only("entities")
    meta = train_meta_sae(sae, MetaConfig(6, k=2, steps=20), progress=False)
    found = gather_evidence(meta, sae, model.load(), split, documents(tier, "eval"), WORDS, k=3)
    shares = meta_activations(meta, sae)
    assert [e.meta_latent for e in found] == list(range(6))
    for evidence in found:
        column = shares[:, evidence.meta_latent]
        n = min(3, int((column > 0).sum()))
        assert set(evidence.users) == set(column.topk(n).indices.tolist())
        assert len(evidence.words) == 3
        assert all("<b>" in text for text in evidence.contexts)
    assert any(evidence.contexts for evidence in found)
