from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sae_lens import SAE
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from saehelpers import brute_force_effect, random_activations, random_sae

from canonlib.errors import ConfigError
from canonlib.sae.metrics import reconstruction
from canonlib.stitch import insert, insertion_effects, require_independent, require_stitchable
from canonlib.stitch import insertion as insertion_module
from canonlib.stitch.active import active, rows_per_block

N_SMALL, N_LARGE = 10, 17
KINDS = ["standard", "jumprelu", "gated"]
PAIRS = [(a, b) for a in KINDS for b in KINDS]


def pair(small: str, large: str, dtype: str = "float64", bias: tuple[bool, bool] = (True, True)) -> tuple[Any, Any]:
    """Two random SAEs, their decoder biases different; the large one's latent 0 is dead, 1 and 2 are duplicates."""
    a = random_sae(small, N_SMALL, seed=3, dtype=dtype, apply_b_dec_to_input=bias[0])
    b = random_sae(large, N_LARGE, seed=4, dtype=dtype, apply_b_dec_to_input=bias[1])
    with torch.no_grad():
        for name, parameter in b.named_parameters():
            if name in ("b_enc", "b_gate"):
                parameter[0] = -1e6
                parameter[1] = 0.5
            if name == "W_enc":
                parameter[:, 2] = parameter[:, 1]
            elif name != "b_dec":
                parameter[2] = parameter[1]
    return a, b


def assert_equals_brute_force(small: Any, large: Any, x: torch.Tensor, rtol: float, **options: Any) -> None:
    effects = insertion_effects(small, large, x, **options)
    expected = torch.tensor([brute_force_effect(small, large, j, x) for j in range(large.cfg.d_sae)])
    # An effect is a difference of two sums, so rounding scales with the largest effect, not with each one's own size.
    torch.testing.assert_close(effects.delta_mse, expected.double(), rtol=rtol, atol=rtol * float(expected.abs().max()))


def test_by_hand() -> None:
    # Small: one latent f = max(x0, 0), direction (1, 0), b_dec = (0, 1).
    # Large: latent 0 = max(x1 - 1, 0), direction (0, 1); latent 1 = max(x0, 0), direction (2, 0); latent 2 silent.
    # token    small gives  residual r   f_large
    # (1, 3)   (1, 1)       (0, 2)       2, 1, 0
    # (2, 1)   (2, 1)       (0, 0)       0, 2, 0
    # (-1, 2)  (0, 1)       (-1, 1)      1, 0, 0
    # SSE small = 4 + 0 + 2 = 6.
    # latent 0: -2(2·2 + 0 + 1·1) + (4 + 0 + 1)·1 = -5: only token 3's (-1, 0) is left, and 6 - 5 = 1.
    # latent 1: -2(1·0 + 2·0) + (1 + 4)·4 = 20: it says again what the small SAE says already.
    # Large alone, b_dec = 0: (2, 2), (4, 0), (0, 1): SSE = (1 + 1) + (4 + 1) + (1 + 1) = 9.
    small = random_sae("standard", d_sae=1, d_in=2)
    large = random_sae("standard", d_sae=3, d_in=2)
    with torch.no_grad():
        for sae in (small, large):
            sae.cfg.apply_b_dec_to_input = False
        small.W_enc.copy_(torch.tensor([[1.0], [0.0]]))
        small.W_dec.copy_(torch.tensor([[1.0, 0.0]]))
        small.b_enc.zero_()
        small.b_dec.copy_(torch.tensor([0.0, 1.0]))
        large.W_enc.copy_(torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
        large.b_enc.copy_(torch.tensor([-1.0, 0.0, -9.0]))
        large.W_dec.copy_(torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]))
        large.b_dec.zero_()
    effects = insertion_effects(small, large, torch.tensor([[1.0, 3.0], [2.0, 1.0], [-1.0, 2.0]]))
    assert effects.delta_mse.tolist() == pytest.approx([-5 / 6, 20 / 6, 0.0])  # 3 tokens × 2 coordinates
    assert effects.fires.tolist() == [2, 2, 0]
    assert effects.silent.tolist() == [False, False, True]
    assert (effects.mse_small, effects.mse_large) == pytest.approx((6 / 6, 9 / 6))
    assert effects.relative.tolist() == pytest.approx([-5 / 6, 20 / 6, 0.0])
    assert effects.mean_when_active[:2].tolist() == pytest.approx([-5 / 4, 20 / 4])
    assert effects.mean_when_active[2].isnan()
    assert (effects.n_tokens, effects.n_latents) == (3, 3)


