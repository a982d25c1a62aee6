"""Rows of a norm far above the others', and the activations that users have: against arithmetic in full, in float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from saehelpers import random_activations, random_sae

from canonlib import toy
from canonlib.errors import ConfigError
from canonlib.rows import Rows, as_rows
from canonlib.sae.doubts import doubt, trained_l0
from canonlib.sae.metrics import reconstruction
from canonlib.sae.outliers import ordinary_rows, typical_norm
from canonlib.sae.training import train
from canonlib.stitch import classify, insert, insertion_effects, pool
from canonlib.tiers import Family

D = 12
FAMILY = Family("standard", "all", sizes=(8,), sparsities=(1.0,), steps=30, batch=64, lr=3e-3)


def with_outliers(n: int = 400, every: int = 100, times: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations of which one in ``every`` has ``times`` the norm, and which those are."""
    x = random_activations(n, D, dtype=torch.float32)
    far = torch.arange(n) % every == 7
    x[far] *= times
    return x, far


def fvu(sae: Any, x: torch.Tensor) -> float:
    """Residual over mean-centred variance, in float64."""
    left = (x.double() - sae(x).double()).square().sum()
    return float(left / (x.double() - x.double().mean(0)).square().sum())


# --- measuring


@pytest.mark.parametrize("batch_size", [1, 64, 1000])
def test_the_robust_figure_stands_beside(batch_size: int) -> None:
    x, far = with_outliers()
    sae = random_sae("topk", 24, D, dtype="float32")
    with pytest.warns(
        UserWarning, match=r"4 of 400 rows have more than 10 times the median norm and carry 9\d% of all"
    ) as told:
        found = reconstruction(sae, x, batch_size)
    assert found.fvu == pytest.approx(fvu(sae, x), rel=1e-5)
    assert found.fvu_ordinary == pytest.approx(fvu(sae, x[~far]), rel=1e-5)
    assert found.n_outliers == 4 and found.n_tokens == 400
    assert f"FVU is {found.fvu:.3g} with them, {found.fvu_ordinary:.3g} on the others" in str(told[0].message)
    assert Path(told[0].filename).name == "test_outliers.py", "the note points at the caller's line"


@pytest.mark.filterwarnings("ignore:these activations do not look like")
def test_rows_are_left_out_by_the_rule() -> None:
    x, far = with_outliers()
    sae = random_sae("topk", 24, D, dtype="float32")
    kept, wanted = reconstruction(sae, x, max_norm=10), reconstruction(sae, x[~far])
    assert (kept.fvu, kept.l0, kept.mse, kept.n_tokens) == pytest.approx((wanted.fvu, wanted.l0, wanted.mse, 396))
    assert kept.n_outliers == 4 and kept.fires.tolist() == wanted.fires.tolist()


@pytest.mark.filterwarnings("ignore:these activations do not look like")
def test_without_outliers_nothing_is_said_and_nothing_differs(recwarn: pytest.WarningsRecorder) -> None:
    x, sae = random_activations(200, D, dtype=torch.float32), random_sae("standard", 24, D, dtype="float32")
    found = reconstruction(sae, x)
    assert found.fvu == found.fvu_ordinary and found.n_outliers == 0
    assert insertion_effects(random_sae("standard", 7, D, dtype="float32"), sae, x).ordinary is None
    assert not [w for w in recwarn if "median norm" in str(w.message)]


def test_effects_without_outliers_are_given_beside_those_with_them() -> None:
    x, far = with_outliers()
    small, large = random_sae("standard", 7, D, dtype="float32"), random_sae("standard", 24, D, dtype="float32")
    with pytest.warns(UserWarning, match="decide effects .without them"):
        found = insertion_effects(small, large, x)
    ordinary = insertion_effects(small, large, x[~far])
    assert found.ordinary is not None
    assert found.ordinary.delta_mse.tolist() == pytest.approx(ordinary.delta_mse.tolist())
    left_out = insertion_effects(small, large, x, max_norm=10)
    assert left_out.delta_mse.tolist() == pytest.approx(ordinary.delta_mse.tolist()) and left_out.n_tokens == 396
    assert left_out.fires.tolist() == ordinary.fires.tolist()
    turned = int((classify(found).novel != classify(left_out).novel).sum())
    with pytest.warns(UserWarning, match=f"without them {turned} of 24 latents change sides"):
        insertion_effects(small, large, x)
    # All rows together are the sum of both parts, worked out in full.
    r = x.double() - small(x).double()
    f = large.encode(x).double()
    moved = (
        f.square().sum(0) * large.W_dec.double().square().sum(1) - 2 * (f * (r @ large.W_dec.double().T)).sum(0)
    ) / x.numel()
    assert found.delta_mse.tolist() == pytest.approx(moved.tolist(), rel=1e-4)


