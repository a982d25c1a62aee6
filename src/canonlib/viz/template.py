"""One look for every figure: colours by meaning, a compact Plotly template, and outputs that do not change.

The same thing has the same colour in every chapter. The hues are apart for the common kinds of colour
blindness and keep a contrast of at least 3:1 on white and on the book's dark page.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

SMALL = "#0072b2"
"""Blue: the smaller dictionary; reconstruction latents (the small dictionary has what they say)."""
LARGE = "#d9660a"
"""Orange: the larger dictionary; novel latents (only the large dictionary has what they say)."""
META = "#009e73"
"""Green: meta-latents."""
TRUTH = "#8a5bb8"
"""Purple: ground truth, the world's fact table."""
CONTROL = "#808080"
"""Grey: controls, random baselines and chance."""
NEUTRAL = ("#8c564b", "#b8860b", "#a0437a", "#7a8b23", "#1f8a8a", "#c0504d", "#6a6fc0")
"""Hues without a meaning of their own, for what a figure names itself: orders of moves, sets of tokens, programs."""
ARCHITECTURES = dict(zip(("standard", "gated", "jumprelu", "topk", "batchtopk", "matryoshka_batchtopk"),
                         (NEUTRAL[i] for i in (1, 3, 4, 5, 2, 6)), strict=True))  # fmt: skip
"""One neutral hue for each of SAELens's architectures, the same in every figure."""
DASHES = ("solid", "dot", "dashdot", "longdash")
"""Lines of one colour, or lines that may cover one another, are told apart by these in turn; dashed is for controls."""
SIZE_RAMP = ("#9ac9ea", "#7db7df", "#61a4d3", "#4792c7", "#307fb9", "#1f6daa", "#165e9b", "#13508a")
"""Dictionary size as one sequential ramp: small is light, large is dark."""
HEAT = tuple((i / 8, color) for i, color in enumerate(("#f3f7fb", *SIZE_RAMP)))
"""Colour scale of heatmaps, from nearly white to the ramp's dark end (from dark to light on the dark page)."""

WIDTH = 720
"""Pixels: the width that figures are designed for; in the book they shrink with the page."""
HEIGHT = 420
"""Pixels: the default height."""
FALLBACK_LIMIT = 110_000
"""Characters: figures with a longer JSON than this get no HTML twin (except in Colab, which needs it)."""

PAGE = "white"
"""The page behind a figure, and behind a label that must cover lines; the book's script swaps it on the dark page."""
_GRID, _ZERO = "#e4e4e4", "#b0b0b0"


def size_colors(n: int) -> list[str]:
    """``n`` colours from ``SIZE_RAMP`` for ``n`` dictionary sizes given from small to large.

    Raises ``ConfigError`` when ``n`` is below one; above the length of the ramp, neighbours share a colour.

    >>> size_colors(3)
    ['#9ac9ea', '#307fb9', '#13508a']
    """
    from canonlib.errors import require_positive

    require_positive("number of sizes", n)
    last = len(SIZE_RAMP) - 1
    return [SIZE_RAMP[last if n == 1 else round(i * last / (n - 1))] for i in range(n)]


def canon_template() -> Any:
    """The compact ``canon`` template (under 1 KB of JSON; Plotly's own is 6.5 KB in every figure)."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": _GRID, "zerolinecolor": _ZERO, "linecolor": _ZERO, "ticks": "outside",
        "tickcolor": _ZERO, "automargin": True, "title": {"standoff": 8},
    }  # fmt: skip
    layout = {
        "font": {"size": 13, "family": "system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif"},
        "title": {"x": 0, "xref": "container", "pad": {"l": 8}, "font": {"size": 16}},
        "margin": {"l": 60, "r": 24, "t": 56, "b": 52},
        "paper_bgcolor": PAGE, "plot_bgcolor": PAGE,
        "colorway": [SMALL, LARGE, META, TRUTH, CONTROL],
        "colorscale": {"sequential": HEAT},
        "hoverlabel": {"align": "left"},
        "xaxis": axis, "yaxis": axis,
    }  # fmt: skip
    return go.layout.Template(layout=layout)


def html_twin(figure: dict[str, Any]) -> str:
    """A figure as HTML that takes Plotly from its CDN, with an id made from its content (for Colab and nbviewer)."""
    import plotly.io as pio

    blob = json.dumps(figure, sort_keys=True, default=str)
    uid = "plotly-" + hashlib.sha256(blob.encode()).hexdigest()[:12]
    return str(
        pio.to_html(
            figure, full_html=False, include_plotlyjs="cdn", include_mathjax=False, div_id=uid,
            validate=False, default_height=f"{HEIGHT}px", config={"displaylogo": False, "responsive": True},
        )
    )  # fmt: skip


def setup_plotly(html_fallback: bool = True) -> None:
    """Make ``canon`` the template and the renderer of this session.

    Each shown figure becomes its JSON (drawn by the book, JupyterLab and VS Code without a network) and, with
    ``html_fallback``, an HTML twin for Colab. Both depend on the figure alone, so notebooks run twice are equal.
    """
    import plotly.io as pio
    from plotly.io.base_renderers import MimetypeRenderer, PlotlyRenderer

    class CanonRenderer(MimetypeRenderer):
        def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, Any]:
            bundle: dict[str, Any] = PlotlyRenderer().to_mimebundle(fig_dict)
            small = len(json.dumps(bundle)) <= FALLBACK_LIMIT
            if html_fallback and (small or "google.colab" in sys.modules):
                bundle["text/html"] = html_twin(fig_dict)
            return bundle

    pio.templates["canon"] = canon_template()
    pio.templates.default = "canon"
    pio.renderers["canon"] = CanonRenderer()
    pio.renderers.default = "canon"
