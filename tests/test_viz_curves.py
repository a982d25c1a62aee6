"""Training curves: steps, order and colours of the lines, and what is refused."""

from __future__ import annotations

import pytest

from canonlib.errors import ConfigError
from canonlib.viz import SIZE_RAMP, training_curves


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
