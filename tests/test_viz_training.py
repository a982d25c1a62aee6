"""Figures of the training chapter: what they show, in which order, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from canonlib import viz
from canonlib.errors import ConfigError
from canonlib.viz import Curve, Part


def test_recovery_shows_each_feature_twice():
    figure = viz.recovery_scatter([10, 100], [0.9, 1.0], [0.3, 0.2], title="T", alt="words")
    control, sae = figure.data
    np.testing.assert_allclose(control.y, [0.3, 0.2], atol=1e-6)
    np.testing.assert_allclose(sae.y, [0.9, 1.0], atol=1e-6)
    assert (control.marker.color, sae.marker.color) == (viz.CONTROL, viz.TRUTH)
    assert figure.layout.meta["alt"] == "words"
    with pytest.raises(ConfigError):
        viz.recovery_scatter([10, 100], [0.9], [0.3, 0.2], title="T")


def test_step_curves_may_start_at_step_zero():
    figure = viz.step_curves({"a": Curve([0, 50], [2.0, 1.0])}, title="T", y="loss")
    assert figure.data[0].x.tolist() == [0, 50]
    assert figure.layout.yaxis.type == "log"


@pytest.mark.parametrize("curves", [{}, {"a": Curve([1, 2], [1.0, 0.0])}, {"a": Curve([1, 2], [1.0])}])
def test_curves_that_have_no_place_on_a_log_axis_are_refused(curves):
    with pytest.raises(ConfigError):
        viz.step_curves(curves, title="T", y="loss")
    with pytest.raises(ConfigError):
        viz.frontier_figure(curves, title="T", y="FVU", colors={})


def test_frontier_sorts_each_line_by_l0_and_names_it_in_the_order_of_the_ends():
    curves = {"low": Curve([8, 4], [0.1, 0.2]), "high": Curve([4, 9], [0.3, 0.11])}
    figure = viz.frontier_figure(curves, title="T", y="FVU", colors={"low": "#123456"}, percent=True)
    assert figure.data[0].x.tolist() == [4, 8]
    np.testing.assert_allclose(figure.data[0].y, [0.2, 0.1], atol=1e-6)
    assert [a.text for a in figure.layout.annotations] == ["low", "high"]
    assert figure.layout.annotations[0].font.color == "#123456"
    assert figure.layout.annotations[1].y > figure.layout.annotations[0].y
    assert set(figure.layout.yaxis.ticktext) >= {"10%", "20%"}
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"


def test_parts_stand_by_their_parents():
    columns = {
        16: [Part("Asia", 0.8)],
        8: [Part("x", 0.2), Part("y", 0.9)],
        32: [Part("new", 0.1), Part("old", 0.5, parent=0)],
    }
    columns[16] = [Part("Asia", 0.8, parent=1), Part("other", 0.3, parent=0, hover="told")]
    figure = viz.splitting_tree(columns, title="T")
    dots = [trace for trace in figure.data if trace.mode == "markers+text"]
    assert [list(d.text) for d in dots] == [["x", "y"], ["Asia", "other"], ["new", "old"]]
    assert dots[0].y[1] > dots[0].y[0]  # the larger share on top
    assert dots[1].y[0] > dots[1].y[1]  # children of the upper part on top
    assert dots[1].customdata[1] == "told"
    lines = figure.data[0]
    assert lines.mode == "lines"  # below the dots
    assert list(lines.x) == [0, 1, None, 0, 1, None, 1, 2, None]
    assert list(lines.y)[-3:-1] == [dots[1].y[0], dots[2].y[1]]


def test_labels_aside_have_room_to_their_right():
    columns = {8: [Part("a", 1.0)], 16: [Part("b", 0.5, parent=0)]}
    above, aside = (viz.splitting_tree(columns, title="T", aside=side) for side in (False, True))
    assert {trace.textposition for trace in above.data[1:]} == {"top center"}
    assert {trace.textposition for trace in aside.data[1:]} == {"middle right"}
    assert aside.layout.xaxis.range[1] - above.layout.xaxis.range[1] == pytest.approx(0.5)


@pytest.mark.parametrize("columns", [{}, {8: []}, {8: [Part("a", 1.0)], 16: [Part("b", 1.0, parent=1)]},
                                     {8: [Part("a", 1.0, parent=0)]}])  # fmt: skip
def test_trees_without_parts_or_with_strange_parents_are_refused(columns):
    with pytest.raises(ConfigError):
        viz.splitting_tree(columns, title="T")
