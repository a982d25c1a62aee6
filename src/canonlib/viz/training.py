"""Figures of the training chapter: what is recovered, curves over steps, the frontier, and how a class splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canonlib.errors import ConfigError
from canonlib.viz.figures import as_float, new_figure, spread
from canonlib.viz.template import CONTROL, HEIGHT, SMALL, TRUTH, size_colors

if TYPE_CHECKING:
    import plotly.graph_objects as go

_MARKS = [digit * 10.0**power for power in range(-5, 9) for digit in (1, 2, 5)]
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")


class Curve(NamedTuple):
    """A named line's points, both ``[n_points]``."""

    x: ArrayLike
    y: ArrayLike


class Part(NamedTuple):
    """One latent of a dictionary, as a part of a class."""

    label: str
    share: float
    """Share of the class's mentions on which the latent fires, from 0 to 1."""
    parent: int | None = None
    """Place, in the column before, of the latent that it comes from."""
    hover: str = ""


def recovery_scatter(fires: ArrayLike, cosine: ArrayLike, control: ArrayLike, *, title: str, alt: str = "",
                     height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """Cosine of each planted feature to its nearest direction over how often the feature occurs (log axis).

    All are ``[n_features]``; ``control`` is the same cosine for directions that were not trained, in grey. Raises
    ``ConfigError`` for lengths that differ.
    """
    figure = new_figure(title, alt, x="tokens with the feature", y="cosine to the truth", height=height)
    x = as_float("fires", fires)
    series = (("random directions", control, CONTROL, "circle-open"), ("SAE", cosine, TRUTH, "circle"))
    for name, values, color, symbol in series:
        figure.add_scatter(x=x, y=as_float(name, values, len(x)), mode="markers", name=name,
                           marker={"color": color, "size": 6, "symbol": symbol, "opacity": 0.7},
                           text=[f"feature {i}" for i in range(len(x))],
                           hovertemplate=f"%{{text}}, on %{{x:,}} tokens<br>{name}: %{{y:.2f}}<extra></extra>")  # fmt: skip
    figure.update_xaxes(type="log", **_ticks(x))
    figure.update_yaxes(range=[0, 1.04])
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"})
    return figure


def step_curves(curves: Mapping[str, Curve], *, title: str, y: str, colors: Mapping[str, str] | None = None,
                alt: str = "", height: int = 380) -> go.Figure:  # fmt: skip
    """Named lines over training steps on a logarithmic y axis, with a legend above.

    Raises ``ConfigError`` for no curves and for a value that is not above zero.
    """
    figure = new_figure(title, alt, x="training step", y=y, height=height)
    every = _above_zero(curves, only_y=True)
    for i, (name, (x, values)) in enumerate(every.items()):
        color = (colors or {}).get(name, (SMALL, CONTROL)[i % 2])
        figure.add_scatter(x=x, y=values, mode="lines", name=name, line={"color": color, "width": 2.5},
                           hovertemplate=f"{name}, step %{{x:,}}: %{{y:.3~g}}<extra></extra>")  # fmt: skip
    figure.update_yaxes(type="log", **_ticks(np.concatenate([values for _, values in every.values()])))
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"})
    return figure


def frontier_figure(curves: Mapping[str, Curve], *, title: str, y: str, colors: Mapping[str, str],
                    x: str = "L0 (active latents per token)", percent: bool = False, alt: str = "",
                    height: int = 460) -> go.Figure:  # fmt: skip
    """One line per architecture over L0, both axes logarithmic, each named at its right end.

    Raises ``ConfigError`` for no curves and for a value that is not above zero.
    """
    figure = new_figure(title, alt, x=x, y=y, height=height)
    every = _above_zero(curves)
    up = np.log10(np.concatenate([values for _, values in every.values()]))
    across = np.log10(np.concatenate([at for at, _ in every.values()]))
    low, high = float(up.min()), float(up.max())
    ends = []
    for i, (name, (at, values)) in enumerate(every.items()):
        order = np.argsort(at, kind="stable")
        color = colors.get(name, CONTROL)
        shown = "%{y:.2%}" if percent else "%{y:.3~g}"
        figure.add_scatter(x=at[order], y=values[order], mode="lines+markers", name=name,
                           line={"color": color, "width": 2},
                           marker={"size": 8, "symbol": _SYMBOLS[i % len(_SYMBOLS)]},
                           hovertemplate=f"{name}<br>L0 %{{x:.1f}}: {shown}<extra></extra>")  # fmt: skip
        ends.append((name, color, float(np.log10(values[order[-1]])), float(np.log10(at[order[-1]]))))
    # All labels stand in the margin, in the order of the lines' ends: beside them, other lines would run through.
    ends.sort(key=lambda end: end[2])
    gap, right = 0.07 * max(high - low, 1e-3), float(across.max())
    places = spread([end[2] for end in ends], gap)
    for (name, color, _, _), place in zip(ends, places, strict=True):
        figure.add_annotation(x=right, y=place, text=name, showarrow=False, xanchor="left", xshift=10,
                              font={"color": color, "size": 13})  # fmt: skip
    pad, side = 0.06 * max(high - low, 1e-3), 0.03 * max(right - float(across.min()), 1e-3)
    bottom, top = min([low, *places]) - pad, max([high, *places]) + pad
    figure.update_xaxes(type="log", range=[float(across.min()) - side, right + side], **_ticks(10**across))
    ticks = _ticks(10**up)
    if percent:
        ticks["ticktext"] = [f"{100 * mark:g}%" for mark in ticks["tickvals"]]
    figure.update_yaxes(type="log", range=[bottom, top], **ticks)
    figure.update_layout(margin={"r": 30 + 8 * max(len(name) for name in every)})
    return figure


def splitting_tree(columns: Mapping[int, Sequence[Part]], *, title: str, alt: str = "", aside: bool = False,
                   height: int = 540) -> go.Figure:  # fmt: skip
    """The parts of a class at several dictionary sizes, left to right: a dot for each latent, its area the share.

    ``columns`` maps a size to its parts; a line joins a part to its parent in the column before. Labels stand above
    their dots, or ``aside``, to the right of them. Raises
    ``ConfigError`` for no parts and for a parent that is not there.
    """
    sizes = sorted(columns)
    if not any(columns[size] for size in sizes):
        raise ConfigError("columns must hold at least one part.")
    figure = new_figure(title, alt, x="dictionary size (latents)", height=height)
    heights: list[list[float]] = []
    lines: tuple[list[float | None], list[float | None]] = ([], [])
    for at, size in enumerate(sizes):
        parts, before = columns[size], heights[-1] if heights else []
        if any(part.parent is not None and not 0 <= part.parent < len(before) for part in parts):
            raise ConfigError(f"columns[{size}] names a parent that is not in the column before.")
        places = _places([1.0 if p.parent is None else before[p.parent] for p in parts], [p.share for p in parts])
        for part, place in zip(parts, places, strict=True):
            if part.parent is not None:
                lines[0].extend((at - 1, at, None))
                lines[1].extend((before[part.parent], place, None))
        heights.append(places)
    figure.add_scatter(x=lines[0], y=lines[1], mode="lines", hoverinfo="skip", opacity=0.6,
                       line={"color": CONTROL, "width": 1.2})  # fmt: skip
    for at, (size, color) in enumerate(zip(sizes, size_colors(len(sizes)), strict=True)):
        parts = columns[size]
        figure.add_scatter(
            x=[at] * len(parts), y=heights[at], mode="markers+text", text=[part.label for part in parts],
            textposition="middle right" if aside else "top center", textfont={"size": 12}, cliponaxis=False,
            marker={"color": color, "opacity": 1, "line": {"width": 1, "color": "white"},
                    "size": [8 + 22 * max(part.share, 0) ** 0.5 for part in parts]},
            customdata=[part.hover or part.label for part in parts], hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(tickvals=list(range(len(sizes))), ticktext=[f"{size:,}" for size in sizes], showgrid=False,
                        range=[-0.4, len(sizes) - (0.1 if aside else 0.6)], zeroline=False)  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.02, 1.06])
    figure.update_layout(margin={"l": 24})
    return figure


