"""Intervals against a table of Student's t and by hand."""

from __future__ import annotations

import math

import pytest

from canonlib.errors import ConfigError
from canonlib.intervals import mean_interval


def test_five_values_by_hand() -> None:
    # Mean 3, standard deviation sqrt(2.5), and t(0.975, 4) = 2.776 from the table.
    found = mean_interval([1, 2, 3, 4, 5])
    half = 2.776445 * math.sqrt(2.5 / 5)
    assert found.mean == 3
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-6)
    assert found.n == 5
    assert f"{found}" == "3.00 (1.04 to 4.96)"
    assert f"{found:.0%}" == "300% (104% to 496%)"
    assert found.points == "300 (104 to 496)"


def test_missing_values_are_left_out_and_one_value_has_no_interval() -> None:
    assert mean_interval([float("nan"), 2.0, 4.0]).n == 2
    one = mean_interval([7.0, float("nan")])
    assert (one.mean, one.n) == (7.0, 1)
    assert math.isnan(one.low) and math.isnan(one.high)
    assert f"{one}" == "7.00"
    assert math.isnan(mean_interval([]).mean)


def test_a_higher_confidence_is_wider() -> None:
    narrow, wide = (mean_interval([1.0, 2.0, 4.0], c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high
    with pytest.raises(ConfigError, match="between 0 and 1, got 95"):
        mean_interval([1.0, 2.0], 95)
