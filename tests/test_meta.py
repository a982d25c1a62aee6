"""Meta-SAEs on a planted decoder, whose every row is a sum of three or four of 24 known atoms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from canonlib.errors import ConfigError
from canonlib.meta import (
    MetaConfig,
    MetaReport,
    MetaSAE,
    decompose,
    gaussian_directions,
    held_out_variance,
    meta_activations,
    random_directions,
    recipe,
    shuffled_coordinates,
    train_meta_sae,
    untrained_directions,
    users,
    variance_explained,
    with_controls,
)
from canonlib.meta import training as training_module

N, D_MODEL, ATOMS = 600, 64, 24
CONFIG = MetaConfig(n_latents=32, k=3.5, steps=500, batch_size=200)
SHORT = MetaConfig(n_latents=8, k=2, steps=5, batch_size=50)


def planted() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Unit atoms ``[24, 64]``, which of them each row holds ``[600, 24]``, and the rows ``[600, 64]``."""
    generator = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(ATOMS, D_MODEL, generator=generator), dim=1)
    holds = torch.zeros(N, ATOMS, dtype=torch.bool)
    for i in range(N):
        holds[i, torch.randperm(ATOMS, generator=generator)[: 3 + i % 2]] = True
    weights = 0.8 + 0.4 * torch.rand(N, ATOMS, generator=generator)
    return atoms, holds, (holds * weights) @ atoms


@pytest.fixture(scope="module")
def decoder() -> torch.Tensor:
    return planted()[2]


@pytest.fixture(scope="module")
def meta(decoder: torch.Tensor) -> MetaSAE:
    return train_meta_sae(decoder, CONFIG, progress=False)


def centred(rows: torch.Tensor) -> torch.Tensor:
    """Rows without their mean, at unit length."""
    return torch.nn.functional.normalize(rows - rows.mean(0), dim=1)


def weights(model: MetaSAE) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.sae.state_dict().items()}


def same(a: MetaSAE, b: MetaSAE) -> bool:
    ours, theirs = weights(a), weights(b)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_meta_latents_are_the_planted_atoms(meta: MetaSAE) -> None:
    # Every row holds 3 or 4 atoms of like weight, so a shift common to all atoms can hide in the decoder bias: only
    # what is left after taking the mean out of both sets is determined by the rows.
    found = centred(meta.sae.W_dec) @ centred(planted()[0]).T
    assert (found.amax(0) > 0.9).double().mean() > 0.85
    assert meta.report.variance_explained > 0.8
    assert meta.report.dead_fraction < 0.3  # 24 of the 32 would do
    assert meta.report.loss[-1] < 0.5 * meta.report.loss[0]


def test_controls_explain_far_less(meta: MetaSAE, decoder: torch.Tensor) -> None:
    reports = with_controls(decoder, CONFIG, progress=False, real=meta)
    assert list(reports) == ["real", "untrained", "shuffled", "gaussian"]
    assert reports["real"] == meta.report
    assert max(reports["untrained"].variance_explained, reports["shuffled"].variance_explained) < 0.5
    with pytest.raises(ConfigError, match="real was trained with"):
        with_controls(decoder, SHORT, progress=False, real=meta)


def test_the_report_says_what_the_saved_sae_does(meta: MetaSAE, decoder: torch.Tensor) -> None:
    unit = decoder / decoder.norm(dim=1, keepdim=True)
    active = meta.sae.encode(unit)
    rebuilt = active @ meta.sae.W_dec + meta.sae.b_dec
    explained = 1 - (unit - rebuilt).square().sum() / (unit - unit.mean(0)).square().sum()
    assert meta.report.variance_explained == pytest.approx(float(explained), abs=1e-5)
    assert meta.report.l0 == int((active > 0).sum()) / N
    assert meta.report.dead_fraction == int((active == 0).all(0).sum()) / 32
    assert abs(meta.report.l0 - CONFIG.k) <= 0.05 * CONFIG.k
    assert meta.sae.threshold.unique().tolist() == [meta.report.threshold]
    torch.testing.assert_close(meta.sae.W_dec.norm(dim=1), torch.ones(32))
    assert variance_explained(meta, 3.0 * decoder) == pytest.approx(meta.report.variance_explained, abs=1e-6)


def test_a_drifted_threshold_is_calibrated_to_exactly_k(decoder: torch.Tensor) -> None:
    report = train_meta_sae(decoder, MetaConfig(n_latents=16, k=2.5, steps=20), progress=False).report
    assert report.calibrated  # SAELens's running threshold has barely left zero after 20 steps
    assert abs(report.trained_l0 - 2.5) > 0.05 * 2.5
    assert report.l0 == 2.5


