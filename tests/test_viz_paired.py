"""Paired dots: items sorted by their value, each beside its own control."""

from __future__ import annotations

import numpy as np
import pytest

from canonlib import viz
from canonlib.errors import ConfigError


def test_items_are_sorted_and_keep_their_control_and_text():
    figure = viz.paired_dots([0.2, 0.9, 0.5], [0.1, 0.3, 0.4], title="T", x="x", y="y", hover=["a", "b", "c"])
    lines, control, values = figure.data
    np.testing.assert_allclose(values.y, [0.9, 0.5, 0.2], atol=1e-6)
    np.testing.assert_allclose(control.y, [0.3, 0.4, 0.1], atol=1e-6)
    assert list(values.text) == list(control.text) == ["b", "c", "a"]
    np.testing.assert_allclose(np.asarray(lines.y)[:3], [0.9, 0.3, np.nan], atol=1e-6)


def test_series_have_meaningful_colours_and_the_figure_an_alternative_text():
    figure = viz.paired_dots([1.0], [0.5], title="T", x="x", y="y", alt="one item")
    assert [t.marker.color for t in figure.data[1:]] == [viz.CONTROL, viz.META]
    assert figure.layout.meta["alt"] == "one item"


@pytest.mark.parametrize(
    ("values", "control", "hover"), [([], [], None), ([1.0, 2.0], [1.0], None), ([1.0], [1.0], ["a", "b"])]
)
def test_lengths_must_agree(values, control, hover):
    with pytest.raises(ConfigError):
        viz.paired_dots(values, control, title="T", x="x", y="y", hover=hover)
