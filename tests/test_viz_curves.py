"""Curves: what the lines hold, their order and colours, and what is refused."""

from __future__ import annotations

import pytest

from canonlib.errors import ConfigError
from canonlib.viz import CONTROL, SIZE_RAMP, share_above, training_curves


def test_lines_ascend_by_size_with_steps_on_the_axis():
    figure = training_curves({64: [4.0, 2.0, 1.0], 16: [8.0, 6.0]}, every=50, title="t", y="loss", alt="words")
    assert [line.name for line in figure.data] == ["16", "64"]
    assert figure.data[0].x.tolist() == [0, 50]
    assert figure.data[1].x.tolist() == [0, 50, 100]
    assert figure.data[1].y.tolist() == [4.0, 2.0, 1.0]
    assert [line.line.color for line in figure.data] == [SIZE_RAMP[0], SIZE_RAMP[-1]]
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.meta["alt"] == "words"


@pytest.mark.parametrize(("losses", "every", "named"), [
    ({}, 50, "at least one curve"),
    ({16: [1.0, 0.0]}, 50, r"losses\[16\]"),
    ({16: [1.0, float("nan")]}, 50, r"losses\[16\]"),
    ({16: [1.0]}, 0, "every"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_refused(losses, every, named):
    with pytest.raises(ConfigError, match=named):
        training_curves(losses, every=every, title="t", y="loss")


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
