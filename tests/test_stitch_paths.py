"""Swaps, paths and gathered dictionaries, against reconstructions in full."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_lens import SAE
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from saehelpers import random_activations, random_sae

from canonlib.compare import pairs_above
from canonlib.errors import ConfigError
from canonlib.sae.metrics import reconstruction
from canonlib.stitch import (
    Group,
    Mixture,
    Move,
    Part,
    combine,
    frankenstein,
    greedy_order,
    insertion_effects,
    plan,
    pool,
    swap,
    swap_effects,
    swap_groups,
    walk,
)  # fmt: skip
from canonlib.stitch.path import BIASES

KINDS = ["standard", "jumprelu", "gated"]
N_SMALL, N_LARGE = 6, 9


def pair(small: str, large: str, seed: int = 0, subtract: tuple[bool, bool] = (True, False)) -> tuple[Any, Any]:
    """Two random SAEs with biases and norms of their own; the large one's latent 0 is dead, 1 and 2 are the same."""
    a = random_sae(small, N_SMALL, seed=seed + 3, apply_b_dec_to_input=subtract[0])
    b = random_sae(large, N_LARGE, seed=seed + 4, apply_b_dec_to_input=subtract[1])
    with torch.no_grad():
        for name, parameter in b.named_parameters():
            if name in ("b_enc", "b_gate"):
                parameter[0] = -1e6
            if name == "W_enc":
                parameter[:, 2] = parameter[:, 1]
            elif name != "b_dec":
                parameter[2] = parameter[1]
    return a, b


@torch.no_grad()
def brute(parts: list[tuple[Any, list[int]]], bias: torch.Tensor, x: torch.Tensor) -> tuple[float, float]:
    """MSE and L0 of the latents together, token by token."""
    error, active = 0.0, 0
    for t in range(len(x)):
        rebuilt = bias.double().clone()
        for sae, latents in parts:
            f = sae.encode(x[t : t + 1])[0]
            for j in latents:
                rebuilt += f[j].double() * sae.W_dec[j].double()
                active += int(f[j] != 0)
        error += float(((x[t].double() - rebuilt) ** 2).sum())
    return error / x.numel(), active / len(x)


def some_path(a: Any, b: Any, x: torch.Tensor, threshold: float = 0.3) -> Any:
    effects = insertion_effects(a, b, x)
    novel = (effects.delta_mse < 0).nonzero()[:, 0].tolist()
    rest = [j for j in range(N_LARGE) if j not in novel]
    groups = swap_groups(a, b, threshold, of_large=rest)
    return walk(pool([a, b], x, batch_size=7), plan(N_SMALL, N_LARGE, novel, groups))


@pytest.mark.parametrize("small", KINDS)
@pytest.mark.parametrize("large", KINDS)
def test_every_point_of_a_path_is_the_full_reconstruction(small: str, large: str) -> None:
    (a, b), x = pair(small, large), random_activations(30)
    path = some_path(a, b, x)
    assert {move.kind for move in path.moves} >= {"insert", "drop"}
    for point in range(len(path.moves) + 1):
        kept, new = path.dictionary(point)
        for kind in BIASES:
            mse, l0 = brute([(a, kept), (b, new)], torch.from_numpy(path.bias(point, kind)), x)
            assert float(path.mse[kind][point]) == pytest.approx(mse, rel=1e-9)
        assert float(path.l0[point]) == pytest.approx(l0)
        assert int(path.size[point]) == len(kept) + len(new)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(KINDS),
    st.integers(0, 50),
    st.booleans(),
    st.booleans(),
    st.floats(-0.2, 0.9),
)
def test_a_path_begins_at_one_sae_and_ends_at_the_other(
    small: str, large: str, seed: int, one: bool, other: bool, threshold: float
) -> None:
    (a, b), x = pair(small, large, seed, (one, other)), random_activations(25, seed=seed)
    path = some_path(a, b, x, threshold)
    assert float(path.mse["small"][0]) == pytest.approx(reconstruction(a, x).mse, rel=1e-9)
    assert float(path.mse["travelling"][-1]) == pytest.approx(reconstruction(b, x).mse, rel=1e-9)
    assert path.dictionary(len(path.moves))[0] == []
    assert sorted(path.dictionary(len(path.moves))[1]) == list(range(N_LARGE))
    for kind in ("small", "travelling"):
        assert bool((path.mse["best"] <= path.mse[kind] * (1 + 1e-12)).all())
    middle = len(path.moves) // 2
    stitched = path.sae(middle, "travelling")
    assert reconstruction(stitched, x).mse == pytest.approx(float(path.mse["travelling"][middle]), rel=1e-6)
    assert reconstruction(stitched, x).l0 == pytest.approx(float(path.l0[middle]))


