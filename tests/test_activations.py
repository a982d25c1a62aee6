"""Harvested rows are the model's residual stream at the right tokens, and splits do not share documents' seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from worldhelpers import small_tier

from canonlib import activations
from canonlib.errors import ConfigError, ModelError
from canonlib.store import Store
from canonlib.world import corpus, model, table


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def data(store: Store) -> activations.Activations:
    return activations.harvest(small_tier(), store, progress=False)


def test_rows_are_the_residual_stream_without_bos(data: activations.Activations) -> None:
    tier, lm = small_tier(), model.load_transformers()
    tokens = activations.documents(tier, "eval")
    with torch.no_grad():
        hidden = lm(tokens, output_hidden_states=True).hidden_states[model.HOOK_LAYER]
    split = data.eval
    assert len(split) == tier.eval_documents * (tier.context - 1)
    assert (split.position > 0).all()
    where = split.document.long(), split.position.long()
    torch.testing.assert_close(split.activations, hidden[where], rtol=1e-4, atol=1e-4)
    assert torch.equal(split.token.long(), tokens[where])


def test_entity_column_names_the_token(data: activations.Activations) -> None:
    words = list(corpus.token_ids())
    mentions = data.train.only("entities")
    assert 0.05 < len(mentions) / len(data.train) < 0.2
    for token, entity in zip(mentions.token[:100].tolist(), mentions.entity[:100].tolist(), strict=True):
        assert words[token] == table.entities()[entity].name


def test_splits_differ_and_the_second_harvest_is_reused(data: activations.Activations, store: Store) -> None:
    tier = small_tier()
    assert not torch.equal(activations.documents(tier, "train")[:40], activations.documents(tier, "eval"))
    assert activations.harvest(tier, store, progress=False).artefact.reused
    assert activations.harvest(small_tier(seed=1), store, progress=False).key != data.key


def test_activations_are_memory_mapped_from_one_shard(data: activations.Activations) -> None:
    assert [f for f in data.artefact.manifest["files"] if f.startswith("eval")] == ["eval-00000.safetensors"]
    assert data.eval.activations.dtype == torch.float32


def test_an_unknown_hook_split_or_model_is_named(data: activations.Activations, store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown hook 'blocks.9.hook_resid_pre'"):
        activations.harvest(small_tier(hook="blocks.9.hook_resid_pre"), store, progress=False)
    with pytest.raises(ConfigError, match="unknown split 'test'"):
        data.split("test")
    with pytest.raises(ConfigError, match="only 'embedded' works"):
        activations.harvest(small_tier(model="gpt2"), store, progress=False)
    with pytest.raises(ModelError, match=r"lacks config.json.*canonlib world train"):
        model.load(tmp_path)
