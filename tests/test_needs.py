"""What functions ask of their SAEs: declared by every one, checked for every kind, and served rightly where served."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import sae_lens as sl
import torch
from sae_lens.saes.transcoder import (
    JumpReLUTranscoder,
    JumpReLUTranscoderConfig,
    SkipTranscoder,
    SkipTranscoderConfig,
    Transcoder,
    TranscoderConfig,
)
from saehelpers import brute_force_effect, random_activations, random_sae

from canonlib.book.accepted import PAGE, declared, page
from canonlib.book.catalogue import ROOMS, entries, room_modules
from canonlib.compare import nearest, shared_latents
from canonlib.errors import ConfigError
from canonlib.explore.firings import firings
from canonlib.meta import MetaConfig, MetaSAE, decompose, pursue, readings, stack, train_meta_sae
from canonlib.sae import Need, require_dictionary
from canonlib.sae.metrics import reconstruction
from canonlib.sae.space import hook_identity, require_one_space, same_model
from canonlib.stitch import Part, combine, insertion_effects, pool, require_stitchable

D, N = 12, 17
DECLARED = dict(declared())


@pytest.fixture(scope="module")
def meta() -> MetaSAE:
    """A meta-SAE on random rows."""
    return train_meta_sae(random_sae("standard", N, D).W_dec.detach(), MetaConfig(6, k=2.0, steps=40), progress=False)


def transcoder(kind: str, d_out: int = D) -> Any:
    """A transcoder of that kind, with as many outputs as inputs unless told otherwise."""
    makers: dict[str, Any] = {
        "transcoder": (Transcoder, TranscoderConfig),
        "skip_transcoder": (SkipTranscoder, SkipTranscoderConfig),
        "jumprelu_transcoder": (JumpReLUTranscoder, JumpReLUTranscoderConfig),
    }
    make, config = makers[kind]
    return make(config(d_in=D, d_sae=N, d_out=d_out, apply_b_dec_to_input=False))


def function(name: str) -> Any:
    """The function of that full name."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


# --- every function declares, and every declaration is a guard


def test_every_public_function_that_takes_an_sae_says_what_it_needs() -> None:
    lacking = []
    for room in (r for r in ROOMS if r not in ("pipeline", "claims")):
        for module in room_modules(f"canonlib.{room}"):
            for entry in entries(module):
                if entry.kind != "function":
                    continue
                home, _, name = entry.home.rpartition(".")
                found = getattr(importlib.import_module(home), name)
                takes = {p for p, a in inspect.signature(found).parameters.items() if "SAE" in str(a.annotation)}
                if takes - set(getattr(found, "__takes__", ())):
                    lacking.append(entry.name)
    # The check itself and what it is made of; those that look at metadata or weights alone; and the trainer's own.
    own = {
        "sae.dictionary.output_lengths", "sae.kinds.require_independent", "sae.require_dictionary", "sae.needs.ready",
        "sae.doubts.doubt", "sae.doubts.trained_l0", "sae.space.known", "sae.space.loading", "sae.space.require_one_space",
        "sae.streaming.encoded", "stitch.require_same_space", "stitch.require_stitchable", "stitch.support.one_space",
        "meta.config.require_agreement", "meta.model.unit_rows", "explore.opening.context_for", "explore.opening.open_model",
        "explore.opening.recipe_for", "sae.architectures.start_from_data", "sae.fast.refusal", "sae.training.make_trainer",
        "sae.checkpoint.save", "sae.checkpoint.load", "book.accepted.served", "sae.streaming.decoded",
    }  # fmt: skip
    assert [name for name in lacking if name.removeprefix("canonlib.") not in own] == []


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, parameter) for name, takes in DECLARED.items() for parameter in takes]
)
def test_every_function_refuses_what_it_cannot_use(name: str, parameter: str, meta: MetaSAE) -> None:
    """The guard comes first: nothing else need be right for it to speak."""
    called = function(name)
    takes, parameters = called.__takes__, inspect.signature(called).parameters

    def held(by: str, value: Any) -> Any:
        annotation = str(parameters[by].annotation)
        if by in ("meta", "real") and isinstance(value, torch.nn.Module):
            return MetaSAE(value, meta.config, meta.report)
        value = Part(value, [0]) if "Part" in annotation and isinstance(value, torch.nn.Module) else value
        return {N: value} if "Mapping" in annotation else [value] if "Sequence" in annotation else value

    others = {p: held(p, random_sae("standard", N, D)) if p in takes else None for p in parameters}
    spoilt = random_sae("standard", N, D)
    spoilt.W_enc.data[3, 5] = float("nan")
    annotation = str(parameters[parameter].annotation)
    bad: list[tuple[Any, str]] = [
        (spoilt, r"W_enc, the first at \[3, 5\]"), (transcoder("transcoder"), "is a transcoder"),
        (transcoder("skip_transcoder", 8), "skip_transcoder"), ("folder", "got a str|is a str|got shape"),
    ]  # fmt: skip
    if "None" not in annotation:
        bad.append((None, "NoneType"))
    if "Tensor" not in annotation:
        bad += [(spoilt.W_dec.detach(), "a Tensor"), (spoilt.W_dec.detach().numpy(), "a ndarray")]
    for value, told in bad:
        with pytest.raises(ConfigError, match=told) as refused:
            called(**{**others, parameter: held(parameter, value)})
        assert len(str(refused.value).splitlines()) == 1


