"""The picture on the first page: one latent, its meta-latents, and the other latents that share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from canonlib.errors import ConfigError
from canonlib.viz.figures import new_figure
from canonlib.viz.template import LARGE, META, PAGE

if TYPE_CHECKING:
    import plotly.graph_objects as go


class MetaNode(NamedTuple):
    """A meta-latent of the centre: its name, its activation there, what the fact table says, who else has it."""

    name: str
    weight: float
    hover: str
    others: Sequence[str]


def meta_graph(center: str, metas: Mapping[str, float], others: Mapping[str, Sequence[str]], *, title: str,
               hover: Mapping[str, str] | None = None, alt: str = "", height: int = 520) -> go.Figure:  # fmt: skip
    """A latent (left), its meta-latents (middle) and the other latents that share each (right).

    ``metas``: meta-latent name to activation on ``center``; ``others``: meta-latent name to names of latents,
    where one latent may share several. Line width shows the activation; ``hover`` adds a text per node name.
    Raises ``ConfigError`` when ``others`` names a meta-latent that ``metas`` lacks.
    """
    strangers = sorted(set(others) - set(metas))
    if strangers or not metas:
        raise ConfigError(f"others names {strangers}, metas holds {list(metas)}: every one must be in metas.")
    nodes = [MetaNode(n, float(w), (hover or {}).get(n, n), others.get(n, ())) for n, w in metas.items()]
    figure = new_figure(title, alt or _describe(center, nodes), height=height)
    right = _right_order(nodes, center)
    left_at = {center: 0.0}
    meta_at = dict(zip((n.name for n in nodes), _column(len(nodes)), strict=True))
    right_at = dict(zip(right, _column(len(right)), strict=True))
    peak = max(abs(n.weight) for n in nodes) or 1.0
    for node in nodes:
        _edge(figure, (0.0, 0.0), (1.0, meta_at[node.name]), META, 1.5 + 5 * abs(node.weight) / peak, 0.9)
        for other in dict.fromkeys(node.others):
            if other != center:
                _edge(figure, (1.0, meta_at[node.name]), (2.0, right_at[other]), META, 1.4, 0.45)
    _points(figure, 0.0, left_at, LARGE, 26, hover, None)
    labels = {n.name: f"{n.name} ({n.weight:.2f})" for n in nodes}
    _points(figure, 1.0, meta_at, META, 18, hover, None, labels)
    # Names on the page's own colour, so that no line runs through them; above the upper nodes and below the lower.
    for x, y, text, shift in [(0.0, 0.0, center, -26), *((1.0, meta_at[n], labels[n], 0) for n in meta_at)]:
        figure.add_annotation(x=x, y=y, text=text, showarrow=False, bgcolor=PAGE, borderpad=1,
                              yshift=shift or (19 if y >= 0 else -19))  # fmt: skip
    _points(figure, 2.0, right_at, LARGE, 10, hover, "middle right")
    longest = max([len(name) for name in right], default=0)
    figure.update_xaxes(visible=False, range=[-0.35, 2.05])
    figure.update_yaxes(visible=False, range=[-1.18, 1.18])
    figure.update_layout(margin={"l": 8, "r": 16 + min(8 * longest, 240), "b": 12}, hovermode="closest")
    return figure


def _describe(center: str, nodes: Sequence[MetaNode]) -> str:
    parts = [f"{n.name} (shared with {', '.join(n.others) or 'no shown latent'})" for n in nodes]
    return f"Graph: the latent {center} joined to its meta-latents {'; '.join(parts)}."


def _right_order(nodes: Sequence[MetaNode], center: str) -> list[str]:
    """Other latents, each once, ordered by the mean place of their meta-latents so that few lines cross."""
    places: dict[str, list[int]] = {}
    for place, node in enumerate(nodes):
        for other in dict.fromkeys(node.others):
            if other != center:
                places.setdefault(other, []).append(place)
    return sorted(places, key=lambda name: (float(np.mean(places[name])), name))


def _column(n: int) -> list[float]:
    """``n`` heights from top to bottom, evenly spaced."""
    return [0.0] if n == 1 else [float(v) for v in np.linspace(1.0, -1.0, n)]


def _edge(figure: go.Figure, start: tuple[float, float], end: tuple[float, float], color: str, width: float,
          opacity: float) -> None:  # fmt: skip
    """A soft S-shaped line between two nodes."""
    t = np.linspace(0, 1, 17, dtype=np.float32)
    ease = 3 * t**2 - 2 * t**3
    x, y = (a + (b - a) * s for (a, b), s in zip(zip(start, end, strict=True), (t, ease), strict=True))
    figure.add_scatter(x=x.astype(np.float32), y=y.astype(np.float32), mode="lines", hoverinfo="skip",
                       opacity=opacity, line={"color": color, "width": width})  # fmt: skip


def _points(figure: go.Figure, x: float, at: Mapping[str, float], color: str, size: int,
            hover: Mapping[str, str] | None, where: str | None,
            labels: Mapping[str, str] | None = None) -> None:  # fmt: skip
    names: list[Any] = list(at)
    figure.add_scatter(x=np.full(len(names), x, np.float32), y=np.asarray([at[n] for n in names], np.float32),
                       mode="markers+text" if where else "markers", marker={"size": size, "color": color},
                       text=[(labels or {}).get(n, n) for n in names], textposition=where,
                       hovertext=[(hover or {}).get(n, n) for n in names],
                       hovertemplate="%{hovertext}<extra></extra>", cliponaxis=False)  # fmt: skip