def test_a_threshold_that_has_not_drifted_is_kept(decoder: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "DRIFT", 100.0)
    report = train_meta_sae(decoder, MetaConfig(n_latents=16, k=2.5, steps=20), progress=False).report
    assert not report.calibrated
    assert report.l0 == report.trained_l0 != 2.5


def test_decompose_finds_the_atoms_of_a_row(meta: MetaSAE, decoder: torch.Tensor) -> None:
    atoms, holds, _ = planted()
    atom_of = (centred(meta.sae.W_dec) @ centred(atoms).T).argmax(1)
    hits = found = 0
    for latent in range(50):
        parts = decompose(meta, latent, decoder)
        truth = set(holds[latent].nonzero().flatten().tolist())
        hits += len(truth & set(atom_of[parts.meta_latents].tolist()))
        found += len(parts)
    assert hits > 0.85 * int(holds[:50].sum())
    assert hits > 0.85 * found


def test_decomposition_adds_up(meta: MetaSAE, decoder: torch.Tensor) -> None:
    parts = decompose(meta, decoder[3])
    by_index = decompose(meta, 3, decoder)
    assert torch.equal(parts.meta_latents, by_index.meta_latents)
    assert parts.activations.tolist() == sorted(parts.activations.tolist(), reverse=True)
    unit = decoder[3] / decoder[3].norm()
    rebuilt = meta.sae.b_dec + parts.activations @ meta.sae.W_dec[parts.meta_latents]
    assert parts.residual_norm == pytest.approx(float((unit - rebuilt).norm()), abs=1e-5)
    assert parts.cosine_to_reconstruction == pytest.approx(float(unit @ rebuilt / rebuilt.norm()), abs=1e-5)


def test_users_is_the_inverse_of_decompose(meta: MetaSAE, decoder: torch.Tensor) -> None:
    busiest = int((meta_activations(meta, decoder) > 0).sum(0).argmax())
    found = users(meta, decoder, busiest)
    assert len(found.latents) > 0
    assert found.activations.tolist() == sorted(found.activations.tolist(), reverse=True)
    expected = {i for i in range(N) if busiest in decompose(meta, i, decoder).meta_latents.tolist()}
    assert set(found.latents.tolist()) == expected


def test_a_saved_meta_sae_loads_as_it_was(meta: MetaSAE, decoder: torch.Tensor, tmp_path: Path) -> None:
    from sae_lens import SAE

    again = MetaSAE.load(meta.save(tmp_path / "meta"))
    assert torch.equal(meta_activations(again, decoder), meta_activations(meta, decoder))
    assert (again.config, again.report) == (meta.config, meta.report)
    plain = SAE.load_from_disk(tmp_path / "meta")
    assert plain.cfg.architecture() == "jumprelu"
    assert torch.equal(meta_activations(plain, decoder), meta_activations(meta, decoder))


def test_a_broken_folder_is_named(meta: MetaSAE, tmp_path: Path) -> None:
    folder = meta.save(tmp_path / "meta")
    content = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({"config": {}, "report": content["report"]}))
    with pytest.raises(ConfigError, match="MetaConfig lacks n_latents"):
        MetaSAE.load(folder)
    (folder / "meta.json").unlink()
    with pytest.raises(ConfigError, match=r"meta\.json missing"):
        MetaSAE.load(folder)


def test_one_seed_fixes_every_bit_and_leaves_the_global_state_alone(decoder: torch.Tensor) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train_meta_sae(decoder, SHORT, progress=False)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(first, train_meta_sae(decoder, SHORT, progress=False))
    other = MetaConfig(**{**SHORT.to_json(), "seed": 1})
    assert not same(first, train_meta_sae(decoder, other, progress=False))
    assert MetaReport.from_json(json.loads(json.dumps(first.report.to_json()))) == first.report


def test_random_start_and_uncentred_bias_are_other_recipes(decoder: torch.Tensor) -> None:
    recipes: list[dict[str, Any]] = [{}, {"init": "random"}, {"centred": False}, {"init": "random", "seed": 1}]
    trained = [train_meta_sae(decoder, MetaConfig(8, k=2, steps=5, **r), progress=False) for r in recipes]
    assert not same(trained[0], trained[1])
    assert not same(trained[0], trained[2])
    assert not same(trained[1], trained[3])


def test_progress_is_shown_only_when_asked_for(decoder: torch.Tensor, capfd: pytest.CaptureFixture[str]) -> None:
    train_meta_sae(decoder, SHORT, progress=False)
    assert capfd.readouterr().err == ""
    train_meta_sae(decoder, SHORT, progress=True)
    assert "meta-SAE" in capfd.readouterr().err


