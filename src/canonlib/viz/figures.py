"""Figure builders: plain numpy arrays in, a sized and labelled ``plotly.graph_objects.Figure`` out.

Data go in as float32 (half the size in the notebook). The title says the message; ``alt`` is the text that a
screen reader gets, kept in ``layout.meta["alt"]``. Titles and labels may hold Plotly's small HTML (``<b>``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canonlib.errors import ConfigError
from canonlib.viz.template import CONTROL, DASHES, HEAT, HEIGHT, LARGE, META, SMALL, TRUTH

if TYPE_CHECKING:
    import plotly.graph_objects as go

_CYCLE = (SMALL, LARGE, META, TRUTH, "#b8860b", "#a0437a")


def as_float(name: str, values: ArrayLike, length: int | None = None, ndim: int = 1) -> NDArray[np.float32]:
    """``values`` as float32 with ``ndim`` axes (and ``length`` rows); ``ConfigError`` names the field otherwise."""
    array = np.asarray(values, dtype=np.float32)
    if array.ndim != ndim:
        raise ConfigError(f"{name} must have {ndim} axes, got shape {array.shape}.")
    if length is not None and len(array) != length:
        raise ConfigError(f"{name} must have {length} entries, got {len(array)}.")
    return array


def new_figure(title: str, alt: str, *, x: str = "", y: str = "", height: int = HEIGHT) -> go.Figure:
    """An empty figure in the ``canon`` template with its title, axis titles and alternative text."""
    import plotly.graph_objects as go

    from canonlib.viz.template import canon_template

    figure = go.Figure(layout={"template": canon_template(), "height": height, "meta": {"alt": alt or title},
                               "title": {"text": title}, "showlegend": False, "hovermode": "closest"})  # fmt: skip
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y)
    return figure


def level_line(figure: go.Figure, name: str, value: float, dash: str = "dash", right: bool = True) -> None:
    """A grey line across the plot at one value, with its name at one end."""
    side = "right" if right else "left"
    figure.add_hline(y=value, line={"color": CONTROL, "dash": dash, "width": 1.5})
    figure.add_annotation(xref="paper", x=float(right), xanchor=side, xshift=0 if right else 6, y=value, yanchor="bottom",
                          text=name, showarrow=False, font={"color": CONTROL, "size": 13})  # fmt: skip


def legend_below(figure: go.Figure) -> None:
    """A legend under the plot: above it, on a phone, two rows of it would run into the title."""
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top"})


def _label(figure: go.Figure, x: float, y: float, text: str, color: str, left: bool = False, **extra: Any) -> None:
    """A direct label to the right (or left) of a point, in the point's colour."""
    figure.add_annotation(x=float(x), y=float(y), text=text, showarrow=False, xanchor="right" if left else "left",
                          xshift=-8 if left else 8, align="left", font={"color": legible(color), "size": 13}, **extra)  # fmt: skip


def legible(color: str) -> str:
    """``color`` (as "#rrggbb"), darkened where needed to a contrast of 3:1 with white, which words need."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]

    def contrast(shade: float) -> float:
        linear = [(v * shade) / 12.92 if v * shade <= 0.04045 else ((v * shade + 0.055) / 1.055) ** 2.4 for v in parts]
        return 1.05 / (0.05 + float(np.dot(linear, (0.2126, 0.7152, 0.0722))))

    shade = 1.0
    while contrast(shade) < 3.05:
        shade -= 0.02
    return "#" + "".join(f"{round(255 * v * shade):02x}" for v in parts)


def spread(values: list[float], gap: float) -> list[float]:
    """Move ``values`` apart, keeping their order, until neighbours are at least ``gap`` apart."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed = list(values)
    for before, here in pairwise(order):
        placed[here] = max(placed[here], placed[before] + gap)
    shift = sum(placed[i] - values[i] for i in order) / max(len(order), 1)
    return [p - shift for p in placed]


