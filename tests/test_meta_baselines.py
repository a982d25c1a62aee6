"""Other lists of parts, and pursuit, against answers known by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from canonlib.errors import ConfigError
from canonlib.meta import attribute_parts, cluster_parts, drawn_parts, principal_parts, pursue
from canonlib.meta.baselines import LISTS


def rows_of(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def by_hand(row: np.ndarray, atoms: np.ndarray, k: int) -> np.ndarray:
    """Non-negative orthogonal matching pursuit, as in the textbook, the best coefficients by trying every support."""
    chosen: list[int] = []
    out, left = np.zeros(len(atoms)), row.copy()
    for _ in range(k):
        best = int((atoms @ left).argmax())
        if atoms[best] @ left <= 1e-9:
            break
        chosen.append(best)
        fits = []
        for size in range(1, len(chosen) + 1):
            for support in itertools.combinations(chosen, size):
                fit = np.linalg.lstsq(atoms[list(support)].T, row, rcond=None)[0]
                if (fit >= 0).all():
                    fits.append((float(np.sum((row - atoms[list(support)].T @ fit) ** 2)), support, fit))
        _, support, fit = min(fits, key=lambda f: f[0])
        out = np.zeros(len(atoms))
        out[list(support)] = fit
        left = row - atoms.T @ out
    return out


def test_pursuit_is_the_textbooks() -> None:
    rows, parts = rows_of(200, 4), rows_of(12, 4, seed=1)
    found = pursue(rows, 3.0 * parts, 4)
    centred = (rows - rows.mean(0)).double()
    expected = np.stack([by_hand(row, parts.double().numpy(), 4) for row in centred.numpy()])
    np.testing.assert_allclose(found.coefficients.numpy(), expected, atol=1e-5)
    left = centred.numpy() - expected @ parts.double().numpy()
    assert found.variance_explained == pytest.approx(1 - (left**2).sum() / float(centred.square().sum()), abs=1e-6)
    assert (found.coefficients >= 0).all() and ((found.coefficients > 0).sum(1) <= 4).all()
    assert int((found.coefficients > 0).sum(1).min()) < 4, "no row here gave a part up again"


def test_sums_of_parts_are_explained_whole_and_what_is_taken_away_is_not() -> None:
    parts = torch.eye(6)
    sums = torch.tensor([[1.0, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]])
    whole = pursue(sums, parts, 2, mean=torch.zeros(6))
    assert whole.variance_explained == pytest.approx(1.0)
    assert torch.equal(whole.uses, sums > 0)
    less = pursue(torch.tensor([[1.0, -1, 0, 0, 0, 0], [0, -1, -1, 0, 0, 0]]), parts, 2, mean=torch.zeros(6))
    assert less.uses.sum(1).tolist() == [1, 0]


def test_rows_held_out_use_the_mean_they_are_given() -> None:
    rows, parts = rows_of(30, 8), rows_of(5, 8, seed=1)
    own = pursue(rows, parts, 2)
    assert pursue(rows, parts, 2, mean=rows.mean(0)).variance_explained == pytest.approx(own.variance_explained)
    assert pursue(rows, parts, 2, mean=rows.mean(0) + 1).variance_explained < own.variance_explained


def test_principal_components_explain_most_of_what_any_plane_can() -> None:
    rows = rows_of(40, 6)
    parts = principal_parts(rows, 6)
    assert torch.equal(parts[3:], -parts[:3])
    values = torch.linalg.svdvals((rows - rows.mean(0)).double()).square()
    assert pursue(rows, parts, 3).variance_explained == pytest.approx(float(values[:3].sum() / values.sum()), abs=1e-6)
    flat = F.normalize(torch.cat([rows_of(40, 2), torch.zeros(40, 4)], 1), dim=1)
    assert principal_parts(flat, 12).shape == (4, 6), "no direction where the rows have none"


def test_cluster_centres_are_found_where_there_are_clusters() -> None:
    lumps = torch.eye(4, 8).repeat_interleave(10, 0) + 0.01 * rows_of(40, 8)
    parts = cluster_parts(lumps, 4)
    rows = F.normalize(lumps, dim=1)
    centres = F.normalize(rows.reshape(4, 10, 8).mean(1) - rows.mean(0), dim=1)
    assert sorted((parts @ centres.T).argmax(0).tolist()) == [0, 1, 2, 3]
    assert float((parts @ centres.T).amax(0).min()) > 0.999
    assert torch.equal(parts, cluster_parts(lumps, 4))


def test_drawn_parts_are_rows() -> None:
    rows = rows_of(12, 5)
    parts = drawn_parts(rows, 4, seed=3)
    centred = F.normalize(rows - rows.mean(0), dim=1)
    places = (parts @ centred.T).argmax(1)
    assert len(set(places.tolist())) == 4
    torch.testing.assert_close(parts, centred[places])
    assert not torch.equal(parts, drawn_parts(rows, 4, seed=4))


def test_attribute_parts_are_the_planted_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    holds = torch.rand(400, 5, generator=generator) < 0.3
    planted = torch.eye(5, 16)
    rows = torch.full((16,), 2.0) + holds.float() @ planted
    found = attribute_parts(rows, holds, ridge=1e-6)
    unit = F.normalize(rows, dim=1)
    x = torch.cat([holds.double(), torch.ones(400, 1, dtype=torch.float64)], 1)
    fitted = F.normalize(torch.linalg.lstsq(x, unit.double()).solution[:5], dim=1).float()
    torch.testing.assert_close(found, fitted, atol=1e-4, rtol=0)
    assert torch.equal((found @ planted.T).argmax(1), torch.arange(5))


def test_bad_input_is_named() -> None:
    rows = rows_of(10, 6)
    with pytest.raises(ConfigError, match="k = 7 parts asked of 9 parts in 6 dimensions"):
        pursue(rows, rows_of(9, 6, seed=1), 7)
    with pytest.raises(ConfigError, match="d_model"):
        pursue(rows, rows_of(4, 5), 2)
    for name in ("cluster centres", "rows drawn"):
        with pytest.raises(ConfigError, match=r"n \(11\) must not exceed the number of directions \(10\)"):
            LISTS[name](rows, 11, 0)
    with pytest.raises(ConfigError, match="holds has shape"):
        attribute_parts(rows, torch.zeros(9, 2, dtype=torch.bool))
    idle = torch.zeros(10, 2, dtype=torch.bool)
    idle[0, 0] = True
    with pytest.raises(ConfigError, match=r"1 facts hold of no row or of all \(column 1 first\)"):
        attribute_parts(rows, idle)