def test_controls_keep_what_they_say_and_nothing_else(decoder: torch.Tensor) -> None:
    unit = decoder / decoder.norm(dim=1, keepdim=True)
    drawn, shuffled = random_directions(decoder, seed=0), shuffled_coordinates(decoder, seed=0)
    for rows in (drawn, shuffled):
        assert rows.shape == decoder.shape
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(N))
    assert float(drawn.mean(0).norm()) < 0.1
    # Lengths stay near 1 after shuffling, so each coordinate keeps its sorted values up to that factor.
    close = torch.corrcoef(torch.stack([shuffled.sort(0).values.flatten(), unit.sort(0).values.flatten()]))[0, 1]
    assert close > 0.98
    assert float((shuffled * unit).sum(1).abs().mean()) < 0.3
    assert torch.equal(shuffled, shuffled_coordinates(decoder, seed=0))
    assert not torch.equal(shuffled, shuffled_coordinates(decoder, seed=1))
    assert not torch.equal(drawn, random_directions(decoder, seed=1))


def test_the_gaussian_control_keeps_mean_and_covariance_alone() -> None:
    # Many rows near a plane, far from Gaussian: two lumps. Drawn rows lie in the same ellipse, without the lumps.
    generator = torch.Generator().manual_seed(0)
    lump = torch.randint(0, 2, (4000, 1), generator=generator) * 2.0 - 1
    rows = torch.cat([lump, torch.zeros(4000, 3)], 1) * 0.1 + 0.02 * torch.randn(4000, 4, generator=generator)
    rows = torch.nn.functional.normalize(rows + torch.tensor([0.0, 1.0, 0.0, 0.0]), dim=1)
    drawn = gaussian_directions(rows, seed=0)
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(4000))
    torch.testing.assert_close(drawn.mean(0), rows.mean(0), atol=5e-3, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), rows.T.cov(), atol=5e-4, rtol=0)
    assert float(rows.T.cov()[0, 0]) > 0.009  # what the tolerance is small against
    assert (
        float((rows[:, 0].abs() < 0.03).double().mean())
        < 0.01
        < 0.2
        < float((drawn[:, 0].abs() < 0.03).double().mean())
    )
    assert torch.equal(drawn, gaussian_directions(rows, seed=0))
    assert not torch.equal(drawn, gaussian_directions(rows, seed=1))


def test_an_untrained_decoder_is_what_saelens_starts_with(decoder: torch.Tensor) -> None:
    before = torch.get_rng_state()
    drawn = untrained_directions(decoder, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert drawn.shape == decoder.shape
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(N))
    # Uniform coordinates, as Kaiming's rule draws them: the largest is the root of three times their spread.
    assert float(drawn.abs().amax() / drawn.std()) == pytest.approx(3**0.5, abs=0.5)
    assert float(random_directions(decoder, seed=0).abs().amax() / drawn.std()) > 3
    assert torch.equal(drawn, untrained_directions(decoder, seed=0))
    assert not torch.equal(drawn, untrained_directions(decoder, seed=1))