def line_by_size(sizes: Sequence[int], series: Mapping[str, ArrayLike], *, title: str, y: str, alt: str = "",
                 colors: Mapping[str, str] | None = None, controls: Sequence[str] = (),
                 bands: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None, percent: bool = False,
                 levels: Mapping[str, float] | None = None, labels: Mapping[str, str] | None = None,
                 height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """One line per named series over dictionary sizes (``sizes``: ``[n_sizes]``, log2 axis), labelled at its end.

    A series that ends before the last size and begins after the first is labelled at its beginning, where no other
    line runs through the label. ``controls`` names series drawn grey and dashed; ``levels`` draws one number that
    belongs to no size, such as another paper's, as a dashed line without points; ``bands`` gives a (low, high) pair
    over seeds per series. Of several series in one colour the first is solid, the second dotted and so on. ``labels``
    says another text than its name beside a series, or none (""): for lines that lie on one another. NaN leaves a gap.
    Raises ``ConfigError`` when a series has another length than ``sizes``.

    >>> figure = line_by_size([64, 128], {"ReLU": [0.2, 0.1]}, title="Larger is better", y="MSE", alt="A falling line.")
    >>> figure.layout.title.text, [trace.name for trace in figure.data]
    ('Larger is better', ['ReLU'])
    """
    figure = new_figure(title, alt, x="dictionary size (latents)", y=y, height=height)
    unknown_names = [n for n in [*(colors or {}), *controls, *(bands or {}), *(labels or {})] if n not in series]
    if unknown_names or not series:
        raise ConfigError(f"series has {list(series)}; colors, controls, bands or labels name {unknown_names}.")
    x = as_float("sizes", sizes)
    data = {name: as_float(f"series[{name!r}]", values, len(x)) for name, values in series.items()}
    ends: list[tuple[str, float, str, float]] = []
    starts: list[tuple[str, float, str, float]] = []
    used: list[str] = []
    for i, (name, values) in enumerate(data.items()):
        grey = name in controls
        color = (colors or {}).get(name, CONTROL if grey else _CYCLE[i % len(_CYCLE)])
        again, text = used.count(color), (labels or {}).get(name, name)
        dash = {"dash": "dash"} if grey else {"dash": DASHES[again % len(DASHES)]} if again else {}
        used += [] if grey else [color]
        if bands and name in bands:
            _band(figure, x, bands[name], color, name)
        figure.add_scatter(x=x, y=values, name=name, mode="lines+markers",
                           line={"color": color, "width": 2.5, **dash}, marker={"size": 8},
                           hovertemplate=f"{name}<br>%{{x:,}} latents: %{{y:.3~g}}<extra></extra>"
                           if not percent else f"{name}<br>%{{x:,}} latents: %{{y:.1%}}<extra></extra>")  # fmt: skip
        seen = np.flatnonzero(np.isfinite(values))
        if len(seen) and text:
            inside = seen[0] > 0 and seen[-1] < len(x) - 1
            at = int(seen[0] if inside else seen[-1])
            (starts if inside else ends).append((text, float(values[at]), color, float(np.log10(x[at]))))
    for name, level in (levels or {}).items():
        figure.add_scatter(x=x[[0, -1]], y=np.full(2, level, dtype=np.float32), name=name, mode="lines", hoverinfo="skip",
                           line={"color": CONTROL, "width": 2, "dash": "dash"})  # fmt: skip
        ends.append((name, float(level), CONTROL, float(np.log10(x[-1]))))
    low, high = extent([*data.values(), list((levels or {}).values())])
    for (text, _, color, end), placed in zip(ends, spread([e[1] for e in ends], 0.075 * (high - low)), strict=True):
        # A label of several lines stands on its line: around it, it could reach below the axis.
        place: dict[str, Any] = {"yanchor": "bottom", "yshift": -9} if "<br>" in text else {}
        _label(figure, end, placed, text, color, **place)
    for text, value, color, start in starts:
        _label(figure, start, value, text, color, left=True)
    ticks = [int(s) for s in sizes]
    longest = max([len(line) for text, *_ in [*ends, *starts] for line in text.split("<br>")], default=0)
    # A fixed range: the labels at the line ends belong in the margin and must not stretch the axis.
    first, last = (float(np.log10(s)) for s in (x.min(), x.max()))
    pad = 0.04 * (last - first) or 0.5
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{s:,}" for s in ticks], range=[first - pad, last + pad])
    figure.update_layout(margin={"r": 24 + min(8 * longest, 220)})
    if percent:
        figure.update_yaxes(tickformat=".0%")
    return figure


def extent(arrays: Any) -> tuple[float, float]:
    """Lowest and highest finite value, never equal."""
    flat = np.concatenate([np.ravel(a) for a in arrays])
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return 0.0, 1.0
    low, high = float(flat.min()), float(flat.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def padded(arrays: Any, share: float) -> list[float]:
    """The range of an axis that shows all values, with a ``share`` of their extent to spare on both sides."""
    low, high = extent(arrays)
    return [low - share * (high - low), high + share * (high - low)]


def _band(figure: go.Figure, x: NDArray[np.float32], band: tuple[ArrayLike, ArrayLike], color: str, name: str) -> None:
    low, high = (as_float(f"bands[{name!r}]", b, len(x)) for b in band)
    rgb = ",".join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))
    figure.add_scatter(x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself",
                       mode="lines", line={"width": 0}, fillcolor=f"rgba({rgb},0.18)", hoverinfo="skip")  # fmt: skip


