"""Each item against its own control: a dot for the value, a dot for what chance gives, one column per item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from canonlib.errors import ConfigError
from canonlib.viz.figures import as_float, legend_below, new_figure
from canonlib.viz.template import CONTROL, HEIGHT, META

if TYPE_CHECKING:
    import plotly.graph_objects as go


def paired_dots(values: ArrayLike, control: ArrayLike, *, title: str, x: str, y: str, name: str = "value",
                control_name: str = "chance", hover: Sequence[str] | None = None, color: str = META, alt: str = "",
                height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """``values`` and ``control`` (both ``[n]``), item by item, from the highest value to the lowest.

    A thin line joins the two dots of an item; ``hover`` holds one text per item. Raises ``ConfigError`` for lengths
    that differ and when there is nothing to show.
    """
    v = as_float("values", values)
    c = as_float("control", control, len(v))
    if not len(v) or (hover is not None and len(hover) != len(v)):
        raise ConfigError(f"hover must have one text for each of {len(v)} values (at least one), got {hover!r:.60}.")
    order = np.argsort(-v, kind="stable")
    v, c, rank = v[order], c[order], np.arange(1, len(v) + 1, dtype=np.float32)
    texts = [hover[i] if hover is not None else f"item {i}" for i in order]
    figure = new_figure(title, alt, x=x, y=y, height=height)
    gap = np.full(len(v), np.nan, np.float32)
    figure.add_scatter(x=np.repeat(rank, 3), y=np.stack([v, c, gap], 1).ravel(), mode="lines", hoverinfo="skip",
                       line={"color": CONTROL, "width": 1}, opacity=0.5)  # fmt: skip
    for series, label, paint in ((c, control_name, CONTROL), (v, name, color)):
        figure.add_scatter(x=rank, y=series, name=label, mode="markers", marker={"color": paint, "size": 8},
                           text=texts, hovertemplate=f"%{{text}}<br>{label} %{{y:.2f}}<extra></extra>")  # fmt: skip
    figure.data[0].showlegend = False
    figure.update_yaxes(rangemode="tozero")
    legend_below(figure)
    return figure