def test_the_reference_says_what_the_code_accepts() -> None:
    committed = Path(__file__).parents[1] / PAGE
    assert committed.read_text(encoding="utf-8") == page(), "run `python -m canonlib.book.accepted`"


# --- kinds


@pytest.mark.parametrize("kind", ["transcoder", "skip_transcoder", "jumprelu_transcoder"])
@pytest.mark.parametrize("d_out", [D, 8])
def test_transcoders_are_refused_by_name(kind: str, d_out: int) -> None:
    with pytest.raises(ConfigError, match=f"is a transcoder .{kind}"):
        reconstruction(transcoder(kind, d_out), random_activations(9, D))


def test_negative_activations_are_compared_and_never_counted() -> None:
    absolute = sl.AbsTopKSAE(sl.AbsTopKSAEConfig(d_in=D, d_sae=N, k=3))
    assert float(nearest(absolute, absolute).cosine.min()) == pytest.approx(1.0)
    for count in (reconstruction, firings):
        with pytest.raises(ConfigError, match="abstopk.*negative"):
            count(absolute, random_activations(9, D, dtype=torch.float32))


@pytest.mark.parametrize("k", [0, -1, N + 1, 2.5, True])
def test_a_k_that_cannot_be_is_refused(k: Any) -> None:
    sae = random_sae("topk", N, D)
    sae.cfg.k = k
    with pytest.raises(ConfigError, match=rf"k = {k!r} and {N} latents"):
        require_dictionary(sae, Need.DIRECTIONS)


def test_wrong_shapes_and_whole_numbers_are_named() -> None:
    sae = random_sae("standard", N, D)
    sae.b_enc = torch.nn.Parameter(torch.zeros(N + 1))
    with pytest.raises(ConfigError, match=rf"b_enc of shape \[{N + 1}\].*should be \[{N}\]"):
        require_dictionary(sae, Need.DIRECTIONS)


# --- never firing is legal, and stays that way


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated"])
def test_a_latent_that_never_fires_has_no_effect(architecture: str) -> None:
    small, large, x = random_sae("standard", 7, D), random_sae(architecture, N, D), random_activations(60, D)
    for name in ("b_enc", "b_gate", "b_mag"):
        if getattr(large, name, None) is not None:
            getattr(large, name).data[4] = float("-inf")
    if architecture == "jumprelu":
        large.threshold.data[6] = float("inf")
    effects = insertion_effects(small, large, x)
    assert effects.silent[4] and effects.delta_mse[4] == 0
    combined = combine([Part(small, range(7)), Part(large, range(N))])
    assert torch.isfinite(combined(x)).all() and not combined.encode(x)[:, 7 + 4].any()
    assert effects.delta_mse.tolist() == pytest.approx([brute_force_effect(small, large, j, x) for j in range(N)])