def _places(parents: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Heights from 1 (top) to 0: by the parent's height, and the largest share first among siblings."""
    order = sorted(range(len(parents)), key=lambda i: (-parents[i], -shares[i], i))
    places = [0.0] * len(order)
    for rank, i in enumerate(order):
        places[i] = 1 - (rank + 0.5) / len(order)
    return places


def _above_zero(
    curves: Mapping[str, Curve], only_y: bool = False
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    if not curves:
        raise ConfigError("curves must hold at least one curve.")
    checked = {}
    for name, (x, y) in curves.items():
        at = as_float(f"curves[{name!r}].x", x)
        values = as_float(f"curves[{name!r}].y", y, len(at))
        if not (values > 0).all() or not (only_y or (at > 0).all()):
            raise ConfigError(f"curves[{name!r}] must be above zero everywhere: the axis is logarithmic.")
        checked[name] = (at, values)
    return checked


def _ticks(values: ArrayLike) -> dict[str, list[float] | list[str]]:
    """Ticks at 1, 2 and 5 within the values' range, with thousands apart."""
    array = np.asarray(values, dtype=np.float64)
    low, high = float(array.min()) * 0.7, float(array.max()) * 1.4
    marks = [mark for mark in _MARKS if low <= mark <= high]
    return {"tickvals": marks, "ticktext": [f"{mark:,g}" if mark < 1 else f"{mark:,.0f}" for mark in marks]}
