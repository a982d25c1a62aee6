"""The figure of repetitions: dots, means, intervals, bad input."""

from __future__ import annotations

import pytest

from canonlib import viz
from canonlib.errors import ConfigError
from canonlib.intervals import mean_interval

NAN = float("nan")


def test_every_seed_is_a_dot_and_the_mean_has_its_interval() -> None:
    values = {"novel": [[1.0, 2.0, 3.0], [4.0, NAN, 6.0]], "old": [[0.5, 0.5, 0.5], [NAN, NAN, NAN]]}
    figure = viz.seed_dots(["a", "b"], values, title="T", y="share", level=("chance", 0.5))
    novel, mean, old, old_mean = figure.data
    assert list(novel.y) == [1, 2, 3, 4, 6]
    assert list(novel.text) == [f"novel, seed {s}" for s in (0, 1, 2, 0, 2)]
    assert list(mean.y) == [2, 5]
    assert mean.error_y.array[0] == pytest.approx(mean_interval([1, 2, 3]).high - 2)
    assert list(old_mean.y) == [0.5], "a column without values has no mean"
    assert old_mean.error_y.array[0] == 0
    assert "3 seeds" in mean.customdata[0] and "2 seeds" in mean.customdata[1]
    assert all(n < o for n, o in zip(novel.x[:3], old.x, strict=True)), "series stand side by side"
    assert list(figure.layout.xaxis.ticktext) == ["a", "b"]


def test_one_seed_has_no_interval() -> None:
    figure = viz.seed_dots(["a"], {"x": [[2.0]]}, title="T", y="y")
    assert figure.data[1].error_y.array[0] == 0
    assert figure.layout.showlegend is False


def test_controls_are_grey_and_a_second_series_is_hollow() -> None:
    values = {"real": [[1.0], [2.0]], "other": [[1.0], [2.0]]}
    figure = viz.seed_dots(["a", "b"], values, title="T", y="y", colors={"real": "#123456"}, controls=("b",))
    real, _, other, _ = figure.data
    assert list(real.marker.color) == ["#123456", viz.CONTROL]
    assert list(other.marker.color) == [viz.SMALL, viz.CONTROL]
    assert (real.marker.symbol, other.marker.symbol) == ("circle", "circle-open")
    with pytest.raises(ConfigError, match="controls names 'c', which is none of the columns"):
        viz.seed_dots(["a"], {"x": [[1.0]]}, title="T", y="y", controls=("c",))


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        viz.seed_dots([], {}, title="T", y="y")
    with pytest.raises(ConfigError, match=r"series\['x'\] has 1 columns, and there are 2"):
        viz.seed_dots(["a", "b"], {"x": [[1.0]]}, title="T", y="y")
