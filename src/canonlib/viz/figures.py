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
from canonlib.viz.template import CONTROL, HEAT, HEIGHT, LARGE, META, SIZE_RAMP, SMALL, TRUTH

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


def _label(figure: go.Figure, x: float, y: float, text: str, color: str, left: bool = False, **extra: Any) -> None:
    """A direct label to the right (or left) of a point, in the point's colour."""
    figure.add_annotation(x=float(x), y=float(y), text=text, showarrow=False, xanchor="right" if left else "left",
                          xshift=-8 if left else 8, font={"color": legible(color), "size": 13}, **extra)  # fmt: skip


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


def _spread(values: list[float], gap: float) -> list[float]:
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
                 levels: Mapping[str, float] | None = None, height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """One line per named series over dictionary sizes (``sizes``: ``[n_sizes]``, log2 axis), labelled at its end.

    A series that ends before the last size and begins after the first is labelled at its beginning, where no other
    line runs through the label. ``controls`` names series drawn grey and dashed; ``levels`` draws one number that
    belongs to no size, such as another paper's, as a dashed line without points; ``bands`` gives a (low, high) pair
    over seeds per series. NaN leaves a gap. Raises ``ConfigError`` when a series has another length than ``sizes``.
    """
    figure = new_figure(title, alt, x="dictionary size (latents)", y=y, height=height)
    unknown_names = [n for n in [*(colors or {}), *controls, *(bands or {})] if n not in series]
    if unknown_names or not series:
        raise ConfigError(f"series has {list(series)}; colors, controls or bands name {unknown_names}.")
    x = as_float("sizes", sizes)
    data = {name: as_float(f"series[{name!r}]", values, len(x)) for name, values in series.items()}
    ends: list[tuple[str, float, str, float]] = []
    starts: list[tuple[str, float, str, float]] = []
    for i, (name, values) in enumerate(data.items()):
        grey = name in controls
        color = (colors or {}).get(name, CONTROL if grey else _CYCLE[i % len(_CYCLE)])
        if bands and name in bands:
            _band(figure, x, bands[name], color, name)
        figure.add_scatter(x=x, y=values, name=name, mode="lines+markers",
                           line={"color": color, "width": 2.5, **({"dash": "dash"} if grey else {})},
                           marker={"size": 8}, hovertemplate=f"{name}<br>%{{x:,}} latents: %{{y:.3~g}}<extra></extra>"
                           if not percent else f"{name}<br>%{{x:,}} latents: %{{y:.1%}}<extra></extra>")  # fmt: skip
        seen = np.flatnonzero(np.isfinite(values))
        if len(seen):
            inside = seen[0] > 0 and seen[-1] < len(x) - 1
            at = int(seen[0] if inside else seen[-1])
            (starts if inside else ends).append((name, float(values[at]), color, float(np.log10(x[at]))))
    for name, level in (levels or {}).items():
        figure.add_scatter(x=x[[0, -1]], y=np.full(2, level, dtype=np.float32), name=name, mode="lines", hoverinfo="skip",
                           line={"color": CONTROL, "width": 2, "dash": "dash"})  # fmt: skip
        ends.append((name, float(level), CONTROL, float(np.log10(x[-1]))))
    low, high = _extent([*data.values(), list((levels or {}).values())])
    for (name, _, color, end), placed in zip(ends, _spread([e[1] for e in ends], 0.075 * (high - low)), strict=True):
        _label(figure, end, placed, name, color)
    for name, value, color, start in starts:
        _label(figure, start, value, name, color, left=True)
    ticks = [int(s) for s in sizes]
    longest = max(len(n) for n in [*series, *(levels or {})])
    # A fixed range: the labels at the line ends belong in the margin and must not stretch the axis.
    first, last = (float(np.log10(s)) for s in (x.min(), x.max()))
    pad = 0.04 * (last - first) or 0.5
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{s:,}" for s in ticks], range=[first - pad, last + pad])
    figure.update_layout(margin={"r": 24 + min(8 * longest, 220)})
    if percent:
        figure.update_yaxes(tickformat=".0%")
    return figure


