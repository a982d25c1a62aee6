"""Figures of parts against facts: what is drawn where, and bad input."""

from __future__ import annotations

import pytest

from canonlib.errors import ConfigError
from canonlib.intervals import Interval, mean_interval
from canonlib.viz import CONTROL, META, Said, fate_scatter, truth_figure

NONE = mean_interval([])


def said(recall: float, precision: float, label: str) -> Said:
    return Said(
        Interval(recall, recall - 0.01, recall + 0.01, 5),
        Interval(precision, precision - 0.1, precision + 0.1, 5),
        label,
    )


def test_lists_are_lines_and_single_points_with_intervals() -> None:
    lists = {"meta": [said(0.02, 0.4, "k = 1"), said(0.1, 0.3, "k = 4")], "random": [said(0.01, 0.2, "k = 4")]}
    figure = truth_figure(lists, title="T", colors={"meta": META})
    line, point = figure.data
    assert list(line.x) == pytest.approx([0.02, 0.1]) and list(line.y) == pytest.approx([0.4, 0.3])
    assert "lines" in line.mode and "lines" not in point.mode
    assert list(line.error_y.array) == pytest.approx([0.1, 0.1]) and list(line.error_x.array) == pytest.approx(
        [0.01, 0.01]
    )
    assert (line.line.color, point.marker.color) == (META, CONTROL)
    assert figure.layout.xaxis.range == pytest.approx((0, 0.125)), "the last label needs room to its right"
    assert line.customdata[1].startswith("meta, k = 4<br>precision 30%")


def test_points_without_a_value_are_left_out_and_one_seed_has_no_bar() -> None:
    alone = Said(mean_interval([0.1]), mean_interval([0.5]), "k = 2")
    figure = truth_figure({"a": [Said(NONE, NONE, "k = 1"), alone]}, title="T", colors={})
    assert list(figure.data[0].text) == ["k = 2"] and list(figure.data[0].error_y.array) == [0.0]
    with pytest.raises(ConfigError, match="at least one point"):
        truth_figure({"a": []}, title="T", colors={})


def test_facts_are_drawn_by_whether_they_became_a_name() -> None:
    readable = {"a": 0.9, "b": 0.6, "c": float("nan")}
    figure = fate_scatter(readable, {"a": 0.5, "b": 0.2, "c": 0.1}, {"a": 3, "b": 0, "c": 0}, title="T", marked=["b"])
    never, some = figure.data
    assert (list(never.x), list(some.x)) == (pytest.approx([0.6]), pytest.approx([0.9]))
    assert (never.marker.color, some.marker.color) == (CONTROL, META)
    assert "b" in [a.text for a in figure.layout.annotations]
    for fact in ("c", "d"):
        with pytest.raises(ConfigError, match=f"marked names '{fact}', which has no AUC"):
            fate_scatter(readable, {"a": 0.5, "b": 0.2, "c": 0.1}, {"a": 3, "b": 0, "c": 0}, title="T", marked=[fact])
    with pytest.raises(ConfigError, match="same facts"):
        fate_scatter(readable, {"a": 0.5}, {"a": 3, "b": 0, "c": 0}, title="T")