def test_a_pool_leaves_them_out_too() -> None:
    x, far = with_outliers()
    saes = [random_sae("standard", n, D, dtype="float32") for n in (7, 24)]
    with pytest.warns(UserWarning, match="median norm"):
        pool(saes, x)
    kept, wanted = pool(saes, x, max_norm=10), pool(saes, x[~far])
    assert (
        kept.n_tokens == 396
        and np.allclose(kept.projection, wanted.projection)
        and np.allclose(kept.fires, wanted.fires)
    )


@pytest.mark.parametrize("max_norm", [0, -1, 0.5, float("nan"), float("inf"), "10", True])
def test_a_rule_that_is_none_is_refused(max_norm: Any) -> None:
    with pytest.raises(ConfigError, match="max_norm must be a finite number of at least 1"):
        reconstruction(random_sae("standard", 24, D), random_activations(9, D), max_norm=max_norm)


def test_a_median_of_zero_has_no_multiples() -> None:
    x = random_activations(9, D)
    x[:6] = 0
    with pytest.raises(ConfigError, match="median norm, which is 0"):
        reconstruction(random_sae("standard", 24, D), x, max_norm=10)


# --- doubts


def test_a_wrong_scale_is_doubted_and_the_right_one_is_not() -> None:
    truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    sae = toy.planted_sae(truth, range(12))
    sae.cfg.metadata.l0 = 1.0
    fine = reconstruction(sae, truth.activations)
    assert doubt(fine, sae) is None
    with pytest.warns(UserWarning, match=r"L0 is \d\.\d, and in training it was 1\.0\. Wrong hook point"):
        reconstruction(sae, 100 * torch.randn(2_000, 32, generator=torch.Generator().manual_seed(0)))
    with pytest.warns(UserWarning, match=r"FVU is \d.*their mean alone would reconstruct them better"):
        reconstruction(random_sae("standard", 24, D), random_activations(50, D))


def test_training_says_its_l0() -> None:
    assert trained_l0(random_sae("topk", 24, D)) == 3
    assert trained_l0(random_sae("standard", 24, D)) is None


# --- what is trained on


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """Activations with structure."""
    return toy.planted(n_tokens=600, n_features=12, d_model=D, l0=2.0).activations


