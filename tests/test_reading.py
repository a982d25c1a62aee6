"""Texts are read as the SAE's metadata say: how the model is opened, what stands in front, which tokens count."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from saehelpers import random_sae

from canonlib.activations import Split, residual_stream
from canonlib.contexts import top_contexts
from canonlib.errors import ConfigError
from canonlib.explore import opening, own, reading
from canonlib.meta import MetaConfig, train_meta_sae

D, HOOK = 12, "blocks.2.hook_resid_pre"
UNK, EOS, BOS, PAD = range(4)
WORDS = ["<unk>", "<eos>", "<bos>", "<pad>", *(f"w{i}" for i in range(30))]
SPECIAL: dict[str, dict[str, str]] = {
    "bos": {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"},
    "no_bos": {"eos_token": "<eos>", "unk_token": "<unk>"},
    "one_for_both": {"bos_token": "<eos>", "eos_token": "<eos>", "unk_token": "<unk>"},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small GPT-2 with random weights, beside three tokenizers: a ``<bos>``, none, and one that is ``<eos>`` too."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(WORDS), n_positions=32, n_embd=D, n_layer=3, n_head=2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    place, found = tmp_path_factory.mktemp("models"), {}
    for name, special in SPECIAL.items():
        words = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
        words.pre_tokenizer = WhitespaceSplit()
        PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(place / name)
        model.save_pretrained(place / name)
        found[name] = place / name
    return found


def sae_with(**metadata: Any) -> Any:
    """An SAE whose metadata say so."""
    return random_sae("standard", 9, D, dtype="float32", metadata=metadata)


def read(models: dict[str, Path], name: str, texts: list[str], context: int | None = None, **metadata: Any) -> Any:
    """The texts as ``canonlib explore`` reads them, and the model."""
    sae = sae_with(**metadata)
    lm = opening.open_model(str(models[name]), sae, tell=lambda told: None)
    recipe = opening.recipe_for(sae, lm, context, tell=lambda told: None)
    return reading.read_texts(lm, texts, HOOK, recipe, progress=False), lm


def ids(*rows: str) -> torch.Tensor:
    """Token ids of words."""
    return torch.tensor([[WORDS.index(w) for w in row.split()] for row in rows])


# --- what stands in front


@pytest.mark.parametrize(
    ("name", "metadata", "wanted"),
    [
        ("bos", {}, "<bos> w1 w2 w3"),
        ("bos", {"prepend_bos": True}, "<bos> w1 w2 w3"),
        ("bos", {"prepend_bos": False}, "w1 w2 w3"),
        ("one_for_both", {}, "<eos> w1 w2 w3"),
        ("no_bos", {}, "w1 w2 w3"),
        ("no_bos", {"prepend_bos": True}, "w1 w2 w3"),
    ],
)
def test_what_stands_in_front(models: dict[str, Path], name: str, metadata: dict[str, Any], wanted: str) -> None:
    texts, lm = read(models, name, ["w1 w2 w3"], **metadata)
    assert texts.documents.tolist() == ids(wanted).tolist()
    front = len(wanted.split()) - 3
    assert texts.skip == front and texts.split.token.tolist() == ids("w1 w2 w3")[0].tolist()
    torch.testing.assert_close(texts.split.activations, residual_stream(lm, ids(wanted), HOOK)[0, front:])


def test_a_bos_that_is_asked_for_and_lacking_is_told_of(models: dict[str, Path]) -> None:
    heard: list[str] = []
    lm = opening.open_model(str(models["no_bos"]))
    assert lm.tokenizer.bos_token == "<eos>", "TransformerLens puts <eos> there: if it no longer does, own_bos can go"
    assert opening.recipe_for(sae_with(prepend_bos=True), lm, tell=heard.append).begins is None
    assert len(heard) == 1 and "no <bos>: none is put in front" in heard[0]


# --- which tokens count


def test_special_tokens_never_count_and_stay_where_the_model_reads_them(models: dict[str, Path]) -> None:
    texts, lm = read(models, "bos", ["<bos> w1 <eos> w2 <pad> <pad> w3 nowhere", "w4"])
    assert texts.documents[0].tolist() == ids("<bos> <bos> w1 <eos> w2 <pad> <pad> w3 <unk>")[0].tolist()
    assert texts.split.token.tolist() == ids("w1 w2 w3 w4")[0].tolist()
    assert texts.split.position.tolist() == [2, 4, 7, 1]
    whole = residual_stream(lm, texts.documents[:1], HOOK)[0]
    torch.testing.assert_close(texts.split.activations[:3], whole[[2, 4, 7]])


def test_texts_of_special_tokens_alone_are_refused(models: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="no token of the documents counts as text"):
        read(models, "bos", ["<eos> <pad>"])


def test_tokens_that_the_sae_left_out_are_left_out(models: dict[str, Path]) -> None:
    texts, _ = read(models, "bos", ["w1 w2 w3"], exclude_special_tokens=[WORDS.index("w2")])
    assert texts.split.token.tolist() == ids("w1 w3")[0].tolist()


@pytest.mark.parametrize(
    ("part", "wanted"),
    [((None,), "w1 w2 w3 w4 w5 w6"), ((2, 4), "w2 w3 w6"), ([1, -1], "w1 w2 w3 w5 w6"), ((None, None, 2), "w2 w4 w6")],
)
def test_positions_are_those_of_the_training(models: dict[str, Path], part: Any, wanted: str) -> None:
    """Pieces of five tokens, with <bos>: w1 to w4, then w5 and w6. Worked out by hand."""
    texts, _ = read(models, "bos", ["w1 w2 w3 w4 w5 w6"], context_size=5, seqpos_slice=part)
    assert texts.split.token.tolist() == ids(wanted)[0].tolist()


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"seqpos_slice": "all"}, "seqpos_slice = 'all'"),
        ({"seqpos_slice": [1, 2, 0]}, r"seqpos_slice = \[1, 2, 0\]"),
        ({"seqpos_slice": [9, 10], "context_size": 5}, "a context of 5 tokens has none of them"),
        ({"exclude_special_tokens": "yes"}, "exclude_special_tokens = 'yes'"),
        ({"exclude_special_tokens": [-1]}, r"exclude_special_tokens = \[-1\]"),
    ],
)
def test_metadata_that_cannot_be_followed_are_named(
    models: dict[str, Path], metadata: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        read(models, "bos", ["w1 w2"], **metadata)


# --- how the model is opened


@pytest.mark.filterwarnings("ignore:.*model_from_pretrained_kwargs")
def test_centred_writing_weights_give_centred_activations(models: dict[str, Path]) -> None:
    """Every write to the stream without its mean: the stream without its mean, and the model's answers as they were."""
    plain, lm = read(models, "bos", ["w1 w2 w3"])
    centred, other = read(
        models, "bos", ["w1 w2 w3"], model_from_pretrained_kwargs={"center_writing_weights": True, "dtype": "float32"}
    )
    x = plain.split.activations
    torch.testing.assert_close(centred.split.activations, x - x.mean(1, keepdim=True), atol=1e-5, rtol=1e-5)
    assert float((centred.split.activations - x).abs().max()) > 0.1
    answers = [m(plain.documents).log_softmax(-1) for m in (lm, other)]
    torch.testing.assert_close(*answers, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*model_from_pretrained_kwargs")
def test_what_would_change_the_activations_and_is_unknown_is_refused(models: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="opened with rotary_base = 10000 .model_from_pretrained_kwargs"):
        read(models, "bos", ["w1"], model_from_pretrained_kwargs={"rotary_base": 10000})


# --- what the page says


@pytest.fixture
def folders(models: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """An SAE of the small model, its meta-SAE, and texts."""
    sae = random_sae("standard", 40, D, dtype="float32", metadata={"model_name": str(models["bos"]), "hook_name": HOOK})
    sae.save_model(tmp_path / "sae")
    train_meta_sae(sae, MetaConfig(n_latents=6, k=2.0, steps=40), progress=False).save(tmp_path / "meta")
    (tmp_path / "texts.txt").write_text(
        "\n".join(" ".join(f"w{(i * j) % 30}" for j in range(1, 9)) for i in range(1, 30))
    )
    return {name: tmp_path / name for name in ("sae", "meta", "texts.txt")}


def test_the_page_says_what_was_read_and_doubts_what_does_not_fit(
    folders: dict[str, Path], models: dict[str, Path]
) -> None:
    from canonlib.explore.about import provenance
    from canonlib.explore.records import measure

    heard: list[str] = []
    subject = own.own_subject(
        folders["sae"], folders["meta"], texts=folders["texts.txt"], model=str(models["one_for_both"]),
        hook="blocks.1.hook_resid_post", progress=False, tell=heard.append,
    )  # fmt: skip
    told = dict(provenance(subject, measure(subject)))
    assert told["read from"] == f"{models['one_for_both']} at blocks.1.hook_resid_post"
    assert told["the SAE's own model"] == f"{models['bos']} at {HOOK}"
    x, sae = subject.texts.split.activations.double(), subject.sae
    f = (x - sae.b_dec) @ sae.W_enc.double() + sae.b_enc
    left = x - (f.relu() @ sae.W_dec.double() + sae.b_dec)
    fvu = float(left.square().sum() / (x - x.mean(0)).square().sum())
    assert fvu > 1, "a random SAE reconstructs nothing"
    assert "wrong hook point" in told["doubt"].lower()
    assert told["reconstructed with"] == f"L0 {float((f > 0).double().sum(1).mean()):.1f}, FVU {fvu:.2f}"
    assert any("texts are read by" in line for line in heard)
    assert not any("texts are read at" in line for line in heard), "the same place in the stream under another name"
    assert any(f"FVU is {fvu:.2f}" in line and "wrong hook point" in line.lower() for line in heard)


def test_the_first_word_of_a_text_without_bos_stays() -> None:
    words, documents = ["a", "b", "c", "d"], torch.tensor([[0, 1, 2], [3, 1, 2]])
    document, position = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 1, 2, 0, 1, 2])
    token = documents.flatten()
    split = Split(torch.zeros(6, 2), token, document, position, torch.full((6,), -1))
    f = torch.tensor([0.0, 0.0, 0.9, 0.0, 0.8, 0.0])[:, None]
    assert top_contexts(f, split, documents, words) == [["a b <b>c</b>", "d <b>b</b>"]]
    # The same tokens behind a <bos> that no row stands on: it is no word.
    behind = split.take(split.position > 0)
    shared = torch.tensor([[0, 1, 2], [0, 1, 2]])
    assert top_contexts(f[[1, 2, 4, 5]], behind, shared, words) == [["b <b>c</b>", "<b>b</b>"]]


