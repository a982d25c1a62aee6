"""The first chapter's figures: numbers in, numbers out; bad input is named."""

from __future__ import annotations

import numpy as np
import pytest

from canonlib import viz
from canonlib.errors import ConfigError


def directions(**more):
    points = np.array([[1.0, 0.5], [2.0, -1.0]])
    dictionaries = more.pop("dictionaries", [{"a": (1, 1)}, {"b": (0, 2), "c": (3, 0)}])
    return viz.directions_figure(more.pop("points", points), dictionaries, title="Two dictionaries", **more)


def test_arrows_start_at_the_origin_and_end_at_their_directions():
    arrows = [a for a in directions().layout.annotations if a.showarrow]
    assert [(a.x, a.y) for a in arrows] == [(1, 1), (0, 2), (3, 0)]
    assert all((a.ax, a.ay, a.axref, a.ayref) == (0, 0, "x", "y") for a in arrows)
    assert [a.arrowcolor for a in arrows] == [viz.SMALL, viz.LARGE, viz.LARGE]
    labels = [a.text for a in directions().layout.annotations if not a.showarrow]
    assert labels == ["<b>a</b>", "<b>b</b>", "<b>c</b>"]


def test_angles_are_drawn_true():
    assert (directions().layout.yaxis.scaleanchor, directions().layout.yaxis.scaleratio) == ("x", 1)


@pytest.mark.parametrize(("more", "field"), [
    ({"points": np.zeros((4, 3))}, r"points must be \[n_points, 2\]"),
    ({"dictionaries": [{"a": (1, 2, 3)}]}, "direction 'a'"),
    ({"dictionaries": []}, "one or two"),
    ({"dictionaries": [{}, {}, {}]}, "one or two"),
])  # fmt: skip
def test_what_is_not_in_the_plane_is_refused(more, field):
    with pytest.raises(ConfigError, match=field):
        directions(**more)


def test_ranks_count_from_one_and_the_expectation_is_dashed():
    figure = viz.rank_figure([9, 4, 1], ["x", "y", "z"], title="t", y="mentions", expected=[8, 5, 1])
    points, line = figure.data
    assert points.x.tolist() == [1, 2, 3]
    assert points.y.tolist() == [9, 4, 1]
    assert points.text == ("x", "y", "z")
    assert line.y.tolist() == [8, 5, 1]
    assert (line.line.dash, line.line.color) == ("dash", viz.CONTROL)
    assert len(viz.rank_figure([9], ["x"], title="t", y="mentions").data) == 1
    with pytest.raises(ConfigError, match="expected must have 2 entries"):
        viz.rank_figure([9, 4], ["x", "y"], title="t", y="mentions", expected=[1])


def test_controls_are_hollow_and_grey_and_rows_run_downwards():
    series = {"model": [1, 0.5], "guess": [0.2, 0.1]}
    figure = viz.dot_rows(["a", "b"], series, title="t", x="share", controls=["guess"])
    model, guess = figure.data
    assert model.x.tolist() == [1, 0.5]
    assert model.y == ("a", "b")
    assert (model.marker.color, model.marker.symbol) == (viz.TRUTH, "circle")
    assert (guess.marker.color, guess.marker.symbol) == (viz.CONTROL, "circle-open")
    assert figure.layout.yaxis.autorange == "reversed"


@pytest.mark.parametrize(("series", "controls", "field"), [
    ({}, (), "series has"),
    ({"model": [1, 1]}, ("guess",), "controls names"),
    ({"model": [1]}, (), r"series\['model'\] must have 2 entries"),
])  # fmt: skip
def test_dots_name_what_is_wrong(series, controls, field):
    with pytest.raises(ConfigError, match=field):
        viz.dot_rows(["a", "b"], series, title="t", x="share", controls=controls)


def test_alternative_text_is_kept():
    assert directions(alt="Arrows.").layout.meta["alt"] == "Arrows."
