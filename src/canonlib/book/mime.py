"""MyST-NB renderers that turn figure outputs into a div with JSON inside, drawn by ``canon-figures.js``.

They are found through the entry points of group ``myst_nb.mime_renderers`` (see ``pyproject.toml``).
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from typing import Any, ClassVar

from docutils import nodes

PLOTLY = "application/vnd.plotly.v1+json"
DEFAULT_HEIGHT = 420
DEFAULT_ALT = "Interactive figure"

_CV_CDN = re.compile(
    r'<div id="(?P<id>circuits-vis-[\w-]+)".*?import\s*\{\s*render,\s*(?P<name>\w+)\s*\}\s*from\s*'
    r'"https://unpkg\.com/circuitsvis@[^"]+";\s*render\(\s*"(?P=id)",\s*(?P=name),\s*(?P<props>\{.*\})\s*\)\s*</script>',
    re.S,
)
# What CircuitsVis itself writes when it finds no network: its whole 1.3 MB bundle, then this call.
_CV_INLINE = re.compile(
    r'CircuitsVis\.render\(\s*"circuits-vis-[\w-]+",\s*CircuitsVis\.(?P<name>\w+),\s*(?P<props>\{.*\})\s*\)\s*</script>\s*$',
    re.S,
)


def json_script(content: object) -> str:
    """``content`` as JSON that is safe inside a script element: no ``<``, so no ``</script>`` can end it."""
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f'<script type="application/json">{text}</script>'


def figure_alt(figure: dict[str, Any]) -> str:
    """The alternative text of a figure: ``layout.meta.alt``, else the title without markup, else a fixed phrase."""
    layout = figure.get("layout") or {}
    meta = layout.get("meta")
    alt = meta.get("alt") if isinstance(meta, dict) else None
    title = layout.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    return str(alt or re.sub(r"<[^>]*>", " ", str(text or "")).strip() or DEFAULT_ALT)


def _raw(text: str) -> list[nodes.Element]:
    return [nodes.raw(text=text, format="html", classes=["output", "canon-output"])]


class PlotlyMime:
    """``application/vnd.plotly.v1+json`` as a div with JSON, with the figure's alternative text."""

    # Only the HTML builders prefer the JSON; LaTeX keeps MyST-NB's own order.
    mime_priority_overrides: ClassVar[list[tuple[str, str, int]]] = [
        (builder, PLOTLY, 1) for builder in ("html", "dirhtml", "singlehtml")
    ]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Nodes for a Plotly output, or ``None`` for any other output."""
        if inline or data.mime_type != PLOTLY:
            return None
        figure = data.content
        layout = figure.get("layout") or {}
        height = int(layout.get("height") or DEFAULT_HEIGHT)
        spec = {key: figure[key] for key in ("data", "layout", "frames", "config") if key in figure}
        alt = html.escape(figure_alt(figure), quote=True)
        # A figure, not an image: what is inside an image is out of reach, and this one has buttons.
        return _raw(
            f'<div class="canon-plotly" role="figure" aria-label="{alt}" style="height:{height}px">'
            f"{json_script(spec)}<noscript>{alt}</noscript></div>"
        )


class CircuitsVisMime:
    """CircuitsVis's HTML (from its CDN or inlined) as a div with JSON that uses the local bundle."""

    mime_priority_overrides: ClassVar[list[tuple[str, str, int]]] = []

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Nodes for a CircuitsVis output, or ``None`` for any other output."""
        if inline or data.mime_type != "text/html" or "circuits-vis-" not in data.string:
            return None
        found = _CV_CDN.search(data.string) or _CV_INLINE.search(data.string)
        if found is None:
            return None
        props = json.loads(found["props"])
        key = hashlib.sha256(f"{found['name']}{found['props']}".encode()).hexdigest()[:12]
        alt = html.escape(f"Token view: {html.unescape(' '.join(map(str, _tokens(props))))[:300]}", quote=True)
        return _raw(
            f'<div class="canon-cv" data-component="{found["name"]}" data-key="{key}" role="group" '
            f'aria-label="{alt}">{json_script(props)}</div>'
        )


def _tokens(props: dict[str, Any]) -> list[Any]:
    tokens = props.get("tokens")
    return tokens if isinstance(tokens, list) else []
