"""What an attack on the door found: odd folders, odd objects, odd matrices. Served rightly, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sae_lens as sl
import torch
from saehelpers import random_activations, random_sae

from canonlib.compare import nearest
from canonlib.errors import ConfigError
from canonlib.explore.firings import firings
from canonlib.meta import MetaConfig, MetaSAE, cluster_parts, decompose, pursue, readings, stack, train_meta_sae
from canonlib.sae import open_sae
from canonlib.sae.metrics import reconstruction
from canonlib.sae.training import train
from canonlib.stitch import Part, combine, insert, insertion_effects, pool, swap_groups
from canonlib.tiers import Family

D, N = 12, 17
FAMILY = Family("standard", "all", sizes=(8,), sparsities=(1.0,), steps=5, batch=16, lr=3e-3)
X = random_activations(60, D, dtype=torch.float32)
pytestmark = pytest.mark.filterwarnings("ignore:these activations do not look like")


def make(architecture: str = "standard", n: int = N, **config: Any) -> Any:
    """A random SAE in float32."""
    return random_sae(architecture, n, D, **{"dtype": "float32", **config})


SMALL, LARGE = make(n=7), make()


@pytest.fixture(scope="module")
def meta() -> MetaSAE:
    """A meta-SAE on the decoder of ``LARGE``."""
    return train_meta_sae(LARGE, MetaConfig(6, k=2.0, steps=30), progress=False)


def refuses(call: Callable[[], Any], told: str) -> None:
    """One line that matches."""
    with pytest.raises(ConfigError, match=told) as refused:
        call()
    assert len(str(refused.value).splitlines()) == 1


# --- folders


def folder_with(place: Path, architecture: str = "standard", lacking: str = "", **fields: Any) -> Path:
    """A saved SAE with fields of its configuration changed."""
    sae = (
        sl.MatchingPursuitSAE(sl.MatchingPursuitSAEConfig(d_in=D, d_sae=N))
        if architecture == "matching_pursuit"
        else make(architecture)
    )
    sae.save_model(place)
    config = json.loads((place / "cfg.json").read_text()) | fields
    config.pop(lacking, None)
    (place / "cfg.json").write_text(json.dumps(config))
    return place


@pytest.mark.parametrize(
    ("architecture", "fields", "told"),
    [
        (
            "standard",
            {"activation_fn": "topk", "activation_fn_kwargs": {"k": 3}},
            "activation_fn = 'topk'.*compute with ReLU",
        ),
        ("standard", {"activation_fn": "tanh-relu"}, "activation_fn = 'tanh-relu'"),
        ("jumprelu", {"activation_fn_str": "banana"}, "activation_fn_str = 'banana'"),
        ("standard", {"k": 3}, "k = 3, and an SAE of architecture 'standard' has none"),
        ("standard", {"finetuning_scaling_factor": True}, "finetuning_scaling_factor"),
        ("topk", {"lacking": "architecture"}, "names no architecture"),
        ("jumprelu", {"lacking": "architecture"}, "names no architecture"),
        ("matching_pursuit", {"max_iterations": 10**12}, "max_iterations = 1000000000000: null or a whole number"),
        ("matching_pursuit", {"max_iterations": 0}, "max_iterations = 0"),
        ("matching_pursuit", {"max_iterations": "x"}, "max_iterations = 'x'"),
        ("matching_pursuit", {"residual_threshold": None}, "residual_threshold = None"),
        ("matching_pursuit", {"residual_threshold": float("nan")}, "residual_threshold = nan"),
        ("matching_pursuit", {"stop_on_duplicate_support": 1}, "stop_on_duplicate_support = 1"),
    ],
)
def test_fields_that_saelens_leaves_out_are_not(
    architecture: str, fields: dict[str, Any], told: str, tmp_path: Path
) -> None:
    refuses(lambda: open_sae(folder_with(tmp_path / "sae", architecture, **fields)), told)


def test_a_relu_that_says_so_and_an_old_topk_are_opened(tmp_path: Path) -> None:
    assert open_sae(folder_with(tmp_path / "a", activation_fn="relu")).cfg.d_sae == N
    assert open_sae(folder_with(tmp_path / "b", "matching_pursuit")).cfg.architecture() == "matching_pursuit"
    old = folder_with(tmp_path / "c", "topk")
    plain = {"d_in": D, "d_sae": N, "dtype": "float32", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3},
             "model_name": "gpt2", "hook_point": "blocks.8.hook_resid_pre", "apply_b_dec_to_input": True}  # fmt: skip
    (old / "cfg.json").write_text(json.dumps(plain))
    opened = open_sae(old)
    assert opened.cfg.architecture() == "topk" and opened.cfg.k == 3 and opened.cfg.metadata.model_name == "gpt2"


def test_names_that_do_not_print_are_quoted(tmp_path: Path) -> None:
    place = folder_with(tmp_path / "two\nlines", k=3)
    refuses(lambda: open_sae(place), r"two\\nlines'")
    refuses(lambda: MetaSAE.load(place), r"two\\nlines'")


@pytest.mark.parametrize("source", [None, 3, b"abc", []])
def test_what_is_no_name_of_a_folder_is_refused(source: Any) -> None:
    refuses(lambda: open_sae(source), "must be a folder's name, got a")
    refuses(lambda: MetaSAE.load(source), "must be a folder's name, got a")


def test_a_device_object_will_do(tmp_path: Path) -> None:
    assert open_sae(folder_with(tmp_path / "sae"), device=torch.device("cpu")).cfg.d_sae == N  # type: ignore[arg-type]


# --- objects


def without(name: str) -> Any:
    """An SAE that lacks a weight."""
    sae = make()
    delattr(sae, name)
    return sae


def hooked() -> Any:
    """An SAE whose activations a hook doubles."""
    sae = make()
    sae.hook_sae_acts_post.add_hook(lambda value, hook: value * 2)
    return sae


def leaky() -> Any:
    """An SAE with another activation function."""
    sae = make()
    sae.activation_fn = torch.nn.LeakyReLU()
    return sae


def zero_row() -> Any:
    """A TopK SAE that divides by decoder norms, one of which is zero."""
    sae = make("topk", rescale_acts_by_decoder_norm=True)
    sae.W_dec.data[3] = 0
    return sae


@pytest.mark.parametrize(
    ("sae", "told"),
    [
        (lambda: without("W_dec"), "has no W_dec"),
        (lambda: without("W_enc"), "has no W_enc"),
        (lambda: without("b_dec"), "has no b_dec"),
        (lambda: sl.StandardSAE(sl.StandardSAEConfig(d_in=D, d_sae=N, device="meta")), "meta device"),
        (hooked, "hook attached to hook_sae_acts_post"),
        (leaky, "activation function LeakyReLU"),
        (zero_row, "divides by decoder norms, and some are zero"),
    ],
)
def test_objects_that_compute_something_else_are_refused(sae: Callable[[], Any], told: str) -> None:
    for use in (lambda s: reconstruction(s, X), lambda s: firings(s, X)):
        refuses(lambda u=use: u(sae()), told)


def test_weights_in_two_precisions_are_computed_in_the_wider(meta: MetaSAE) -> None:
    mixed, plain = make(), make()
    mixed.W_dec = torch.nn.Parameter(mixed.W_dec.double())
    assert reconstruction(mixed, X).fvu == pytest.approx(reconstruction(plain, X).fvu, rel=1e-6)
    assert readings(meta, mixed, X).tolist() == [pytest.approx(r, rel=1e-4) for r in readings(meta, plain, X).tolist()]


def test_an_sae_without_metadata_is_measured() -> None:
    sae = make()
    sae.cfg.metadata = None
    assert reconstruction(sae, X).fvu == pytest.approx(reconstruction(LARGE, X).fvu)
    assert nearest(sae, LARGE).index[:, 0].tolist() == list(range(N))


def test_a_meta_sae_is_an_sae_where_one_is_asked_for(meta: MetaSAE) -> None:
    assert torch.equal(nearest(meta, LARGE).cosine, nearest(meta.sae, LARGE).cosine)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m: reconstruction([LARGE], X), "must be an SAE of SAELens, got a list"),
        (lambda m: train_meta_sae([LARGE], MetaConfig(6), progress=False), "got a list"),
        (lambda m: pool(SMALL, X), "saes must be a list, got a StandardSAE: write"),
        (lambda m: pool([None, SMALL], X), "SAE 1 of 2 must be an SAE of SAELens, got a NoneType"),
        (lambda m: combine([SMALL, LARGE]), "SAE 1 of 2 is a StandardSAE: say which latents"),
        (lambda m: decompose(LARGE, 0, LARGE), "must be a MetaSAE, got a StandardSAE"),
        (lambda m: stack([SMALL, LARGE]), "saes must be a mapping"),
        (lambda m: stack({3: SMALL}), r"saes\[3\] has 7 latents"),
        (lambda m: stack({7: SMALL}, alive={7: torch.arange(7)}), r"alive\[7\] must be a mask"),
        (lambda m: stack({7: SMALL}, alive={7: torch.zeros(7, dtype=torch.bool)}), "at least one True"),
        (lambda m: insert(SMALL, LARGE, [0.7]), r"whole numbers, got \[0.7\]"),
        (lambda m: insert(SMALL, LARGE, torch.tensor([1.9])), "whole numbers, got"),
        (lambda m: insert(SMALL, LARGE, "12"), "whole numbers, got '12'"),
        (lambda m: insert(SMALL, LARGE, [True]), "whole numbers, got"),
        (lambda m: insert(SMALL, LARGE, torch.ones(N, dtype=torch.bool)), "are a mask: give their numbers"),
        (lambda m: insert(SMALL, LARGE, 3), "whole numbers, got 3"),
        (lambda m: combine([Part(SMALL, [])]), "no latents are chosen"),
        (lambda m: combine([Part(SMALL, [0])], b_dec=torch.full((D,), float("nan"))), "no numbers in b_dec"),
        (lambda m: pursue(LARGE, SMALL, 2, mean=torch.full((D,), float("nan"))), "mean must hold 12 finite numbers"),
        (lambda m: pursue(LARGE, SMALL, 2, mean=torch.zeros(1)), r"mean must hold 12 finite numbers, got shape \[1\]"),
        (lambda m: pursue(LARGE.W_dec[:1], SMALL, 2), "no variance to explain"),
        (lambda m: swap_groups(SMALL, LARGE, "x"), "threshold must lie between -1 and 1, got 'x'"),
        (lambda m: cluster_parts(LARGE, 2, seed=-1), "seed must be a whole number"),
        (lambda m: decompose(m, np.zeros((3, 3)), LARGE), r"shape \[d_model\], got \[3, 3\]"),
    ],
)
def test_arguments_that_are_something_else_are_refused(
    call: Callable[[MetaSAE], Any], told: str, meta: MetaSAE
) -> None:
    refuses(lambda: call(meta), told)


def test_a_gated_sae_that_overflows_when_it_is_rewritten_is_refused() -> None:
    gated = make("gated")
    gated.r_mag.data.fill_(200)
    refuses(lambda: combine([Part(SMALL, [0]), Part(gated, [0, 1])]), "the new SAE holds")


def test_a_bias_of_zeros_as_an_array_is_the_same_as_a_tensor() -> None:
    ours = combine([Part(SMALL, [0])], b_dec=np.zeros(D, dtype=np.float32))
    assert torch.equal(ours.b_enc, combine([Part(SMALL, [0])], b_dec=torch.zeros(D)).b_enc)
    assert pursue(LARGE, SMALL, 2, mean=np.zeros(D)).variance_explained == pytest.approx(
        pursue(LARGE, SMALL, 2, mean=torch.zeros(D)).variance_explained
    )


# --- numbers beyond all bounds


@pytest.mark.parametrize(
    "call",
    [
        lambda m: reconstruction(make(dtype="float64"), 1e160 * X.double()),
        lambda m: insertion_effects(make(n=7, dtype="float64"), make(dtype="float64"), 1e160 * X.double()),
        lambda m: insertion_effects(SMALL, LARGE, 1e19 * X),
        lambda m: pool([make(dtype="float64")], 1e160 * X.double()),
        lambda m: readings(m, LARGE, 3e37 * X),
    ],
)
def test_what_overflows_is_no_number_in_the_answer(call: Callable[[MetaSAE], Any], meta: MetaSAE) -> None:
    refuses(lambda: call(meta), "overflow")


@pytest.mark.parametrize("scale", [1e-25, 1e-10, 1.0, 1e15, 1e20])
def test_the_rule_for_outliers_knows_no_scale(scale: float) -> None:
    y = X.clone()
    y[3] *= 1_000
    found = reconstruction(make(dtype="float64"), scale * y.double(), max_norm=10)
    assert (found.n_tokens, found.n_outliers) == (59, 1)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_activations_without_a_scale_are_not_trained_on(scale: float, tmp_path: Path) -> None:
    refuses(lambda: train(FAMILY, 8, scale * X, seed=0, out=tmp_path / "sae"), "no scale follows from it|overflow")
    assert not (tmp_path / "sae").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"seed": "x"}, "seed must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"metadata": 3}, "metadata must be a dictionary"),
        ({"device": "banana"}, "device 'banana' is not there"),
        ({"size": 10**9}, "GiB of memory"),
    ],
)
def test_a_training_is_refused_before_it_begins(arguments: dict[str, Any], told: str, tmp_path: Path) -> None:
    refuses(
        lambda: train(**{"family": FAMILY, "size": 8, "activations": X, "seed": 0, "out": tmp_path / "s", **arguments}),
        told,
    )


# --- matrices


def masked(x: torch.Tensor) -> Any:
    """What is masked would count."""
    return np.ma.masked_array(x.numpy(), mask=x.numpy() > 3)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (lambda x: x.to_sparse(), "are sparse"),
        (lambda x: x.to_sparse_csr(), "are sparse"),
        (lambda x: x.to("meta"), "meta device"),
        (lambda x: x.to(torch.float8_e4m3fn), "float8_e4m3fn"),
        (lambda x: x.to(torch.complex64), "complex64"),
        (lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "quantized"),
        (lambda x: x.numpy().astype(object), "object"),
        (lambda x: x.numpy().astype(str), "real numbers are expected"),
        (masked, "masked array"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:torch.quantize")
def test_matrices_without_plain_numbers_are_refused(
    form: Callable[[torch.Tensor], Any], told: str, tmp_path: Path
) -> None:
    odd = form(X)
    refuses(lambda: reconstruction(LARGE, odd), told)
    refuses(lambda: insertion_effects(SMALL, LARGE, odd), told)
    refuses(lambda: train(FAMILY, 8, odd, seed=0, out=tmp_path / "sae"), told)
    refuses(lambda: nearest(odd, LARGE), told)


class Tagged(torch.Tensor):
    """A tensor by another name."""


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.numpy()[::-1],
        lambda x: x.numpy().astype(">f4"),
        lambda x: x.numpy().astype(np.longdouble),
        lambda x: x.T.contiguous().T,
        lambda x: x.as_subclass(Tagged),
        lambda x: x.clone().requires_grad_(),
        lambda x: np.asfortranarray(x.numpy()),
    ],
)
def test_matrices_in_odd_layouts_are_served(form: Callable[[torch.Tensor], Any], meta: MetaSAE) -> None:
    odd = form(X)
    plain = torch.tensor(np.asarray(odd.detach() if isinstance(odd, torch.Tensor) else odd, dtype=np.float64)).float()
    assert reconstruction(LARGE, odd).fvu == pytest.approx(reconstruction(LARGE, plain).fvu, rel=1e-6)
    effects, wanted = insertion_effects(SMALL, LARGE, odd), insertion_effects(SMALL, LARGE, plain)
    assert effects.delta_mse.tolist() == pytest.approx(wanted.delta_mse.tolist(), rel=1e-4, abs=1e-9)
    assert pool([SMALL], odd).squares == pytest.approx(pool([SMALL], plain).squares)
    assert readings(meta, LARGE, odd).tolist() == [
        pytest.approx(r, rel=1e-4) for r in readings(meta, LARGE, plain).tolist()
    ]
    assert torch.allclose(nearest(odd, LARGE).cosine.float(), nearest(plain, LARGE).cosine, atol=1e-5)


def test_directions_of_whole_numbers_are_directions() -> None:
    assert nearest(torch.eye(3, dtype=torch.long), np.eye(3, dtype=int)).index[:, 0].tolist() == [0, 1, 2]