def _extent(arrays: Any) -> tuple[float, float]:
    """Lowest and highest finite value, never equal."""
    flat = np.concatenate([np.ravel(a) for a in arrays])
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return 0.0, 1.0
    low, high = float(flat.min()), float(flat.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _band(figure: go.Figure, x: NDArray[np.float32], band: tuple[ArrayLike, ArrayLike], color: str, name: str) -> None:
    low, high = (as_float(f"bands[{name!r}]", b, len(x)) for b in band)
    rgb = ",".join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))
    figure.add_scatter(x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself",
                       mode="lines", line={"width": 0}, fillcolor=f"rgba({rgb},0.18)", hoverinfo="skip")  # fmt: skip


def signed_root(values: ArrayLike) -> NDArray[np.float32]:
    """``sign(v) * sqrt(|v|)``: opens up the small values on both sides of zero without losing the sign."""
    v = np.asarray(values, dtype=np.float64)
    return (np.sign(v) * np.sqrt(np.abs(v))).astype(np.float32)


def effect_scatter(cosine: ArrayLike, effect: ArrayLike, *, title: str, hover: Sequence[str] | None = None,
                   threshold: float | None = None, y: str = "insertion effect on the MSE", alt: str = "",
                   height: int = 460) -> go.Figure:  # fmt: skip
    """Insertion effect against max cosine, one point per latent of the larger dictionary (both ``[n_latents]``).

    ``effect`` below zero means that inserting the latent lowers the error: novel, orange; else reconstruction,
    blue. The y axis is a signed square root with ticks in the effect's own unit. ``threshold`` draws the cosine
    that separates the classes best. ``hover`` says what each point is.
    """
    figure = new_figure(title, alt, x="max cosine with the smaller dictionary", y=y, height=height)
    x = as_float("cosine", cosine)
    raw = as_float("effect", effect, len(x))
    if hover is not None and len(hover) != len(x):
        raise ConfigError(f"hover must have {len(x)} entries, got {len(hover)}.")
    texts = list(hover) if hover is not None else [f"latent {i}" for i in range(len(x))]
    root = signed_root(raw)
    for name, color, mask in (("reconstruction", SMALL, raw >= 0), ("novel", LARGE, raw < 0)):
        index = np.flatnonzero(mask)
        figure.add_scatter(x=x[index], y=root[index], customdata=raw[index], text=[texts[i] for i in index],
                           mode="markers", name=name, marker={"color": color, "size": 6, "opacity": 0.65},
                           hovertemplate="%{text}<br>cosine %{x:.2f}, effect %{customdata:.2~e}<extra>" + name
                           + "</extra>")  # fmt: skip
    figure.add_hline(y=0, line={"color": CONTROL, "width": 1})
    if threshold is not None:
        figure.add_vline(x=float(threshold), line={"color": CONTROL, "dash": "dash", "width": 1.5})
        # Above the plot: inside, the class labels may be as wide as the plot on a phone.
        figure.add_annotation(x=float(threshold), yref="paper", y=1, yanchor="bottom", showarrow=False,
                              text=f"threshold {threshold:.2f}", font={"color": CONTROL})  # fmt: skip
    _corner_labels(figure, int((raw >= 0).sum()), int((raw < 0).sum()))
    figure.update_yaxes(**_root_ticks(raw))
    return figure


def _corner_labels(figure: go.Figure, n_reconstruction: int, n_novel: int) -> None:
    """The two classes named inside the plot, with their counts, where their points are not."""
    # Two short lines: on a phone, one long line would run through the threshold.
    reconstruction = f"<b>reconstruction</b> ({n_reconstruction:,})<br>raises the error"
    novel = f"<b>novel</b> ({n_novel:,})<br>lowers the error"
    # Reconstruction latents lie right of the upper left corner, novel ones left of the lower right one.
    for text, color, x, side, y, anchor in (
        (reconstruction, SMALL, 0.01, "left", 1.0, "top"), (novel, LARGE, 0.99, "right", 0.0, "bottom"),
    ):  # fmt: skip
        figure.add_annotation(xref="paper", yref="paper", x=x, y=y, text=text, showarrow=False,
                              xanchor=side, yanchor=anchor, align=side, font={"color": color})  # fmt: skip