def test_norm_outliers_are_left_out_by_the_rule(models: dict[str, Path]) -> None:
    sae = sae_with()
    lm = opening.open_model(str(models["bos"]))
    texts = [" ".join(f"w{(i * j) % 30}" for j in range(1, 9)) for i in range(1, 30)]
    every = reading.read_texts(lm, texts, HOOK, opening.recipe_for(sae, lm), progress=False).split
    norms = every.activations.norm(dim=1)
    limit = 1.1 * norms.median()
    some = reading.read_texts(lm, texts, HOOK, opening.recipe_for(sae, lm), progress=False, max_norm=1.1).split
    assert 0 < len(some) < len(every) and some.token.tolist() == every.token[norms <= limit].tolist()


# --- any precision, through everything


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("kind", ["standard", "jumprelu", "gated", "topk"])
def test_saes_of_any_precision_pass_through_everything(
    kind: str, dtype: str, models: dict[str, Path], folders: dict[str, Path], tmp_path: Path
) -> None:
    """From a folder and in memory, with the meta-SAE in that precision too; the page is that of the same float32 SAE."""
    from canonlib import meta as methods
    from canonlib.cli.interpret import _from_folders
    from canonlib.explore.site import write_explorer

    where = {"model_name": str(models["bos"]), "hook_name": HOOK}
    sae = random_sae(kind, 40, D, dtype=dtype, metadata=where)
    small = random_sae("standard", 9, D, dtype=dtype, metadata=where)
    sae.save_model(tmp_path / "odd")
    small.save_model(tmp_path / "small")
    copy.deepcopy(sae).to(dtype=torch.float32).save_model(tmp_path / "plain")
    meta = train_meta_sae(sae, MetaConfig(n_latents=6, k=2.0, steps=40), progress=False)
    meta.save(tmp_path / "meta")
    pages = {}
    for name in ("odd", "plain"):
        subject = own.own_subject(
            tmp_path / name, tmp_path / "meta", [tmp_path / "small"], texts=folders["texts.txt"], progress=False
        )
        write_explorer(subject, tmp_path / "out" / name)
        pages[name] = [(tmp_path / "out" / name / "data" / f"{file}-0.js").read_text() for file in ("latents", "metas")]
    if dtype != "float64":
        assert pages["odd"] == pages["plain"]
    (tmp_path / "texts.json").write_text(json.dumps([["a"]] * 40))
    assert len(_from_folders(tmp_path / "meta", tmp_path / "odd", tmp_path / "texts.json")[1]) == 40
    odd = replace(meta, sae=copy.deepcopy(meta.sae).to(dtype=getattr(torch, dtype)))
    write_explorer(replace(subject, sae=sae, meta=odd), tmp_path / "memory")
    x = torch.randn(30, D, generator=torch.Generator().manual_seed(0))
    for form in (x, x.double(), x.half(), x.bfloat16(), x.numpy()):
        methods.readings(odd, sae, form)
    methods.with_controls(sae, meta.config, progress=False, real=odd)
    methods.replace_parts(odd, sae, small, steps=5, progress=False)
    family = methods.stack({9: small, 40: sae})
    assert methods.split_tree(odd, family, 9, 0).size == 9 and methods.count_splits(odd, family).n_splits >= 0
    assert methods.pursue(sae, odd.sae.W_dec, 2).coefficients.shape == (40, 6)
    assert 0 <= methods.shared_part_overlap(odd, sae, small).share <= 1
    assert methods.variance_explained(odd, sae) == pytest.approx(methods.variance_explained(meta, sae), abs=0.02)