def test_a_saved_batchtopk_can_be_stitched_and_a_training_one_is_refused(tmp_path: Any) -> None:
    training = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=12, d_sae=N_LARGE, k=3, dtype="float64"))
    training.topk_threshold.fill_(0.2)
    training.save_inference_model(tmp_path)
    a, b, x = (
        random_sae("standard", N_SMALL, seed=3),
        SAE.load_from_disk(tmp_path, dtype="float64"),
        random_activations(30),
    )
    path = some_path(a, b, x)
    for point in (1, len(path.moves) // 2, len(path.moves)):
        kept, new = path.dictionary(point)
        mse, _ = brute([(a, kept), (b, new)], torch.from_numpy(path.bias(point)), x)
        assert float(path.mse["best"][point]) == pytest.approx(mse, rel=1e-6)
    with pytest.raises(ConfigError, match="training checkpoint.*save_inference_model"):
        pool([training], x)


def test_groups_by_hand() -> None:
    # small: e0, e1, e2, e3; large: 0 near e0, 1 and 2 near e1, 3 between e2 and e3, 4 alone.
    a, b = random_sae("standard", 4, d_in=5), random_sae("standard", 5, d_in=5)
    with torch.no_grad():
        a.W_dec.copy_(3 * torch.eye(4, 5))
        b.W_dec.copy_(torch.tensor([
            [1.0, 0, 0, 0, 0.1], [0, 1.0, 0, 0, 0.5], [0, 1.0, 0, 0, -0.5], [0, 0, 1.0, 1.0, 0], [0, 0, 0, 0, 2.0],
        ]))  # fmt: skip
    groups = swap_groups(a, b, 0.7)
    assert [(g.out, g.into, g.kind) for g in groups] == [
        ((0,), (0,), "1-1"), ((1,), (1, 2), "1-n"), ((2, 3), (3,), "n-1"),
    ]  # fmt: skip
    assert [g.cosine for g in groups] == pytest.approx([1 / 1.01**0.5, 1 / 1.25**0.5, 0.5**0.5])
    assert [g.size for g in groups] == [2, 3, 3]
    assert [(g.out, g.into) for g in swap_groups(a, b, 0.7, of_small=[1, 3], of_large=[2, 3])] == [
        ((1,), (2,)),
        ((3,), (3,)),
    ]
    assert swap_groups(a, b, 0.7, of_large=[4]) == []
    assert swap_groups(a, b, 0.7, of_large=[]) == []
    (everything,) = swap_groups(a, b, -1.0)
    assert everything.kind == "n-n"
    assert everything.size == 9


def test_swap_effects_equal_the_swapped_saes() -> None:
    (a, b), x = pair("jumprelu", "standard"), random_activations(40)
    groups = [Group((0,), (3,), 0.0), Group((1, 2), (1, 2, 5), 0.0), Group((4,), (0,), 0.0), Group((), (6,), 0.0)]
    effects = swap_effects(pool([a, b], x), groups)
    before = reconstruction(a, x)
    for group, mse, l0 in zip(groups, effects.delta_mse.tolist(), effects.delta_l0.tolist(), strict=True):
        after = reconstruction(swap(a, b, group.out, group.into), x)
        assert mse == pytest.approx(after.mse - before.mse, rel=1e-6, abs=1e-12)
        assert l0 == pytest.approx(after.l0 - before.l0)
    alone = insertion_effects(a, b, x).delta_mse[6]
    assert float(effects.delta_mse[3]) == pytest.approx(float(alone), rel=1e-6)


@pytest.mark.parametrize("best", [True, False])
def test_effects_follow_the_mixture(best: bool) -> None:
    (a, b), x = pair("standard", "jumprelu"), random_activations(40)
    b_dec = None if best else a.b_dec.detach().double().numpy()
    mixture = Mixture(pool([a, b], x, batch_size=16), start=0)

    def mse(numbers: set[int]) -> float:
        inside = [i for i in numbers if i < N_SMALL], [i - N_SMALL for i in numbers if i >= N_SMALL]
        parts = [(sae, sorted(latents)) for sae, latents in zip((a, b), inside, strict=True)]
        bias = a.b_dec.detach()
        if best:
            bias = (x - sum(s.encode(x)[:, i] @ s.W_dec[i] for s, i in parts)).mean(0).detach()
        return brute(parts, bias, x)[0]

    members = set(range(N_SMALL))
    for numbers in ([9], [2, 7], [8, 9], [2]):
        preview, before = mixture.preview(numbers), mse(members)
        mixture.change(numbers)
        members ^= set(numbers)
        assert set(np.flatnonzero(mixture.inside)) == members
        assert (mixture.size, mixture.mse(b_dec)) == (len(members), pytest.approx(mse(members), rel=1e-9))
        if not best:
            assert preview.effect(b_dec) / x.numel() == pytest.approx(mse(members) - before, rel=1e-9)
        effects = mixture.effects(b_dec) / x.numel()
        for i in range(N_SMALL + N_LARGE):
            assert float(effects[i]) == pytest.approx(mse(members ^ {i}) - mse(members), rel=1e-6, abs=1e-10)


def test_a_pool_holds_what_latents_do_together() -> None:
    (a, b), x = pair("gated", "standard"), random_activations(30)
    both = pool([a, b], x, batch_size=11)
    out = torch.cat([sae.encode(x)[..., None] * sae.W_dec for sae in (a, b)], dim=1).detach()  # [tokens, latents, d]
    np.testing.assert_allclose(both.gram.toarray(), torch.einsum("tid,tjd->ij", out, out), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(both.projection, torch.einsum("tid,td->i", out, x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(both.writes, out.sum(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(both.fires, (out.abs().sum(2) > 0).sum(0))
    empty = Mixture(both)
    assert (empty.size, empty.l0) == (0, 0)
    assert empty.mse() == pytest.approx(float((x - x.mean(0)).square().mean()), rel=1e-12)
    assert empty.mse(np.zeros(12)) == pytest.approx(float(x.square().mean()), rel=1e-12)
    assert both.sizes() == (N_SMALL, N_LARGE)
    assert both.numbers(1, [0, 8]) == [N_SMALL, N_SMALL + 8]


def test_greedy_order_takes_the_best_of_those_left_and_the_silent_last() -> None:
    (a, b), x = pair("standard", "standard"), random_activations(40)
    both = pool([a, b], x)
    order = greedy_order(both, range(N_LARGE))
    assert sorted(order) == list(range(N_LARGE))
    assert order[-1] == 0, "latent 0 never fires"

    def error(latents: list[int]) -> float:
        left = x - a.encode(x) @ a.W_dec - b.encode(x)[:, latents] @ b.W_dec[latents]
        return float((left - left.mean(0)).square().mean().detach())

    first = [error([j]) for j in range(N_LARGE)]
    assert order[:-1] != sorted(order[:-1], key=lambda j: first[j]), "effects change as latents come in"
    for step, chosen in enumerate(order[:-1]):
        errors = {j: error([*order[:step], j]) for j in order[step:-1]}
        assert errors[chosen] == pytest.approx(min(errors.values()), rel=1e-12)
    assert sorted(greedy_order(both, [4, 7])) == [4, 7]


def planted() -> tuple[list[Any], torch.Tensor]:
    """Features 0 to 5, each alone on some tokens; SAE 0 holds 0, 1, 2, SAE 1 holds 2, 3, 4, 5 and SAE 2 all, badly."""
    x = 3.0 * torch.eye(6, dtype=torch.float64).repeat_interleave(torch.tensor([9, 8, 7, 6, 5, 4]), dim=0)
    saes = []
    for features, strength in (((0, 1, 2), 1.0), ((2, 3, 4, 5), 1.0), (range(6), 0.5)):
        sae = random_sae("standard", len(features), d_in=6, apply_b_dec_to_input=False)
        with torch.no_grad():
            rows = torch.eye(6, dtype=torch.float64)[list(features)]
            sae.W_enc.copy_(rows.T)
            sae.W_dec.copy_(strength * rows)
            sae.b_enc.zero_()
            sae.b_dec.zero_()
        saes.append(sae)
    return saes, x


def test_a_gathered_dictionary_is_the_best_there_is() -> None:
    saes, x = planted()
    everything = pool(saes, x)
    for budget in (1, 3, 4, 5):
        found = frankenstein(everything, budget)
        every = [(n, j) for n, sae in enumerate(saes) for j in range(sae.cfg.d_sae)]
        errors = []
        for chosen in combinations(every, budget):
            left = x - sum(saes[n].encode(x)[:, [j]] @ saes[n].W_dec[[j]] for n, j in chosen).detach()
            errors.append(float((left - left.mean(0)).square().mean()))
        assert found.mse == pytest.approx(min(errors), abs=1e-12)
        assert sum(map(len, found.latents)) == found.sae.cfg.d_sae == budget
        measured = reconstruction(found.sae, x)
        assert (measured.mse, measured.l0) == pytest.approx((found.mse, found.l0))


def test_more_is_not_taken_than_helps() -> None:
    saes, x = planted()
    found = frankenstein(pool(saes, x), 12)
    assert found.mse == pytest.approx(0, abs=1e-12)
    assert sum(map(len, found.latents)) < 12 or found.start == 2


def test_exchanges_mend_what_greed_took_first() -> None:
    saes = [random_sae("standard", n, seed=28 + n) for n in (5, 7, 9)]
    everything = pool(saes, random_activations(40, seed=28))
    greedy, mended = (frankenstein(everything, 3, exchanges) for exchanges in (0, 20))
    assert greedy.exchanges == 0 < mended.exchanges
    best = np.inf
    for chosen in combinations(range(21), 3):
        mixture = Mixture(everything)
        mixture.change(chosen)
        best = min(best, mixture.mse())
    assert best * (1 - 1e-9) <= mended.mse < greedy.mse


def test_an_sae_that_fits_is_taken_even_if_no_latent_helps() -> None:
    sae, x = random_sae("standard", 3), random_activations(20)
    with torch.no_grad():
        sae.b_enc.fill_(-1e6)
    found = frankenstein(pool([sae], x), 3)
    assert (found.start, found.l0) == (0, 0)
    assert found.mse == pytest.approx(float((x - x.mean(0)).square().mean()))
    with pytest.raises(ConfigError, match="no latent of any SAE lowers the error"):
        frankenstein(pool([sae], x), 2)


def test_combined_saes_save_load_and_remember(tmp_path: Any) -> None:
    (a, b), x = pair("gated", "standard"), random_activations(20)
    bias = torch.linspace(-1, 1, 12, dtype=torch.float64)
    made = combine([Part(b, [5, 3]), Part(a, [1])], bias)
    mse, l0 = brute([(b, [5, 3]), (a, [1])], bias, x)
    made.save_model(tmp_path)
    again = SAE.load_from_disk(tmp_path, dtype="float64")
    for sae in (made, again):
        measured = reconstruction(sae, x)
        assert (measured.mse, measured.l0) == pytest.approx((mse, l0))
    (step,) = again.cfg.metadata.stitch_history
    assert [part["latents"] for part in step["parts"]] == [[5, 3], [1]]


def test_bad_input_is_named() -> None:
    (a, b), x = pair("standard", "standard"), random_activations(10)
    with pytest.raises(ConfigError, match="at least one part"):
        combine([])
    with pytest.raises(ConfigError, match=r"b_dec has shape \[3\].*d_in = 12"):
        combine([Part(a, [0])], torch.zeros(3))
    with pytest.raises(ConfigError, match="outside the small SAE's range 0 to 5"):
        swap(a, b, [6], [])
    with pytest.raises(ConfigError, match="none put in"):
        swap(a, b, range(N_SMALL), [])
    with pytest.raises(ConfigError, match="more than once"):
        plan(N_SMALL, N_LARGE, [1], [Group((0,), (1, 2), 0.9)])
    with pytest.raises(ConfigError, match="more than once"):
        plan(N_SMALL, N_LARGE, [], [Group((0,), (1,), 0.9), Group((0,), (2,), 0.8)])
    with pytest.raises(ConfigError, match=r"threshold must lie between -1 and 1, got 1\.5"):
        swap_groups(a, b, 1.5)
    with pytest.raises(ConfigError, match="at least one SAE"):
        pool([], x)
    both = pool([a, b], x)
    with pytest.raises(ConfigError, match="budget"):
        frankenstein(both, 0)
    for call in (lambda p: walk(p, []), lambda p: swap_effects(p, []), lambda p: greedy_order(p, [])):
        with pytest.raises(ConfigError, match="the pool holds 3 SAEs, not 2"):
            call(pool([a, b, a], x))
    with pytest.raises(ConfigError, match="batch_size"):
        pool([a], x, batch_size=0)
    with pytest.raises(ConfigError, match="outside the large SAE's range 0 to 8"):
        walk(both, [Move("insert", (), (9,))])
    path = walk(both, [Move("insert", (), (3,))])
    with pytest.raises(ConfigError, match="points 0 to 1"):
        path.sae(2)
    with pytest.raises(ConfigError, match="bias"):
        path.bias(0, "other")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="d_in"):
        pool([a], x[:, :5])
    with pytest.raises(ConfigError, match="not one activation space"):
        pool([a, random_sae("standard", 4, d_in=5)], x)


def test_pairs_above_by_brute_force() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(11, 4, generator=g), 5 * torch.randn(13, 4, generator=g)
    cosines = torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=2)
    found = pairs_above(a, b, 0.4, block=5)
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [
        tuple(ij) for ij in (cosines >= 0.4).nonzero().tolist()
    ]
    torch.testing.assert_close(found.cosine, cosines[cosines >= 0.4])
    assert len(pairs_above(a, b, 1.0).a) == 0
    with pytest.raises(ConfigError, match="d_model 4 and 3"):
        pairs_above(a, b[:, :3], 0.5)
