"""Repetitions: a dot for every seed, the mean with its interval beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canonlib.errors import ConfigError
from canonlib.intervals import Interval, mean_interval
from canonlib.viz.figures import as_float, legend_below, level_line, new_figure
from canonlib.viz.template import CONTROL, HEIGHT, SMALL

if TYPE_CHECKING:
    import plotly.graph_objects as go

_WIDTH = 0.6
"""Share of a column's width that its series take together."""


def seed_dots(columns: Sequence[str], series: Mapping[str, Sequence[ArrayLike]], *, title: str, y: str, x: str = "",
              colors: Mapping[str, str] | None = None, controls: Sequence[str] = (),
              level: tuple[str, float] | None = None, percent: bool = False, alt: str = "",
              height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """For each column and series one dot per seed, and the mean with a 95% t interval.

    ``series[name]`` holds for each column the seeds' values (``[n_seeds]``, NaN where a seed has none); the marks of the
    second series are hollow. ``controls`` names columns that are drawn grey. ``level`` draws a dashed line at one
    value, with its name. Raises ``ConfigError`` for no columns, for controls that are none of them and for a series
    with another number of columns.
    """
    if not columns or not series:
        raise ConfigError("columns and series must hold at least one entry each.")
    for name, values in series.items():
        if len(values) != len(columns):
            raise ConfigError(f"series[{name!r}] has {len(values)} columns, and there are {len(columns)}: {columns}.")
    if unknown_columns := [name for name in controls if name not in columns]:
        raise ConfigError(f"controls names {unknown_columns[0]!r}, which is none of the columns {list(columns)}.")
    figure = new_figure(title, alt, x=x, y=y, height=height)
    step = _WIDTH / len(series)
    for number, (name, per_column) in enumerate(series.items()):
        look = {"name": name, "legendgroup": name, "mode": "markers"}
        own, middle = (colors or {}).get(name, SMALL), (number - (len(series) - 1) / 2) * step
        color = [CONTROL if column in controls else own for column in columns]
        hollow = "-open" if number else ""
        dots = [as_float(f"series[{name!r}]", column) for column in per_column]
        _dots(figure, dots, middle - step / 6, color, "circle" + hollow, ".0%" if percent else ".3~g", look)
        means = [mean_interval(np.asarray(column, dtype=np.float64)) for column in per_column]
        _means(figure, columns, means, middle + step / 6, color, "diamond" + hollow, look)
    if level is not None:
        level_line(figure, *level)
    labels = [column.replace(" → ", "<br>→ ") for column in columns]
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=labels, range=[-0.5, len(columns) - 0.5],
                        showgrid=False, zeroline=False)  # fmt: skip
    figure.update_yaxes(tickformat=".0%" if percent else None)
    if len(series) > 1:
        legend_below(figure)
    return figure


def _dots(figure: go.Figure, values: Sequence[NDArray[np.float32]], shift: float, color: Sequence[str], symbol: str,
          form: str, look: dict[str, str]) -> None:  # fmt: skip
    """Every seed's value, ``shift`` beside the middle of its column."""
    spots = [(c, s, v) for c, column in enumerate(values) for s, v in enumerate(column) if np.isfinite(v)]
    figure.add_scatter(
        x=np.array([c + shift for c, _, _ in spots], dtype=np.float32), y=np.array([v for _, _, v in spots], dtype=np.float32),
        showlegend=False, marker={"color": [color[c] for c, _, _ in spots], "size": 6, "opacity": 0.45, "symbol": symbol},
        **look,
        text=[f"{look['name']}, seed {s}" for _, s, _ in spots],
        hovertemplate=f"%{{text}}: %{{y:{form}}}<extra></extra>",
    )  # fmt: skip


def _means(figure: go.Figure, columns: Sequence[str], means: Sequence[Interval], shift: float, color: Sequence[str],
           symbol: str, look: dict[str, str]) -> None:  # fmt: skip
    """The mean of each column that has one, with its interval where there are two seeds or more."""
    found = [(c, mean) for c, mean in enumerate(means) if mean.n]
    figure.add_scatter(
        x=np.array([c + shift for c, _ in found], dtype=np.float32),
        y=np.array([mean.mean for _, mean in found], dtype=np.float32),
        marker={"color": [color[c] for c, _ in found], "size": 10, "symbol": symbol}, **look,
        # Bars have one colour for all columns; the columns' own would need a trace for each.
        error_y={"array": [mean.high - mean.mean if mean.n > 1 else 0.0 for _, mean in found],
                 "color": color[found[0][0]] if found else CONTROL},
        customdata=[f"{columns[c]}: mean {mean}, {mean.n} seeds" for c, mean in found],
        hovertemplate=look["name"] + ", %{customdata}<extra></extra>",
    )  # fmt: skip