def test_the_fast_trainer_trains_what_saelens_would(decoder: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    from sae_lens.training.sae_trainer import SAETrainer

    from canonlib.sae import fast

    class Slow(SAETrainer[Any, Any]):
        def release(self) -> None:
            """Nothing to release."""

    ours = train_meta_sae(decoder, MetaConfig(16, k=2, steps=30), progress=False)
    monkeypatch.setattr(fast, "FastTrainer", Slow)
    theirs = train_meta_sae(decoder, MetaConfig(16, k=2, steps=30), progress=False)
    assert ours.report.loss == pytest.approx(theirs.report.loss, rel=1e-5)
    assert ours.report.variance_explained == pytest.approx(theirs.report.variance_explained, abs=1e-5)


def test_recipes_are_as_their_sources_say() -> None:
    paper, post, released, saebench = (recipe(n, 2304, 49_152) for n in ("paper", "post", "released", "saebench"))
    assert (paper.steps * paper.batch_size, paper.lr) == (2000 * 49_152, 1e-4)  # 2,000 epochs
    assert (post.steps, post.batch_size) == (2000, 16_384)
    assert (released.lr, released.beta2, released.encoder_bias, released.aux_coefficient) == (1e-3, 0.99, False, 1 / 16)
    assert (saebench.steps, saebench.batch_size, saebench.lr, saebench.sampling) == (1500, 1024, 5e-4, "replacement")
    assert {r.k for r in (paper, post, released, saebench)} == {4.0}
    assert recipe("paper", 8, 600).steps == 2000 and recipe("paper", 8, 600).rows_per_step(600) == 600
    assert saebench.rows_per_step(600) == 1024  # drawn with replacement
    assert recipe("canonlib", 8, 600, seed=3) == MetaConfig(8, seed=3)
    with pytest.raises(ConfigError, match="unknown recipe 'papr'. Did you mean 'paper'"):
        recipe("papr", 8, 600)
    with pytest.raises(ConfigError, match="field of MetaConfig 'sed'"):
        recipe("paper", 8, 600, sed=1)


def test_an_unused_encoder_bias_stays_zero_and_batches_may_repeat_rows(decoder: torch.Tensor) -> None:
    trained = train_meta_sae(decoder, MetaConfig(8, k=2, steps=20, encoder_bias=False), progress=False)
    assert float(trained.sae.b_enc.abs().max()) == 0
    assert float(train_meta_sae(decoder, MetaConfig(8, k=2, steps=20), progress=False).sae.b_enc.abs().max()) > 0
    config = MetaConfig(8, k=2, steps=5, batch_size=1000, sampling="replacement")
    drawn = next(training_module._batches(decoder, 1000, config, torch.Generator().manual_seed(0)))
    assert drawn.shape == (1000, D_MODEL) and len(torch.unique(drawn, dim=0)) < N
    epochs = training_module._batches(decoder, 300, SHORT, torch.Generator().manual_seed(0))
    assert len(torch.unique(torch.cat([next(epochs), next(epochs)]), dim=0)) == N


def test_held_out_rows_are_not_trained_on(decoder: torch.Tensor) -> None:
    kept, held_out = held_out_variance(decoder, CONFIG, progress=False)
    assert 0.5 < held_out < kept
    # Random rows have nothing in common: what is explained in sample is of no use on others.
    noise = random_directions(decoder, seed=3)
    kept, held_out = held_out_variance(noise, CONFIG, share=0.5, progress=False)
    assert held_out < 0.5 * kept
    with pytest.raises(ConfigError, match="share 0.0 of 600 directions holds out 0"):
        held_out_variance(decoder, SHORT, share=0.0)


def test_bad_directions_are_named(meta: MetaSAE, decoder: torch.Tensor) -> None:
    for value in (0.0, float("nan")):
        broken = decoder.clone()
        broken[7] = value
        with pytest.raises(ConfigError, match="latents 7"):
            train_meta_sae(broken, SHORT, progress=False)
    with pytest.raises(ConfigError, match="only 7 distinct directions"):
        train_meta_sae(decoder[:7], SHORT, progress=False)
    with pytest.raises(ConfigError, match="directions have d_model = 32"):
        meta_activations(meta, decoder[:, :32])
    with pytest.raises(ConfigError, match="all 2 directions are the same"):
        variance_explained(meta, decoder[[1, 1]])


def test_duplicate_rows_are_warned_of_and_never_start_two_meta_latents(decoder: torch.Tensor) -> None:
    doubled = torch.cat([decoder[:10], 2 * decoder[:10]])
    config = MetaConfig(n_latents=10, k=2, steps=1, lr=1e-9)
    with pytest.warns(UserWarning, match="10 of 20 decoder directions are copies"):
        trained = train_meta_sae(doubled, config, progress=False)
    cosines = trained.sae.W_dec @ trained.sae.W_dec.T - 2 * torch.eye(10)
    assert float(cosines.max()) < 0.999
    with pytest.raises(ConfigError, match="only 10 distinct"):
        train_meta_sae(doubled, MetaConfig(n_latents=11, k=2, steps=1), progress=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_latents", 0), ("k", 0), ("k", float("nan")), ("k", True), ("lr", -1.0), ("lr", float("inf")),
        ("steps", 2.5), ("batch_size", 0), ("seed", -1), ("seed", 1.0), ("dead_after", 0), ("aux_coefficient", -0.1),
        ("centred", 1), ("init", "dat"), ("encoder_bias", 0), ("sampling", "epoch"), ("decay", 1.0), ("beta2", -0.1),
    ],
)  # fmt: skip
def test_bad_configuration_names_its_field(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=field):
        MetaConfig(**{"n_latents": 8, field: value})  # type: ignore[arg-type]


def test_k_above_the_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"k \(9\) must not exceed n_latents \(8\)"):
        MetaConfig(n_latents=8, k=9)


def test_bad_indices_are_named(meta: MetaSAE, decoder: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="latent 3 is an index"):
        decompose(meta, 3)
    with pytest.raises(ConfigError, match="latent must be a whole number from 0 to 599, got 600"):
        decompose(meta, 600, decoder)
    with pytest.raises(ConfigError, match=r"shape \[d_model\]"):
        decompose(meta, decoder)
    with pytest.raises(ConfigError, match="meta_latent must be a whole number from 0 to 31, got -1"):
        users(meta, decoder, -1)
