"""Figures of paths between dictionaries: the error along the way, and what the order of insertion does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canonlib.errors import ConfigError
from canonlib.viz.figures import as_float, extent, legend_below, legible, level_line, new_figure, padded, spread
from canonlib.viz.template import CONTROL, DASHES, HEIGHT, LARGE, NEUTRAL, SMALL, size_colors

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Walk(NamedTuple):
    """One path, point by point."""

    name: str
    x: ArrayLike
    """[n_points]"""
    y: ArrayLike
    """[n_points]"""
    n_inserted: int
    """Points 0 to this one are insertions."""
    n_swapped: int
    """Points up to this one are swaps; then the rest is exchanged."""
    hover: Sequence[str] = ()
    """[n_points] what each point is; the path's name where there is none."""


def path_figure(walks: Sequence[Walk], trained: Mapping[int, tuple[float, float]], *, title: str, x: str, y: str,
                alt: str = "", height: int = 480) -> go.Figure:  # fmt: skip
    """Paths as lines (insertions orange, swaps blue, the rest dotted) between trained SAEs as points, labelled by size.

    Raises ``ConfigError`` for no walks, for axes of different length and for turns that are not on the path.
    """
    if not walks:
        raise ConfigError("walks must hold at least one path.")
    figure = new_figure(title, alt, x=x, y=y, height=height)
    named: set[str] = set()
    reached: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
    for walk in walks:
        at = as_float(f"{walk.name}: x", walk.x)
        value = as_float(f"{walk.name}: y", walk.y, len(at))
        reached[0].append(at)
        reached[1].append(value)
        if not 0 <= walk.n_inserted <= walk.n_swapped < len(at):
            raise ConfigError(
                f"{walk.name}: insertions end at point {walk.n_inserted} and swaps at {walk.n_swapped}, on a path of "
                f"{len(at)} points."
            )
        texts = list(walk.hover) or [walk.name] * len(at)
        parts = (
            ("inserting", LARGE, "solid", slice(0, walk.n_inserted + 1)),
            ("swapping groups", SMALL, "solid", slice(walk.n_inserted, walk.n_swapped + 1)),
            ("exchanging the rest", SMALL, "dot", slice(walk.n_swapped, None)),
        )
        for name, color, dash, part in parts:
            if len(at[part]) < 2:  # nothing of the kind on this path
                continue
            figure.add_scatter(x=at[part], y=value[part], mode="lines", name=name, legendgroup=name,
                               showlegend=name not in named, line={"color": color, "width": 2.5, "dash": dash}, text=texts[part],
                               hovertemplate="%{text}<br>%{x:,.4~g}: %{y:.3~g}<extra></extra>")  # fmt: skip
            named.add(name)
    sizes = sorted(trained)
    across, up = (np.asarray([trained[n][axis] for n in sizes], dtype=np.float32) for axis in (0, 1))
    figure.add_scatter(x=across, y=up,
                       mode="markers+text", name="trained SAE", text=[f"{n:,}" for n in sizes], cliponaxis=False,
                       textposition="bottom left", textfont={"size": 12}, hovertemplate="trained SAE of %{text} latents"
                       "<br>%{x:,.4~g}: %{y:.3~g}<extra></extra>",
                       marker={"size": 10, "color": size_colors(len(sizes)), "line": {"width": 1, "color": CONTROL}})  # fmt: skip
    # Fixed ranges with room on all sides: a path must not run along the frame, and labels stand left of and below points.
    figure.update_xaxes(range=padded([*reached[0], across], 0.06))
    figure.update_yaxes(range=padded([*reached[1], up], 0.08))
    legend_below(figure)
    return figure


def order_figure(curves: Mapping[str, ArrayLike], *, title: str, y: str, controls: Sequence[str] = (),
                 level: tuple[str, float] | None = None, x: str = "latents inserted", alt: str = "",
                 height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """One line per order over the number of moves made, named beside it; ``controls`` are grey and dashed.

    The first is solid and the next ones dotted, so that one below another shows; of curves that are the same, one is
    drawn and named after all ("greedy = free"). ``level`` draws a dotted line at one value, with its name. Raises
    ``ConfigError`` for no curves.
    """
    if not curves:
        raise ConfigError("curves must hold at least one curve.")
    figure = new_figure(title, alt, x=x, y=y, height=height)
    data = _merged({name: as_float(f"curves[{name!r}]", values) for name, values in curves.items()}, controls)
    labels: list[tuple[str, float, str]] = []
    styles = zip(NEUTRAL * len(data), DASHES * len(data), strict=False)
    for name, values in data.items():
        color, dash = (CONTROL, "dash") if name in controls else next(styles)
        figure.add_scatter(x=np.arange(len(values)), y=values, mode="lines", name=name,
                           line={"color": color, "width": 2.5, "dash": dash},
                           hovertemplate=f"{name}, after %{{x:,}}: %{{y:.3~g}}<extra></extra>")  # fmt: skip
        # All orders end at one point: each is named where the lines are furthest apart, in the middle.
        labels.append((name, float(values[len(values) // 2]), color))
    if level is not None:
        # On the left: the curves' names stand on the right.
        level_line(figure, *level, dash="dot", right=False)
    low, high = extent([*data.values(), [] if level is None else [level[1]]])
    last = max(len(values) for values in data.values()) - 1
    ordered = sorted(labels, key=lambda label: label[1])
    places = spread([value for _, value, _ in ordered], 0.06 * (high - low))
    for (name, _, color), place in zip(ordered, places, strict=True):
        figure.add_annotation(x=last, y=place, text=name, showarrow=False, xanchor="left", xshift=10,
                              align="left", font={"color": legible(color), "size": 13})  # fmt: skip
    # The names stand in the margin: left to itself, Plotly would stretch the axis until they fit inside.
    figure.update_xaxes(range=[0, 1.02 * max(last, 1)])
    figure.update_layout(margin={"r": 30 + min(8 * max(len(name) for name in data), 220)})
    return figure


def _merged(data: Mapping[str, NDArray[np.float32]], controls: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Curves that are the same under one name, that of all; controls stay by themselves."""
    groups: list[tuple[list[str], NDArray[np.float32]]] = []
    for name, values in data.items():
        same = (names for names, found in groups if found.shape == values.shape and np.allclose(found, values)
                and not {name, *names} & set(controls))  # fmt: skip
        names = next(same, None)
        if names is None:
            groups.append(([name], values))
        else:
            names.append(name)
    return {" = ".join(names): values for names, values in groups}