@pytest.fixture(params=["dense", "sparse"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small random SAEs are dense by the library's own rule; both ways of summing are to be tested on them."""
    bound = {"dense": -1.0, "sparse": 2.0}[request.param]
    monkeypatch.setattr(insertion_module, "active", lambda latents: active(latents, dense_above=bound))


@pytest.mark.parametrize(("small", "large"), PAIRS)
@pytest.mark.parametrize("bias", [(True, True), (True, False), (False, True), (False, False)])
def test_equals_the_brute_force_loop(small: str, large: str, bias: tuple[bool, bool], arithmetic: None) -> None:
    a, b = pair(small, large, bias=bias)
    assert_equals_brute_force(a, b, random_activations(40), rtol=1e-6, batch_size=15)


def test_the_choice_of_arithmetic_follows_density() -> None:
    latents = torch.zeros(16, 10)
    latents[:10, 3] = 2.0
    assert active(latents).dense is None  # 10 of 160 are active: exactly 1/16
    latents[10, 3] = 2.0
    assert active(latents).dense is latents


@pytest.mark.parametrize(("small", "large"), [("standard", "standard"), ("jumprelu", "jumprelu")])
def test_float32(small: str, large: str, arithmetic: None) -> None:
    a, b = pair(small, large, dtype="float32")
    assert_equals_brute_force(a, b, random_activations(200, dtype=torch.float32), rtol=1e-4, batch_size=64)


def test_own_errors_equal_the_metrics(arithmetic: None) -> None:
    (a, b), x = pair("jumprelu", "gated"), random_activations(50)
    effects = insertion_effects(a, b, x, batch_size=8)
    small, large = reconstruction(a, x), reconstruction(b, x)
    assert (effects.mse_small, effects.mse_large) == pytest.approx((small.mse, large.mse), rel=1e-10)
    assert torch.equal(effects.fires, large.fires)


def test_blocks_and_memory_mapping_do_not_matter(tmp_path: Any) -> None:
    (a, b), x = pair("standard", "jumprelu"), random_activations(53)
    np.save(tmp_path / "x.npy", x.numpy())
    whole = insertion_effects(a, b, x)
    pieces = insertion_effects(a, b, np.load(tmp_path / "x.npy", mmap_mode="r"), batch_size=7, progress=True)
    torch.testing.assert_close(whole.delta_mse, pieces.delta_mse, rtol=1e-10, atol=1e-14)
    assert torch.equal(whole.fires, pieces.fires)


def test_wide_saes_are_taken_in_smaller_blocks() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert rows_per_block(4096, 98_304, cpu) == 512
    assert rows_per_block(4096, 98_304, cuda) == 2730  # 2**28 // 98,304
    assert rows_per_block(100, 64, cpu) == 100


@pytest.mark.parametrize("architecture", ["standard", "jumprelu"])
def test_rescaling_a_latent_changes_nothing(architecture: str) -> None:
    (a, b), x = pair("standard", architecture), random_activations(40)
    before = insertion_effects(a, b, x)
    scales = torch.linspace(0.1, 8.0, N_LARGE, dtype=torch.float64)
    with torch.no_grad():
        b.W_dec.mul_(scales.unsqueeze(1))
        b.W_enc.div_(scales)
        b.b_enc.div_(scales)
        if architecture == "jumprelu":
            b.threshold.div_(scales)
    after = insertion_effects(a, b, x)
    torch.testing.assert_close(after.delta_mse, before.delta_mse, rtol=1e-9, atol=1e-14)
    assert torch.equal(after.fires, before.fires)


def test_duplicates_have_one_effect_and_dead_latents_none(arithmetic: None) -> None:
    a, b = pair("standard", "standard")
    effects = insertion_effects(a, b, random_activations(40))
    assert effects.fires[0] == 0 and effects.delta_mse[0] == 0
    assert effects.fires[1] > 0 and effects.delta_mse[1] == pytest.approx(float(effects.delta_mse[2]), rel=1e-12)


def test_data_on_which_nothing_fires(arithmetic: None) -> None:
    a, b = pair("standard", "standard")
    with torch.no_grad():
        b.b_enc.fill_(-1e6)
    effects = insertion_effects(a, b, random_activations(8))
    assert bool(effects.silent.all()) and not effects.delta_mse.any()


# --- stitched SAEs as objects


@pytest.mark.parametrize(("small", "large"), PAIRS)
@pytest.mark.parametrize("bias", [(True, True), (True, False), (False, True), (False, False)])
def test_insert_adds_exactly_the_chosen_parts(small: str, large: str, bias: tuple[bool, bool], tmp_path: Any) -> None:
    (a, b), x = pair(small, large, bias=bias), random_activations(40)
    effects = insertion_effects(a, b, x)
    novel = (effects.delta_mse < 0).nonzero().flatten()
    assert 1 < len(novel) < N_LARGE
    stitched = insert(a, b, novel)
    f_small, f_novel = a.encode(x), b.encode(x)[:, novel]
    by_hand = f_small @ a.W_dec + a.b_dec + f_novel @ b.W_dec[novel]
    torch.testing.assert_close(stitched(x), by_hand)
    torch.testing.assert_close(stitched.encode(x), torch.cat([f_small, f_novel], 1))
    assert stitched.cfg.architecture() == ("standard" if (small, large) == ("standard", "standard") else "jumprelu")
    stitched.save_model(tmp_path)
    loaded = SAE.load_from_disk(tmp_path)
    assert torch.equal(loaded(x), stitched(x)) and type(loaded) is type(stitched)
    assert loaded.cfg.to_dict() == stitched.cfg.to_dict()


@pytest.mark.parametrize("latent", [1, 5, 11])
def test_one_insertion_changes_the_error_by_its_effect(latent: int) -> None:
    (a, b), x = pair("jumprelu", "standard", bias=(False, True)), random_activations(60)
    effects = insertion_effects(a, b, x)
    change = reconstruction(insert(a, b, [latent]), x).mse - reconstruction(a, x).mse
    assert change == pytest.approx(float(effects.delta_mse[latent]), rel=1e-9)


def test_insert_in_float32_and_mixed_dtypes() -> None:
    a, b = random_sae("standard", N_SMALL, dtype="float32"), random_sae("jumprelu", N_LARGE, seed=4)
    x = random_activations(40)
    assert insert(a, b, [3]).W_dec.dtype == torch.float64  # the wider of the two: nothing is rounded away
    narrow = insert(a, random_sae("standard", N_LARGE, seed=4, dtype="float32"), [3, 5])
    assert narrow.W_dec.dtype == torch.float32 and narrow.cfg.dtype == "float32"
    expected = a.encode(x) @ a.W_dec + a.b_dec + (b_float := b.to(torch.float32)).encode(x)[:, [3]] @ b_float.W_dec[[3]]
    torch.testing.assert_close(insert(a, b_float, [3])(x.float()), expected, rtol=1e-5, atol=1e-5)


def test_no_latents_give_a_copy_that_is_independent() -> None:
    (a, b), x = pair("standard", "standard"), random_activations(20)
    before = a(x).clone()
    stitched = insert(a, b, [])
    torch.testing.assert_close(stitched(x), before)
    with torch.no_grad():
        stitched.W_dec.zero_()
        stitched.b_dec.zero_()
    assert torch.equal(a(x), before)


def test_metadata_and_history() -> None:
    known = {"model_name": "world", "hook_name": "blocks.2.hook_resid_pre"}
    a, b = random_sae("standard", N_SMALL, metadata=known), random_sae("jumprelu", N_LARGE, seed=4, metadata=known)
    once = insert(a, b, [4, 2])
    twice = insert(once, b, torch.tensor([7]))
    assert twice.cfg.metadata.hook_name == known["hook_name"] and twice.cfg.metadata.model_name == "world"
    assert [step["parts"][1]["latents"] for step in twice.cfg.metadata.stitch_history] == [[4, 2], [7]]
    base = twice.cfg.metadata.stitch_history[1]["parts"][0]
    assert (base["architecture"], base["d_sae"]) == ("jumprelu", N_SMALL + 2)
    assert a.cfg.metadata.stitch_history is None


def test_insert_refuses_bad_latents() -> None:
    a, b = pair("standard", "standard")
    with pytest.raises(ConfigError, match=r"\[17, -1\] are outside the large SAE's range 0 to 16"):
        insert(a, b, [0, 17, -1])
    with pytest.raises(ConfigError, match=r"\[3\] are listed more than once"):
        insert(a, b, [3, 5, 3])


# --- what can be stitched


def test_batchtopk_is_refused_until_saved_and_reloaded(tmp_path: Any) -> None:
    training = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=12, d_sae=N_LARGE, k=3, dtype="float64"))
    with torch.no_grad():
        training.topk_threshold.fill_(0.8)
    with pytest.raises(ConfigError, match="'batchtopk'.*compete.*save_inference_model.*JumpReLU"):
        require_independent(training)
    training.save_inference_model(tmp_path)
    reloaded = SAE.load_from_disk(tmp_path)
    assert_equals_brute_force(random_sae("standard", N_SMALL), reloaded, random_activations(40), rtol=1e-6)