def fact_heatmap(values: ArrayLike, rows: Sequence[str], columns: Sequence[str], *, title: str, unit: str = "",
                 hover: Sequence[Sequence[str]] | None = None, low: float | None = None, high: float | None = None,
                 alt: str = "", height: int | None = None) -> go.Figure:  # fmt: skip
    """A table of numbers as colours (``values``: ``[n_rows, n_columns]``), such as meta-latents by facts.

    Cells with NaN stay empty. ``hover`` holds one text per cell. Raises ``ConfigError`` for names that do not fit.
    """
    z = as_float("values", values, len(rows), ndim=2)
    if z.shape[1] != len(columns):
        raise ConfigError(f"values has {z.shape[1]} columns but {len(columns)} column names.")
    figure = new_figure(title, alt, height=height or max(260, 110 + 24 * len(rows)))
    figure.add_heatmap(z=z, x=list(columns), y=list(rows), text=hover, zmin=low, zmax=high, xgap=1, ygap=1,
                       colorscale=HEAT,
                       hovertemplate="%{y} · %{x}<br>" + ("%{text}<br>" if hover is not None else "")
                       + "%{z:.2f} " + unit + "<extra></extra>",
                       colorbar={"title": {"text": unit}, "thickness": 12, "len": 0.9})  # fmt: skip
    figure.update_xaxes(showgrid=False, ticks="", tickangle=-40)
    figure.update_yaxes(showgrid=False, ticks="", autorange="reversed")
    return figure


def bars(names: Sequence[str], values: ArrayLike, *, title: str, y: str, colors: Sequence[str] | str = SMALL,
         errors: ArrayLike | None = None, hover: Sequence[str] | None = None, percent: bool = False, alt: str = "",
         height: int = 380) -> go.Figure:  # fmt: skip
    """One bar per name with its value written on it; ``errors`` (``[n_names]`` or ``[n_names, 2]``) adds whiskers.

    Raises ``ConfigError`` for values or whiskers of another length.
    """
    v = as_float("values", values, len(names))
    figure = new_figure(title, alt, y=y, height=height)
    low, high = _whiskers(v, errors)
    form = "{:.0%}" if percent else "{:.3g}"
    texts = [form.format(float(value)) if np.isfinite(value) else "" for value in v]
    whiskers = {"type": "data", "array": high, "arrayminus": low, "symmetric": False, "color": CONTROL}
    figure.add_bar(x=list(names), y=v, marker={"color": colors}, error_y=None if errors is None else whiskers,
                   customdata=texts, hovertext=list(hover) if hover is not None else None,
                   hovertemplate="%{hovertext}<extra></extra>" if hover is not None
                   else "%{x}: %{customdata}<extra></extra>")  # fmt: skip
    # The value stands beyond the whisker: Plotly's own bar text would lie on top of it.
    for name, text, value, down, up in zip(names, texts, v, low, high, strict=True):
        end = float(value + up if value >= 0 else value - down)
        figure.add_annotation(x=name, y=end if text else 0, text=text, showarrow=False,
                              yanchor="bottom" if value >= 0 else "top", yshift=2 if value >= 0 else -2)  # fmt: skip
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(tickformat=".0%" if percent else None, rangemode="tozero")
    return figure


def _whiskers(values: NDArray[np.float32], errors: ArrayLike | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lengths below and above each value: zero without ``errors``, equal for ``[n]``, columns of ``[n, 2]``."""
    if errors is None:
        return np.zeros_like(values), np.zeros_like(values)
    e = np.asarray(errors, dtype=np.float32)
    if e.shape not in ((len(values),), (len(values), 2)) or (e < 0).any():
        n = len(values)
        raise ConfigError(f"errors must be lengths >= 0 of shape ({n},) or ({n}, 2), got shape {e.shape}.")
    return (e, e) if e.ndim == 1 else (e[:, 0], e[:, 1])