def test_every_form_of_the_same_numbers_trains_the_same_sae(x: torch.Tensor, tmp_path: Path) -> None:
    wanted = train(FAMILY, 8, x, seed=0, out=tmp_path / "wanted")
    np.save(tmp_path / "x.npy", x.numpy())
    forms: dict[str, Any] = {
        "float64": x.double(),
        "NumPy": x.numpy(),
        "NumPy, float64": x.double().numpy(),
        "memory-mapped": np.load(tmp_path / "x.npy", mmap_mode="r"),
        "mixed shards": [x[:100].double(), x[100:350].numpy(), x[350:]],
        "rows": Rows([x[:5], x[5:]]),
    }
    for i, (name, form) in enumerate(forms.items()):
        sae = train(FAMILY, 8, form, seed=0, out=tmp_path / str(i))
        assert torch.equal(sae.W_dec, wanted.W_dec), name
    l0 = float(torch.count_nonzero(wanted.encode(x))) / len(x)
    assert json.loads((tmp_path / "wanted/cfg.json").read_text())["metadata"]["l0"] == pytest.approx(l0, abs=0.01)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_are_trained_on_in_float32(x: torch.Tensor, dtype: torch.dtype, tmp_path: Path) -> None:
    sae = train(FAMILY, 8, x.to(dtype), seed=0, out=tmp_path / "half")
    assert torch.equal(sae.W_dec, train(FAMILY, 8, x.to(dtype).float(), seed=0, out=tmp_path / "float").W_dec)
    assert sae.W_dec.dtype == torch.float32


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (lambda x: x.reshape(6, 100, D), rf"got shape \[6, 100, {D}\]: write activations.reshape\(-1, {D}\)"),
        (lambda x: x[0], rf"got shape \[{D}\]"),
        (lambda x: (100 * x).long(), "activations are int64: real numbers are expected"),
        (lambda x: x > 0, "activations are bool"),
        (lambda x: x.to(torch.complex64), "activations are complex64"),
        (lambda x: (100 * x).int().numpy(), "activations are int32"),
        (lambda x: [x, x[:, :3]], "different d_model"),
        (lambda x: [x, x.long()], "shard 1 are int64"),
        (lambda x: "x.npy", "must be a tensor or a NumPy array, got a str"),
        (lambda x: torch.zeros(50, D), r"50 rows, all the same .zeros"),
        (lambda x: x[:1], r"1 rows, all the same"),
        (lambda x: x[:1].expand(40, -1), r"40 rows, all the same .one token"),
        (lambda x: x[:0], "at least one row"),
        (lambda x: 1e300 * x.double(), "not finite"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_by_name(x: torch.Tensor, form: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        train(FAMILY, 8, form(x), seed=0, out=tmp_path / "sae")
    assert not (tmp_path / "sae").exists()


@pytest.mark.parametrize(
    "measure", [reconstruction, lambda s, x: insertion_effects(s, s, x), lambda s, x: pool([s], x)]
)
def test_what_cannot_be_measured_on_is_refused_by_name(measure: Any, x: torch.Tensor) -> None:
    sae = random_sae("standard", 24, D)
    for form, told in (
        (x.reshape(6, 100, D), "write activations.reshape"),
        (x.long(), "int64"),
        ("x.npy", "got a str"),
    ):
        with pytest.raises(ConfigError, match=told):
            measure(sae, form)


def test_training_tells_of_outliers_and_leaves_them_out(x: torch.Tensor, tmp_path: Path) -> None:
    far = torch.arange(len(x)) % 100 == 7
    spoilt = torch.where(far[:, None], 100 * x, x)
    with pytest.warns(UserWarning, match=r"they decide scale, mean and loss.*max_norm .--max-norm. of 10"):
        train(FAMILY, 8, spoilt, seed=0, out=tmp_path / "told")
    sae = train(FAMILY, 8, spoilt, seed=0, out=tmp_path / "out", max_norm=10)
    wanted = train(
        FAMILY, 8, spoilt[spoilt.norm(dim=1) <= 10 * spoilt.norm(dim=1).median()], seed=0, out=tmp_path / "wanted"
    )
    assert torch.equal(sae.W_dec, wanted.W_dec)


def test_outliers_in_step_with_the_texts_are_seen() -> None:
    """The first of 128 positions, and as many rows as make an even stride of 128: the stride would see nothing else."""
    x = torch.ones(2**21, 2)
    x[::128] *= 3_000
    assert typical_norm(x) == pytest.approx(2**0.5)
    heard: list[str] = []
    assert len(ordinary_rows(x, tell=heard.append)) == len(x) and len(ordinary_rows(x, 10)) == len(x) - 2**14
    assert len(heard) == 1 and "of 16,384 rows looked at" in heard[0]


def test_a_stitched_sae_is_not_doubted_for_another_l0() -> None:
    small, large = random_sae("standard", 7, D), random_sae("standard", 24, D)
    small.cfg.metadata.l0 = large.cfg.metadata.l0 = 0.5
    both = insert(small, large, range(24))
    assert trained_l0(small) == 0.5 and trained_l0(both) is None


def test_squares_beyond_float64_are_refused() -> None:
    with pytest.raises(ConfigError, match="overflow"):
        reconstruction(random_sae("standard", 24, D), 1e200 * random_activations(9, D))


def test_rows_within_a_limit_keep_their_places() -> None:
    x, far = with_outliers()
    rows = Rows([x[:150], x[150:]], chosen=torch.arange(100, 400))
    assert torch.equal(rows.within(50).sample(1000), x[100:][~far[100:]])
    assert typical_norm(as_rows(x)) == pytest.approx(float(x.norm(dim=1).median()))
    assert len(ordinary_rows(x, 10)) == 396