@pytest.mark.parametrize("refused", [insertion_effects, lambda a, b, x: insert(a, b, [0])])
def test_topk_is_refused_on_either_side(refused: Callable[..., Any]) -> None:
    topk, relu, x = random_sae("topk", N_LARGE), random_sae("standard", N_SMALL), random_activations(8)
    with pytest.raises(ConfigError, match="the large SAE has architecture 'topk'"):
        refused(relu, topk, x)
    with pytest.raises(ConfigError, match="the small SAE has architecture 'topk'"):
        refused(topk, relu, x)


@pytest.mark.parametrize(
    ("scaling", "remedy"),
    [
        ("expected_average_only_in", "fold it first with fold_activation_norm_scaling_factor"),
        ("covariance_whitening", "fold_activation_whitening"),
        ("layer_norm", "its own factor"),
        ("constant_norm_rescale", "its own factor"),
    ],
)
def test_input_scalings_are_refused_with_the_remedy(scaling: Any, remedy: str) -> None:
    scaled = random_sae("standard", N_LARGE, normalize_activations=scaling)
    with pytest.raises(ConfigError, match=remedy):
        require_stitchable(random_sae("standard", N_SMALL), scaled)


def test_a_folded_scaling_is_accepted() -> None:
    scaled = random_sae("standard", N_LARGE, normalize_activations="expected_average_only_in")
    scaled.fold_activation_norm_scaling_factor(2.0)
    assert_equals_brute_force(random_sae("standard", N_SMALL), scaled, random_activations(20), rtol=1e-6)