# --- precisions


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated", "topk"])
def test_any_precision_gives_the_numbers_of_its_weights(architecture: str, dtype: str, meta: MetaSAE) -> None:
    sae, x = random_sae(architecture, N, D, dtype=dtype), random_activations(40, D, dtype=torch.float32)
    exact = random_sae(architecture, N, D)
    exact.load_state_dict({name: value.double() for name, value in sae.state_dict().items()})
    assert reconstruction(sae, x).fvu == pytest.approx(reconstruction(exact, x).fvu, rel=1e-5)
    assert firings(sae, x).value.tolist() == pytest.approx(firings(exact, x).value.tolist(), rel=1e-4, abs=1e-5)
    assert readings(meta, sae, x).double().tolist() == [
        pytest.approx(row, rel=1e-4, abs=1e-5) for row in readings(meta, exact, x).double().tolist()
    ]
    assert sae.W_dec.dtype == getattr(torch, dtype), "what the caller holds stays as it is"


def test_float16_does_not_overflow_on_a_large_token() -> None:
    small, large = random_sae("standard", 7, D, dtype="float16"), random_sae("standard", N, D, dtype="float16")
    x = random_activations(30, D, dtype=torch.float32)
    x[11] *= 30_000 / x[11].norm()
    effects = insertion_effects(small, large, x)
    exact = [random_sae("standard", n, D) for n in (7, N)]
    for one, half in zip(exact, (small, large), strict=True):
        one.load_state_dict({name: value.double() for name, value in half.state_dict().items()})
    assert effects.delta_mse.tolist() == pytest.approx(
        [brute_force_effect(*exact, j, x) for j in range(N)], rel=1e-4, abs=1
    )


def test_an_overflow_that_is_left_is_an_error_and_no_number() -> None:
    sae = random_sae("standard", N, D, dtype="float32")
    sae.W_enc.data *= 1e38
    with pytest.raises(ConfigError, match="float32 has overflowed"):
        reconstruction(sae, 1e3 * random_activations(5, D, dtype=torch.float32))


def test_two_forms_of_one_function_give_one_reading(meta: MetaSAE) -> None:
    """Decoder norms divided out while decoding, and folded beforehand: the same reconstruction, the same readings."""
    x = random_activations(40, D)
    rescaled = random_sae("topk", N, D, rescale_acts_by_decoder_norm=True)
    folded = random_sae("topk", N, D, rescale_acts_by_decoder_norm=True)
    folded.fold_W_dec_norm()
    assert torch.allclose(rescaled(x), folded(x))
    assert torch.allclose(readings(meta, rescaled, x), readings(meta, folded, x), rtol=1e-5)
    # By hand, on one token: each active latent adds its activation times a unit direction.
    f = rescaled.encode(x[:1])[0]
    added = sum(f[j] * rescaled.W_dec[j] / rescaled.W_dec[j].norm() for j in range(N)) + rescaled.b_dec
    assert torch.allclose(added, rescaled(x[:1])[0])
    parts = [decompose(meta, j, rescaled) for j in range(N)]
    by_hand = torch.zeros(6, dtype=torch.float64)
    for j, part in enumerate(parts):
        by_hand[part.meta_latents] += f[j].detach() * part.activations.double()
    assert torch.allclose(readings(meta, rescaled, x[:1])[0].double(), by_hand, rtol=1e-4)


def test_numpy_matrices_are_matrices() -> None:
    rows = random_activations(8, D).numpy()
    assert nearest(rows, torch.from_numpy(rows)).index[:, 0].tolist() == list(range(8))


# --- one space or not


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("gpt2", "gpt2-small", True),
        ("gpt2-small", "openai-community/gpt2", True),
        ("GPT2", "gpt2", True),
        ("google/gemma-2-2b", "gemma-2-2b", True),
        ("gpt2", "gpt2-medium", False),
        ("one/model", "another/model", False),
        ("pythia-70m", "pythia-70m-deduped", False),
        ("/home/me/finetuned/gpt2", "gpt2", False),
        ("./gpt2", "gpt2", False),
        ("/models/gpt2/", "/models/gpt2", True),
    ],
)
def test_names_of_models(a: str, b: str, same: bool) -> None:
    assert same_model(a, b) is same is same_model(b, a)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("blocks.7.hook_resid_post", "blocks.8.hook_resid_pre", True),
        ("blocks.8.hook_in", "blocks.8.hook_resid_pre", True),
        ("blocks.7.hook_out", "blocks.8.hook_in", True),
        ("blocks.8.hook_resid_post", "blocks.8.hook_resid_pre", False),
        ("blocks.8.hook_resid_mid", "blocks.8.hook_resid_pre", False),
        ("blocks.8.attn.hook_in", "blocks.8.hook_in", False),
    ],
)
def test_names_of_hook_points(a: str, b: str, same: bool) -> None:
    assert (hook_identity(a) == hook_identity(b)) is same


