"""Repetitions: a dot for every seed, the mean with its interval beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from canonlib.errors import ConfigError
from canonlib.intervals import mean_interval
from canonlib.viz.figures import as_float, legible, new_figure
from canonlib.viz.template import CONTROL, HEIGHT, SMALL

if TYPE_CHECKING:
    import plotly.graph_objects as go

_WIDTH = 0.6
"""Share of a column's width that its series take together."""


def seed_dots(columns: Sequence[str], series: Mapping[str, Sequence[ArrayLike]], *, title: str, y: str, x: str = "",
              colors: Mapping[str, str] | None = None, level: tuple[str, float] | None = None, percent: bool = False,
              alt: str = "", height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """For each column and series one dot per seed, and the mean with a 95% t interval.

    ``series[name]`` holds for each column the seeds' values (``[n_seeds]``, NaN where a seed has none). ``level`` draws
    a dashed line at one value, with its name. Raises ``ConfigError`` for no columns and for a series with another
    number of columns.
    """
    if not columns or not series:
        raise ConfigError("columns and series must hold at least one entry each.")
    for name, values in series.items():
        if len(values) != len(columns):
            raise ConfigError(f"series[{name!r}] has {len(values)} columns, and there are {len(columns)}: {columns}.")
    figure = new_figure(title, alt, x=x, y=y, height=height)
    form = ".0%" if percent else ".3~g"
    step = _WIDTH / len(series)
    for number, (name, per_column) in enumerate(series.items()):
        color = (colors or {}).get(name, SMALL)
        middle = (number - (len(series) - 1) / 2) * step
        spots = [(c, s, float(v)) for c, values in enumerate(per_column)
                 for s, v in enumerate(as_float(f"series[{name!r}]", values)) if np.isfinite(v)]  # fmt: skip
        figure.add_scatter(
            x=np.array([c + middle - step / 6 for c, _, _ in spots], dtype=np.float32), name=name, showlegend=False,
            y=np.array([v for _, _, v in spots], dtype=np.float32), mode="markers", legendgroup=name,
            marker={"color": color, "size": 6, "opacity": 0.45}, text=[f"{name}, seed {s}" for _, s, _ in spots],
            hovertemplate=f"%{{text}}: %{{y:{form}}}<extra></extra>",
        )  # fmt: skip
        means = [mean_interval(np.asarray(values, dtype=np.float64)) for values in per_column]
        there = [c for c, m in enumerate(means) if m.n]
        half = [means[c].high - means[c].mean if means[c].n > 1 else 0.0 for c in there]
        figure.add_scatter(
            x=np.array([c + middle + step / 6 for c in there], dtype=np.float32), name=name, legendgroup=name,
            y=np.array([means[c].mean for c in there], dtype=np.float32), mode="markers",
            marker={"color": color, "size": 10, "symbol": "diamond"}, error_y={"array": half, "color": color},
            customdata=[f"{columns[c]}: mean {means[c]}, {means[c].n} seeds" for c in there],
            hovertemplate=name + ", %{customdata}<extra></extra>",
        )  # fmt: skip
    if level is not None:
        figure.add_hline(y=level[1], line={"color": CONTROL, "dash": "dash", "width": 1.5})
        figure.add_annotation(xref="paper", x=1, xanchor="right", y=level[1], yanchor="bottom", text=level[0],
                              showarrow=False, font={"color": legible(CONTROL), "size": 13})  # fmt: skip
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=[c.replace(" → ", "<br>→ ") for c in columns], showgrid=False, zeroline=False,
                        range=[-0.5, len(columns) - 0.5])  # fmt: skip
    figure.update_yaxes(tickformat=".0%" if percent else None)
    figure.update_layout(showlegend=len(series) > 1, legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"})
    return figure