def test_reshaped_heads_are_refused() -> None:
    heads = random_sae(
        "standard", N_LARGE, reshape_activations="hook_z", metadata={"hook_name": "blocks.0.attn.hook_z"}
    )
    with pytest.raises(ConfigError, match="turn_off_forward_pass_hook_z_reshaping"):
        require_stitchable(random_sae("standard", N_SMALL), heads)
    heads.turn_off_forward_pass_hook_z_reshaping()
    require_stitchable(random_sae("standard", N_SMALL), heads)


@pytest.mark.parametrize("field", ["model_name", "hook_name", "hook_head_index"])
def test_other_models_and_hook_points_are_refused(field: str) -> None:
    a = random_sae("standard", N_SMALL, metadata={field: "first"})
    b = random_sae("standard", N_LARGE, metadata={field: "second"})
    with pytest.raises(ConfigError, match=f"{field} = 'first' and the large SAE 'second'"):
        require_stitchable(a, b)
    require_stitchable(a, random_sae("standard", N_LARGE))  # unknown is not different


def test_other_shapes_are_refused() -> None:
    a, b = random_sae("standard", N_SMALL, d_in=12), random_sae("standard", N_LARGE, d_in=8)
    with pytest.raises(ConfigError, match="d_in = 12 and the large SAE 8"):
        insertion_effects(a, b, random_activations(8))
    with pytest.raises(ConfigError, match="d_model = 12 and the SAE has d_in = 8"):
        insertion_effects(b, b, random_activations(8))
    with pytest.raises(ConfigError, match="0 tokens"):
        insertion_effects(a, a, random_activations(0))
    with pytest.raises(ConfigError, match="batch_size"):
        insertion_effects(a, a, random_activations(8), batch_size=0)


def test_non_finite_activations_are_refused() -> None:
    (a, b), x = pair("standard", "standard"), random_activations(8)
    x[5, 3] = float("nan")
    with pytest.raises(ConfigError, match="token 5, coordinate 3"):
        insertion_effects(a, b, x)
