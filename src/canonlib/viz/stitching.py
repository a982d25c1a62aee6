"""Figures of stitching: a latent's effect against its cosine, and how well the cosine tells the classes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canonlib.errors import ConfigError
from canonlib.viz.figures import as_float, extent, legend_below, new_figure
from canonlib.viz.template import CONTROL, LARGE, SIZE_RAMP, SMALL

if TYPE_CHECKING:
    import plotly.graph_objects as go

HIGHLIGHTS = (SIZE_RAMP[3], SIZE_RAMP[5])
"""Two blues of the size ramp that stand out from a white page, a dark one and each other."""


def signed_root(values: ArrayLike) -> NDArray[np.float32]:
    """``sign(v) * sqrt(|v|)``: opens up the small values on both sides of zero without losing the sign."""
    v = np.asarray(values, dtype=np.float64)
    return (np.sign(v) * np.sqrt(np.abs(v))).astype(np.float32)


def effect_scatter(cosine: ArrayLike, effect: ArrayLike, *, title: str, hover: Sequence[str] | None = None,
                   threshold: float | None = None, y: str = "insertion effect on the MSE", alt: str = "",
                   height: int = 460) -> go.Figure:  # fmt: skip
    """Insertion effect against max cosine, one point per latent of the larger dictionary (both ``[n_latents]``).

    ``effect`` below zero means that inserting the latent lowers the error: novel, orange; else reconstruction, blue.
    The y axis is a signed square root with ticks in the effect's own unit. ``threshold`` draws the cosine that
    separates the classes best. ``hover`` says what each point is. Raises ``ConfigError`` for arrays of other lengths.

    >>> figure = effect_scatter([0.9, 0.1], [0.02, -0.05], title="Low cosine, new information", alt="Two points.")
    >>> [trace.name for trace in figure.data]
    ['reconstruction', 'novel']
    """
    figure = new_figure(title, alt, x="max cosine with the smaller dictionary", y=y, height=height)
    x = as_float("cosine", cosine)
    raw = as_float("effect", effect, len(x))
    texts = _latent_texts(hover, len(x))
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


def _latent_texts(hover: Sequence[str] | None, n_latents: int) -> list[str]:
    """What each point is: ``hover``, or the latent's number."""
    if hover is None:
        return [f"latent {i}" for i in range(n_latents)]
    if len(hover) != n_latents:
        raise ConfigError(f"hover must have {n_latents} entries, got {len(hover)}.")
    return list(hover)


def loss_scatter(effect: ArrayLike, loss: ArrayLike, *, title: str, x: str = "insertion effect on the MSE",
                 y: str = "effect on the next-token loss (nats)", hover: Sequence[str] | None = None, alt: str = "",
                 height: int = 460) -> go.Figure:  # fmt: skip
    """What inserting a latent does to the model's loss against what it does to the MSE (both ``[n_latents]``).

    Both axes are signed square roots with ticks in their own units; classes, colours and errors as in
    ``effect_scatter``.
    """
    across = as_float("effect", effect)
    up = as_float("loss", loss, len(across))
    texts = _latent_texts(hover, len(across))
    figure = new_figure(title, alt, x=x, y=y, height=height)
    for name, color, mask in (("reconstruction", SMALL, across >= 0), ("novel", LARGE, across < 0)):
        index = np.flatnonzero(mask)
        figure.add_scatter(x=signed_root(across[index]), y=signed_root(up[index]), mode="markers", name=name,
                           text=[texts[i] for i in index], customdata=np.stack([across[index], up[index]], 1),
                           marker={"color": color, "size": 7, "opacity": 0.65},
                           hovertemplate="%{text}<br>MSE %{customdata[0]:.2~e}, loss %{customdata[1]:.2~e} nats<extra>"
                           + name + "</extra>")  # fmt: skip
    figure.add_hline(y=0, line={"color": CONTROL, "width": 1})
    figure.add_vline(x=0, line={"color": CONTROL, "width": 1})
    figure.update_xaxes(**_root_ticks(across))
    figure.update_yaxes(**_root_ticks(up))
    legend_below(figure)
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
    low, high = extent([raw])
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

    The curves named in ``highlight`` are coloured and carry a label; the others are thin and grey, and hover names
    them. Raises ``ConfigError`` for no curves and for names that are not among them.
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


def _point_out(figure: go.Figure, x: float, y: float, label: str, color: str, place: int) -> None:
    """A label in the empty middle of an ROC plot, with a line to the curve's knee (x, y), where y - x is largest."""
    figure.add_annotation(x=x, y=y, text=label, axref="x", ayref="y", ax=0.45, ay=0.84 - 0.18 * place,
                          xanchor="center", arrowhead=0, arrowwidth=1.2, arrowcolor=color,
                          font={"color": color, "size": 13})  # fmt: skip
