"""Curves of shares: how many values lie above each cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from canonlib.errors import ConfigError
from canonlib.viz.figures import as_float, new_figure
from canonlib.viz.stitching import HIGHLIGHTS
from canonlib.viz.template import CONTROL, HEIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go


def share_above(values: Mapping[str, ArrayLike], *, cut: float, title: str, x: str, y: str, low: float = 0.0,
                controls: Sequence[str] = (), alt: str = "", height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """For each named set of ``values`` (``[n]``, none above 1), the share above every cut from ``low`` to 1.

    A dashed vertical line stands at ``cut``. The highest and the lowest curve there are coloured and labelled with
    their share, ``controls`` are dashed and labelled where a fifth of their values lie above, the others are thin and
    grey. Raises ``ConfigError`` when there is nothing but controls.
    """
    real = [name for name in values if name not in controls]
    if not real:
        raise ConfigError(f"values has no curve beside the controls {list(controls)}.")
    arrays = {name: as_float(f"values[{name!r}]", found) for name, found in values.items()}
    at_cut = {name: float((arrays[name] > cut).mean()) for name in real}
    ends = dict(zip(sorted({min(real, key=at_cut.__getitem__), max(real, key=at_cut.__getitem__)},
                           key=at_cut.__getitem__), HIGHLIGHTS, strict=False))  # fmt: skip
    grid = np.linspace(low, 1, 121, dtype=np.float32)
    figure = new_figure(title, alt, x=x, y=y, height=height)
    for name in sorted(values, key=lambda name: name in ends):
        share = (arrays[name][:, None] > grid[None]).mean(0).astype(np.float32)
        line = {"color": ends.get(name, CONTROL), "width": 3 if name in ends else 1.2}
        line |= {"dash": "dash", "width": 2} if name in controls else {}
        figure.add_scatter(x=grid, y=share, mode="lines", name=name, line=line,
                           hovertemplate=f"{name}<br>above %{{x:.2f}}: %{{y:.0%}}<extra></extra>")  # fmt: skip
        if name in controls:
            low_end = int((share > 0.2).sum())  # where the labels of the highest and the lowest curve do not come
            figure.add_annotation(x=float(grid[low_end]) if low_end < len(grid) else 1.0, y=0.2, text=name, showarrow=False,
                                  xanchor="left", xshift=8, font={"color": CONTROL, "size": 13})  # fmt: skip
    figure.add_vline(x=cut, line={"color": CONTROL, "dash": "dash", "width": 1.5})
    # Curves fall to the right: below the lowest and left of the cut nothing is drawn, nor above the highest and right.
    for i, (name, color) in enumerate(ends.items()):
        lowest = i == 0
        figure.add_annotation(x=cut, y=at_cut[name], text=f"{name}: {at_cut[name]:.0%}", showarrow=False,
                              xanchor="right" if lowest else "left", xshift=-8 if lowest else 8,
                              yshift=-10 if lowest else 10, font={"color": color, "size": 13})  # fmt: skip
    figure.update_yaxes(tickformat=".0%", range=[-0.02, 1.04])
    figure.update_xaxes(range=[low, 1.0])
    figure.update_layout(margin={"r": 110})
    return figure