def _root_ticks(raw: NDArray[np.float32]) -> dict[str, Any]:
    """Ticks of a signed-root axis at 1, 1/5, 1/20 of a round number on each side that has data."""
    low, high = _extent([raw])
    peak = max(abs(low), abs(high))
    top = float(f"{peak:.0e}")
    marks = [sign * top * share for sign in (-1, 1) for share in (1.0, 0.2, 0.05)] + [0.0]
    marks = sorted(m for m in marks if low * 1.3 - top / 20 <= m <= high * 1.3 + top / 20)
    root = signed_root([low, high])
    pad = 0.12 * float(root[1] - root[0])
    return {"tickvals": signed_root(marks).tolist(), "ticktext": [f"{m:.2g}" for m in marks],
            "range": [float(root[0]) - pad, float(root[1]) + pad], "zeroline": False}  # fmt: skip


def roc_figure(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, highlight: Sequence[str],
               aucs: Mapping[str, float] | None = None, alt: str = "", height: int = 440) -> go.Figure:  # fmt: skip
    """ROC curves: ``curves[name] = (false positive rates, true positive rates)``, chance as a dashed grey line.

    The curves named in ``highlight`` are coloured and carry a label; the others are thin and grey, and hover names them.
    """
    if not curves or not set(highlight) <= set(curves):
        raise ConfigError(f"curves must hold at least one curve, and those of highlight: {list(highlight)}.")
    figure = new_figure(title, alt, x="false positive rate", y="true positive rate", height=height)
    diagonal = np.asarray([0, 1], dtype=np.float32)
    figure.add_scatter(x=diagonal, y=diagonal, mode="lines", name="chance", hoverinfo="skip",
                       line={"color": CONTROL, "dash": "dash", "width": 1.5})  # fmt: skip
    knees = {name: int(np.argmax(np.subtract(curves[name][1], curves[name][0]))) for name in highlight}
    # The leftmost knee takes the lowest label, so that the lines to the labels do not cross.
    shown = sorted(highlight, key=lambda name: float(np.asarray(curves[name][0])[knees[name]]), reverse=True)
    for name in [*(n for n in curves if n not in shown), *shown]:
        x = as_float(f"curves[{name!r}]", curves[name][0])
        y = as_float(f"curves[{name!r}]", curves[name][1], len(x))
        label = f"{name}: AUC {aucs[name]:.2f}" if aucs and name in aucs else name
        place = shown.index(name) if name in shown else -1
        color = HIGHLIGHTS[place % len(HIGHLIGHTS)] if place >= 0 else CONTROL
        figure.add_scatter(x=x, y=y, mode="lines", name=label,
                           line={"color": color, "width": 3 if place >= 0 else 1.2},
                           hovertemplate=f"{label}<br>%{{x:.2f}}, %{{y:.2f}}<extra></extra>")  # fmt: skip
        if place >= 0:
            _point_out(figure, float(x[knees[name]]), float(y[knees[name]]), label, color, place)
    figure.update_xaxes(range=[-0.01, 1.01])
    figure.update_yaxes(range=[-0.01, 1.02])
    return figure


HIGHLIGHTS = (SIZE_RAMP[3], SIZE_RAMP[5])
"""Two blues of the size ramp that stand out from a white page, a dark one and each other."""


def _point_out(figure: go.Figure, x: float, y: float, label: str, color: str, place: int) -> None:
    """A label in the empty middle of an ROC plot, with a line to the curve's knee (x, y), where y - x is largest."""
    figure.add_annotation(x=x, y=y, text=label, axref="x", ayref="y", ax=0.45, ay=0.84 - 0.18 * place,
                          xanchor="center", arrowhead=0, arrowwidth=1.2, arrowcolor=color,
                          font={"color": color, "size": 13})  # fmt: skip


def fact_heatmap(values: ArrayLike, rows: Sequence[str], columns: Sequence[str], *, title: str, unit: str = "",
                 hover: Sequence[Sequence[str]] | None = None, low: float | None = None, high: float | None = None,
                 alt: str = "", height: int | None = None) -> go.Figure:  # fmt: skip
    """A table of numbers as colours (``values``: ``[n_rows, n_columns]``), such as meta-latents by facts.

    Cells with NaN stay empty. ``hover`` holds one text per cell.
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
    """One bar per name with its value written on it; ``errors`` (``[n_names]`` or ``[n_names, 2]``) adds whiskers."""
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
