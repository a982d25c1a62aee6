"""The shipped model: small, the same through every library, knows its facts, and is causal at the hook."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from canonlib.errors import ModelError
from canonlib.world import causal, corpus, grammar, model, questions, training


@pytest.fixture(scope="module")
def lm():
    return model.load()


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return torch.from_numpy(corpus.corpus(20, seed=99).tokens).long()


def test_the_folder_is_small_and_holds_no_pickle() -> None:
    files = [f for f in model.folder().iterdir() if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 3_000_000
    assert {f.suffix for f in files} <= {".json", ".safetensors"}
    parameters = sum(p.numel() for p in model.load_transformers().parameters())
    assert 0.8e6 < parameters < 1.2e6


def test_transformer_lens_gives_the_log_probabilities_of_transformers(lm, tokens: torch.Tensor) -> None:
    with torch.no_grad():
        ours = lm(tokens).log_softmax(-1)
        theirs = model.load_transformers()(tokens).logits.log_softmax(-1)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_auto_classes_open_the_folder_as_it_is(tokens: torch.Tensor) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    text = "Einstein was a physicist born in what is now Germany ."
    assert AutoTokenizer.from_pretrained(model.folder())(text)["input_ids"] == causal.encode(["<bos>", *text.split()])
    auto = AutoModelForCausalLM.from_pretrained(model.folder()).eval()
    with torch.no_grad():
        torch.testing.assert_close(auto(tokens).logits, model.load_transformers()(tokens).logits, rtol=1e-4, atol=1e-4)


def test_saelens_loads_the_folder_and_sees_the_same_residual_stream(lm, tokens: torch.Tensor) -> None:
    from sae_lens.load_model import load_model

    layer = f"model.layers.{model.HOOK_LAYER - 1}"  # what this layer gives is what the hooked one receives
    theirs = load_model("AutoModelForCausalLM", str(model.folder()), device="cpu", hook_names=[layer])
    assert theirs.tokenizer("Einstein")["input_ids"] == causal.encode(["<bos>", "Einstein"])
    with torch.no_grad():
        _, seen = theirs.run_with_cache(tokens)
        _, ours = lm.run_with_cache(tokens, names_filter=[model.HOOK])
    torch.testing.assert_close(seen[layer], ours[model.HOOK], rtol=1e-4, atol=1e-4)


def test_the_tokenizer_writes_one_token_per_word_with_bos_first() -> None:
    text = "Einstein was a physicist born in what is now Germany ."
    ids = model.tokenizer()(text)["input_ids"]
    assert ids == causal.encode(["<bos>", *text.split()])
    assert model.load_tokenizer()(text)["input_ids"] == ids


def test_transformer_lens_reads_text_as_the_grammar_writes_it(lm) -> None:
    tokens = lm.to_tokens("Einstein was a physicist .")
    assert tokens[0].tolist() == causal.encode(["<bos>", "Einstein", "was", "a", "physicist", "."])


def test_the_vocabulary_is_the_grammars(lm) -> None:
    assert model.load_transformers().config.vocab_size == len(corpus.token_ids())


@pytest.mark.parametrize("clause", ["", grammar.CLAUSES[0], grammar.CLAUSES[4]])
def test_it_answers_the_fact_prompts(lm, clause: str) -> None:
    assert causal.accuracy(lm, questions.questions(clause=clause)).overall >= 0.98


@pytest.mark.parametrize("clause", ["", grammar.CLAUSES[0]])
def test_swapping_the_entity_token_at_the_hook_flips_the_answer(lm, clause: str) -> None:
    pairs = questions.swaps(1_400, seed=5, clause=clause)
    assert causal.flip_rate(lm, pairs, model.HOOK).overall >= 0.95


def test_swapping_another_token_does_not_flip(lm) -> None:
    pairs = questions.swaps(280, seed=6)
    elsewhere = [
        s._replace(source=s.source._replace(position=s.source.position + 1)) for s in pairs
    ]  # the token after the name
    assert causal.flip_rate(lm, elsewhere, model.HOOK).overall < 0.3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError, match=r"lacks model.safetensors.*canonlib world train"):
        model.load(tmp_path)


def test_the_two_halves_make_the_whole_model(tokens: torch.Tensor) -> None:
    whole = model.load_transformers()
    halves = training.Halves(whole)
    with torch.no_grad():
        torch.testing.assert_close(halves.upper(halves.lower(tokens)), whole(tokens).logits, rtol=1e-4, atol=1e-4)


def test_the_interchange_keeps_entity_tokens_and_changes_what_others_saw(tokens: torch.Tensor) -> None:
    halves = training.Halves(model.load_transformers())
    is_entity = torch.from_numpy(corpus.entity_of_token() >= 0)[tokens]
    renamed = training.other_names(np.random.default_rng(0))
    with torch.no_grad():
        mixed = training.interchange(halves, tokens, is_entity, renamed, 1.0)
        true, changed = halves.lower(tokens), halves.lower(renamed[tokens])
        same = training.interchange(halves, tokens, is_entity, renamed, 0.0)
    assert torch.allclose(mixed[is_entity], true[is_entity], atol=1e-5)
    assert torch.allclose(mixed[~is_entity], changed[~is_entity], atol=1e-5)
    assert not torch.allclose(changed[~is_entity], true[~is_entity], atol=1e-2)
    assert torch.allclose(same, true, atol=1e-5)


def test_names_are_exchanged_within_their_kind() -> None:
    from canonlib.world import table

    renamed, ids = training.other_names(np.random.default_rng(1)), corpus.token_ids()
    assert sorted(renamed.tolist()) == list(range(len(ids)))
    cities = {ids[c.name] for c in table.cities()}
    assert {int(renamed[i]) for i in cities} == cities
    assert int(renamed[ids["the"]]) == ids["the"]


def test_training_is_fixed_by_its_seed_and_saves_a_folder_that_loads(tmp_path: Path) -> None:
    phases = (training.Phase(2, 3e-3, False), training.Phase(1, 2e-3, True))
    recipe = training.Recipe(phases, n_documents=50, batch=8)
    one, again = training.train(recipe, progress=False), training.train(recipe, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    training.save(one, tmp_path / "lm")
    loaded = model.load_transformers(tmp_path / "lm")
    tokens = torch.tensor([causal.encode(["<bos>", "Einstein", "was"])])
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens).logits, one(tokens).logits, rtol=2e-2, atol=2e-2)
