"""Figures of the first chapter: directions in the plane, counts by rank, and rates by attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from canonlib.errors import ConfigError
from canonlib.viz.figures import as_float, legend_below, new_figure
from canonlib.viz.template import CONTROL, LARGE, PAGE, SMALL, TRUTH

if TYPE_CHECKING:
    import plotly.graph_objects as go

_DICTIONARIES = (SMALL, LARGE)


def directions_figure(points: ArrayLike, dictionaries: Sequence[Mapping[str, Sequence[float]]], *, title: str,
                      alt: str = "", height: int = 400) -> go.Figure:  # fmt: skip
    """Points in the plane (``[n_points, 2]``, grey) and the directions of one or two dictionaries as labelled arrows.

    Each dictionary maps a latent's name to its direction ``[2]``; the smaller one comes first and is blue, the larger
    one orange. Raises ``ConfigError`` for more than two dictionaries and for what does not lie in the plane.
    """
    if not 1 <= len(dictionaries) <= len(_DICTIONARIES):
        raise ConfigError(f"dictionaries must hold one or two, got {len(dictionaries)}.")
    xy = as_float("points", points, ndim=2)
    if xy.shape[1] != 2:
        raise ConfigError(f"points must be [n_points, 2], got shape {xy.shape}.")
    figure = new_figure(title, alt, x="first coordinate", y="second coordinate", height=height)
    figure.add_scatter(x=xy[:, 0], y=xy[:, 1], mode="markers", marker={"color": CONTROL, "size": 5, "opacity": 0.6},
                       hovertemplate="(%{x:.2f}, %{y:.2f})<extra></extra>")  # fmt: skip
    for directions, color in zip(dictionaries, _DICTIONARIES, strict=False):
        for name, direction in directions.items():
            x, y = as_float(f"direction {name!r}", direction, 2)
            figure.add_annotation(x=float(x), y=float(y), ax=0, ay=0, axref="x", ayref="y", showarrow=True, text="",
                                  arrowhead=2, arrowwidth=3, arrowcolor=color)  # fmt: skip
            figure.add_annotation(x=1.12 * float(x), y=1.12 * float(y), text=f"<b>{name}</b>", showarrow=False,
                                  font={"color": color}, xanchor="left" if x > 0 else "center",
                                  bgcolor=PAGE)  # fmt: skip
    # Equal units on both axes: angles are the message.
    figure.update_xaxes(constrain="domain")
    figure.update_yaxes(scaleanchor="x", scaleratio=1)
    return figure


def rank_figure(counts: ArrayLike, names: Sequence[str], *, title: str, y: str, expected: ArrayLike | None = None,
                alt: str = "", height: int = 400) -> go.Figure:  # fmt: skip
    """Counts by rank (``counts``: ``[n_names]``, the first rank first) on two log axes; hover tells the name.

    ``expected`` (``[n_names]``) is drawn as a dashed grey line. Entries of zero have no place on a log axis.
    """
    figure = new_figure(title, alt, x="rank in the table", y=y, height=height)
    values = as_float("counts", counts, len(names))
    ranks = np.arange(1, len(values) + 1, dtype=np.int32)
    figure.add_scatter(x=ranks, y=values, mode="markers", text=list(names), marker={"color": TRUTH, "size": 6},
                       hovertemplate="%{text}, rank %{x}: %{y:,}<extra></extra>")  # fmt: skip
    if expected is not None:
        figure.add_scatter(x=ranks, y=as_float("expected", expected, len(names)), mode="lines", hoverinfo="skip",
                           line={"color": CONTROL, "dash": "dash", "width": 2})  # fmt: skip
    # Steps of 1, 2 and 5: Plotly's own ticks crowd an axis that spans little more than a decade.
    steps = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
    figure.update_xaxes(type="log", tickvals=[1, 10, 100, 1000])
    figure.update_yaxes(type="log", tickvals=steps, ticktext=[f"{step:,}" for step in steps])
    return figure


def dot_rows(names: Sequence[str], series: Mapping[str, ArrayLike], *, title: str, x: str,
             controls: Sequence[str] = (), alt: str = "", height: int | None = None) -> go.Figure:  # fmt: skip
    """Shares between 0 and 1 as dots on one row per name; every series is ``[n_names]``.

    Series named in ``controls`` are grey and hollow, the others purple (agreement with the ground truth). Raises
    ``ConfigError`` for a control that is no series and for another length.
    """
    strangers = [name for name in controls if name not in series]
    if strangers or not series:
        raise ConfigError(f"series has {list(series)}; controls names {strangers}.")
    figure = new_figure(title, alt, x=x, height=height or 150 + 24 * len(names))
    for name, values in series.items():
        hollow = name in controls
        marker = {"color": CONTROL if hollow else TRUTH, "size": 10, "symbol": "circle-open" if hollow else "circle"}
        figure.add_scatter(x=as_float(f"series[{name!r}]", values, len(names)), y=list(names), name=name,
                           mode="markers", marker=marker, cliponaxis=False,
                           hovertemplate=f"%{{y}}, {name}: %{{x:.1%}}<extra></extra>")  # fmt: skip
    figure.update_xaxes(range=[-0.02, 1.03], tickformat=".0%")
    figure.update_yaxes(autorange="reversed", ticks="")
    legend_below(figure)
    return figure