WHERE = {"model_name": "gpt2", "hook_name": "blocks.8.hook_resid_pre"}


def _pairs(one: dict[str, Any], other: dict[str, Any]) -> tuple[Any, Any]:
    return (
        random_sae("standard", 7, D, metadata=WHERE | one),
        random_sae("standard", N, D, seed=2, metadata=WHERE | other),
    )


USES: dict[str, Any] = {
    "nearest": nearest,
    "shared_latents": shared_latents,
    "pursue": lambda a, b: pursue(b, a, k=2),
    "stack": lambda a, b: stack({7: a, N: b}),
    "require_stitchable": require_stitchable,
    "insertion_effects": lambda a, b: insertion_effects(a, b, random_activations(9, D)),
    "pool": lambda a, b: pool([a, b], random_activations(9, D)),
    "combine": lambda a, b: combine([Part(a, [0]), Part(b, [0])]),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"model_name": "gpt2-xl"}),
        ({}, {"hook_name": "blocks.7.hook_resid_pre"}),
        ({"hook_head_index": 1}, {"hook_head_index": 2}),
        ({"prepend_bos": True}, {"prepend_bos": False}),
        ({}, {"model_from_pretrained_kwargs": {"center_writing_weights": True}}),
        ({"model_from_pretrained_kwargs": {"revision": "a"}}, {"model_from_pretrained_kwargs": {"revision": "b"}}),
        ({"model_from_pretrained_kwargs": {"checkpoint_value": 1000}}, {}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*model_from_pretrained_kwargs")
def test_what_is_read_otherwise_is_another_space(use: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    a, b = _pairs(one, other)
    with pytest.raises(ConfigError, match="their activations are different things"):
        USES[use](a, b)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "other",
    [{"model_name": "gpt2-small"}, {"model_name": "openai-community/gpt2"}, {"hook_name": "blocks.7.hook_resid_post"},
     {"model_from_pretrained_kwargs": {"center_writing_weights": False}},
     {"model_from_pretrained_kwargs": {"center_unembed": True, "fold_ln": True}},
     {"model_from_pretrained_kwargs": {"revision": "main"}}],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*model_from_pretrained_kwargs")
def test_other_names_for_one_space_are_one_space(use: str, other: dict[str, Any]) -> None:
    USES[use](*_pairs({}, other))


@pytest.mark.parametrize("use", USES)
def test_what_is_unknown_is_allowed_with_a_note(use: str) -> None:
    a, b = _pairs({}, {"model_name": "", "hook_name": None})
    with pytest.warns(UserWarning, match="does not say its model_name and its hook_name"):
        USES[use](a, b)


def test_each_sae_is_told_of_what_it_does_not_say() -> None:
    a, b = _pairs({"model_name": ""}, {"hook_name": ""})
    heard: list[str] = []
    require_one_space(a, b, ("the first SAE", "the second SAE"), tell=heard.append)
    assert heard == ["the first SAE does not say its model_name: taken to be as in the other.",
                     "the second SAE does not say its hook_name: taken to be as in the other."]  # fmt: skip


def test_inside_a_block_all_processing_counts() -> None:
    where = {"hook_name": "blocks.3.ln2.hook_normalized"}
    a, b = _pairs(where, where | {"model_from_pretrained_kwargs": {"fold_ln": True}})
    with pytest.raises(ConfigError, match="fold_ln = False and the second SAE True"):
        nearest(a, b)


def test_nothing_known_of_either_is_no_news() -> None:
    heard: list[str] = []
    require_one_space(random_sae("standard", 7, D), random_sae("standard", N, D), ("a", "b"), tell=heard.append)
    assert heard == []
