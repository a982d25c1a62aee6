"""Training curves: one line per dictionary size over the steps, in the size ramp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from canonlib.errors import ConfigError, require_positive
from canonlib.viz.figures import as_float, new_figure
from canonlib.viz.template import HEIGHT, size_colors

if TYPE_CHECKING:
    import plotly.graph_objects as go


def training_curves(losses: Mapping[int, ArrayLike], *, every: int, title: str, y: str, alt: str = "",
                    height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """The loss of each SAE (``losses``: dictionary size to ``[n_records]``, log y axis) over its training steps.

    A record is made every ``every`` steps, the first at step 0. Sizes take the size ramp, small = light, and the
    legend lists them in ascending order. Raises ``ConfigError`` for no curves and for a loss that is not above zero.
    """
    if not losses:
        raise ConfigError("losses must hold at least one curve.")
    require_positive("every", every)
    figure = new_figure(title, alt, x="training step", y=y, height=height)
    sizes = sorted(losses)
    for size, color in zip(sizes, size_colors(len(sizes)), strict=True):
        values = as_float(f"losses[{size}]", losses[size])
        if not (values > 0).all():
            raise ConfigError(f"losses[{size}] must be above zero everywhere: the axis is logarithmic.")
        figure.add_scatter(x=every * np.arange(len(values), dtype=np.float32), y=values, mode="lines",
                           name=f"{size:,}", line={"color": color, "width": 2},
                           hovertemplate=f"{size:,} latents, step %{{x:,}}: %{{y:.3~g}}<extra></extra>")  # fmt: skip
    marks = [m * 10.0**power for power in range(-6, 9) for m in (1, 2, 5)]
    figure.update_yaxes(type="log", tickvals=marks, ticktext=[f"{mark:,g}" for mark in marks])
    figure.update_layout(showlegend=True, legend={"title": {"text": "latents"}})
    return figure
