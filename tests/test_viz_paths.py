"""Figures of paths: what is drawn, where the labels stand, and what is refused."""

from __future__ import annotations

import pytest

from canonlib.errors import ConfigError
from canonlib.viz import CONTROL, LARGE, NEUTRAL, SMALL, Walk, order_figure, path_figure


def test_a_path_turns_from_insertions_to_swaps() -> None:
    walks = [
        Walk("8 → 16", [1, 2, 3, 4, 2], [5, 4, 3, 6, 3.5], 2, 3), Walk("16 → 32", [2, 3], [3.5, 2], 0, 0, ["start", "end"]),
    ]  # fmt: skip
    figure = path_figure(walks, {8: (1, 5), 16: (2, 3.5), 32: (3, 2)}, title="t", x="L0", y="MSE")
    inserting, swapping, rest, other, points = figure.data  # the second path has nothing of the first two kinds
    assert (list(inserting.x), list(inserting.y), inserting.line.color) == ([1, 2, 3], [5, 4, 3], LARGE)
    assert (list(swapping.x), list(swapping.y), swapping.line.color) == ([3, 4], [3, 6], SMALL)
    assert (list(rest.x), rest.line.dash) == ([4, 2], "dot")
    assert list(other.text) == ["start", "end"]
    assert [trace.showlegend for trace in figure.data[:4]] == [True] * 3 + [False]
    assert list(points.text) == ["8", "16", "32"]
    assert list(points.y) == [5, 3.5, 2]
    left, right = figure.layout.xaxis.range
    low, high = figure.layout.yaxis.range
    assert left < 1 < 4 < right and low < 2 < 6 < high, "nothing runs along the frame"


def test_path_figure_refuses_what_cannot_be_drawn() -> None:
    with pytest.raises(ConfigError, match="at least one path"):
        path_figure([], {}, title="t", x="", y="")
    with pytest.raises(ConfigError, match=r"a: y must have 2 entries"):
        path_figure([Walk("a", [1, 2], [1], 0, 0)], {}, title="t", x="", y="")
    with pytest.raises(ConfigError, match="end at point 1 and swaps at 2, on a path of 2 points"):
        path_figure([Walk("a", [1, 2], [1, 2], 1, 2)], {}, title="t", x="", y="")


def test_orders_are_named_and_controls_grey() -> None:
    curves = {"greedy": [1, 0.5, 0.4], "random": [1, 0.9, 0.4]}
    figure = order_figure(curves, title="t", y="MSE", controls=["random"], level=("goal", 0.3))
    assert [(t.name, t.line.color, t.line.dash) for t in figure.data] == [
        ("greedy", NEUTRAL[0], "solid"), ("random", CONTROL, "dash"),
    ]  # fmt: skip
    labels = {a.text: a for a in figure.layout.annotations}
    assert set(labels) == {"goal", "greedy", "random"}
    assert labels["greedy"].y < labels["random"].y
    assert labels["greedy"].x == 2
    assert tuple(figure.layout.xaxis.range) == (0, 2.04), "labels do not stretch the axis"
    with pytest.raises(ConfigError, match="at least one curve"):
        order_figure({}, title="t", y="MSE")


def test_orders_that_cover_one_another_can_be_seen() -> None:
    curves = {"planned": [1, 2, 1], "greedy": [1, 0.5, 0.4], "free": [1, 0.5, 0.4], "cosine": [1, 0.6, 0.4],
              "lot": [1, 2, 1]}  # fmt: skip
    figure = order_figure(curves, title="t", y="MSE", controls=["lot"])
    assert [(t.name, t.line.dash) for t in figure.data] == [
        ("planned", "solid"), ("greedy = free", "dot"), ("cosine", "dashdot"), ("lot", "dash")]  # fmt: skip
    assert len({t.line.color for t in figure.data}) == 4
