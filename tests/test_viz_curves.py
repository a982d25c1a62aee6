"""Curves of shares: what the lines hold, which are coloured, and what is refused."""

from __future__ import annotations

import pytest

from canonlib.errors import ConfigError
from canonlib.viz import CONTROL, share_above


def test_share_above_counts_and_labels_the_ends():
    values = {"a": [0.1, 0.2, 0.95, 1.0], "b": [0.95, 0.99, 1.0, 0.2], "c": [0.95, 0.95, 0.1, 0.1], "null": [0.1, 0.3]}
    figure = share_above(values, cut=0.9, controls=["null"], title="t", x="x", y="y", alt="words")
    lines = {line.name: line for line in figure.data}
    cut = int(abs(lines["b"].x - 0.5).argmin())
    assert lines["a"].y[cut] == 0.5 and lines["b"].y[cut] == 0.75 and lines["null"].y[cut] == 0
    assert lines["b"].y[-1] == 0  # nothing lies above 1
    assert lines["null"].line.dash == "dash"
    coloured = [name for name, line in lines.items() if line.line.color != CONTROL]
    assert len(coloured) == 2 and "b" in coloured  # a and c are equal at the cut, one of them is the lowest
    texts = [a.text for a in figure.layout.annotations]
    assert "b: 75%" in texts and "null" in texts
    with pytest.raises(ConfigError, match="beside the controls"):
        share_above({"null": [0.1]}, cut=0.9, controls=["null"], title="t", x="x", y="y")
