from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from saehelpers import random_sae

import canonlib.compare as compare
from canonlib.errors import ConfigError


def rows(n: int, d: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand() -> None:
    # (3, 4) against the axes: cosines 3/5 and 4/5, and -3/5 with the third; (0, -2) against them: 0, -1 and 0.
    a = torch.tensor([[3.0, 4.0], [0.0, -2.0]], dtype=torch.float64)
    b = torch.tensor([[10.0, 0.0], [0.0, 0.1], [-7.0, 0.0]], dtype=torch.float64)
    found = compare.nearest(a, b, k=3)
    assert found.index[0].tolist() == [1, 0, 2]
    assert found.cosine[0].tolist() == pytest.approx([0.8, 0.6, -0.6])
    assert found.cosine[1].tolist() == pytest.approx([0.0, 0.0, -1.0])
    assert compare.max_cosine(a, b).tolist() == pytest.approx([0.8, 0.0])


def test_directions_are_unit_and_ignore_norms() -> None:
    sae = random_sae("standard", d_sae=9)
    directions = compare.decoder_directions(sae)
    assert directions.shape == (9, 12)
    assert torch.allclose(directions.norm(dim=1), torch.ones(9, dtype=torch.float64))
    scales = torch.arange(1, 10, dtype=torch.float64).unsqueeze(1)
    assert torch.allclose(compare.max_cosine(sae, sae.W_dec.detach() * scales), torch.ones(9, dtype=torch.float64))
    assert compare.decoder_directions(rows(3).half()).dtype == torch.float32


@given(n_a=st.integers(1, 20), n_b=st.integers(1, 20), block=st.integers(1, 25), seed=st.integers(0, 5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_blocks_do_not_matter(n_a: int, n_b: int, block: int, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n_b))
    a, b = rows(n_a, seed=seed), rows(n_b, seed=seed + 100)
    found = compare.nearest(a, b, k=k, block=block)
    full = torch.nn.functional.normalize(a, dim=1) @ torch.nn.functional.normalize(b, dim=1).T
    expected, place = full.sort(dim=1, descending=True)
    assert torch.allclose(found.cosine, expected[:, :k])
    assert torch.equal(found.index, place[:, :k])


def test_no_matrix_of_cosines_exceeds_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    plain = compare._similarity

    def recording(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        shapes.append((len(a), len(b)))
        return plain(a, b)

    monkeypatch.setattr(compare, "_similarity", recording)
    compare.nearest(rows(50), rows(70), k=2, block=16)
    assert len(shapes) == 4 * 5  # ceil(50 / 16) × ceil(70 / 16)
    assert max(n for shape in shapes for n in shape) == 16
    assert sum(n * m for n, m in shapes) == 50 * 70


def test_cosine_never_passes_one() -> None:
    a = rows(200, d=50).float()
    assert float(compare.max_cosine(a, a).max()) <= 1.0


def test_bad_input() -> None:
    a = rows(12)
    a[3], a[7] = 0.0, 0.0
    with pytest.raises(ConfigError, match=r"2 of 12 decoder rows .*latents 3, 7\)"):
        compare.decoder_directions(a)
    a[3], a[7] = 1.0, float("nan")
    with pytest.raises(ConfigError, match=r"latents 7\)"):
        compare.nearest(rows(2), a)
    with pytest.raises(ConfigError, match="d_model 6 and 5"):
        compare.nearest(rows(3, 6), rows(3, 5))
    with pytest.raises(ConfigError, match="k = 4 .* 3 latents"):
        compare.nearest(rows(3), rows(3), k=4)
    with pytest.raises(ConfigError, match="block"):
        compare.nearest(rows(3), rows(3), block=0)
    with pytest.raises(ConfigError, match="k must be"):
        compare.nearest(rows(3), rows(3), k=0)
    with pytest.raises(ConfigError, match=r"shape \[0, 6\]"):
        compare.decoder_directions(rows(0))


def two_saes(written: list[list[float]], read: list[list[float]]) -> tuple[Any, Any]:
    """One SAE of axis directions, and one that writes and reads as given (norms of their own)."""
    a, b = random_sae("standard", 3, d_in=4), random_sae("standard", len(written), d_in=4)
    with torch.no_grad():
        a.W_dec.copy_(2 * torch.eye(3, 4))
        a.W_enc.copy_(torch.eye(4, 3))
        b.W_dec.copy_(torch.tensor(written))
        b.W_enc.copy_(3 * torch.tensor(read).T)
    return a, b


def test_a_latent_is_shared_when_its_partner_writes_and_reads_like_it() -> None:
    # In order: the same; writes the same and reads something else; nothing alike.
    written = [[0.0, 5.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.1], [0.0, 0.0, 0.0, 1.0]]
    read = [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.1, 0.0], [0.0, 0.0, 1.0, 0.0]]
    a, b = two_saes(written, read)
    assert compare.shared_latents(a, b).tolist() == [True, False, False]
    assert compare.shared_latents(b, a).tolist() == [False, True, False]


def test_a_partner_is_shared_out_once() -> None:
    # Both of b's first rows lie near e0 alone: matched one to one, one of a's latents goes without.
    near = [[1.0, 0.2, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    a, b = two_saes(near, near)
    assert compare.shared_latents(a, b).tolist() == [True, False, False]
    assert compare.shared_latents(a, a).all()
    with pytest.raises(ConfigError, match="threshold must lie between -1 and 1"):
        compare.shared_latents(a, b, 70)
