"""Token views: CircuitsVis components with a fixed id and rounded numbers.

CircuitsVis's own display asks the network at every show, draws a random id and writes 1.3 MB when offline;
these write the same small HTML everywhere, and the book swaps the CDN for its local copy.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from canonlib.errors import ConfigError


class TokenView:
    """One CircuitsVis component with its properties; shows itself in notebooks.

    ``component`` is a name that CircuitsVis exports; array-like properties are turned into lists with
    ``digits`` decimals. Two views of the same content have the same id.
    """

    def __init__(self, component: str, digits: int = 4, **props: Any) -> None:
        self.component = component
        self.props: dict[str, Any] = _plain(props, digits)
        if "tokens" in self.props:
            # CircuitsVis sets tokens as inner HTML: unescaped, a token <b> would be markup and <img onerror=..> run.
            self.props["tokens"] = [html.escape(str(token), quote=False) for token in self.props["tokens"]]

    def to_html(self) -> str:
        """The component as HTML that loads CircuitsVis from its CDN, as CircuitsVis itself writes it online."""
        # "<" is escaped so that a token such as </script> cannot end the script element.
        props = json.dumps(self.props, separators=(",", ":")).replace("<", "\\u003c")
        uid = "circuits-vis-" + hashlib.sha256((self.component + props).encode()).hexdigest()[:12]
        url = f"https://unpkg.com/circuitsvis@{version('circuitsvis')}/dist/cdn/esm.js"
        return (
            f'<div id="{uid}" style="margin: 15px 0;"></div>\n'
            '<script crossorigin type="module">\n'
            f'import {{ render, {self.component} }} from "{url}";\n'
            f'render("{uid}", {self.component}, {props})\n</script>'
        )

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return f"<{self.component}>"


def _plain(value: Any, digits: int) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {k: _plain(v, digits) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(v, digits) for v in value]
    return round(value, digits) if isinstance(value, float) else value


def _same_length(tokens: Sequence[str], rows: Any, what: str) -> None:
    if len(tokens) != len(rows):
        raise ConfigError(f"{what} must have one entry per token: {len(rows)} for {len(tokens)} tokens.")


def colored_tokens(tokens: Sequence[str], values: Any, *, negative: str | None = None, positive: str | None = None,
                   low: float | None = None, high: float | None = None) -> TokenView:  # fmt: skip
    """A text whose tokens are coloured by one value each (``values``: ``[n_tokens]``).

    ``low`` and ``high`` fix the range of the colours, so that several texts can be compared. Raises ``ConfigError``
    unless there is one value per token.

    >>> view = colored_tokens(["Einstein", "was"], [0.9, 0.0])
    >>> view, view.props["values"]
    (<ColoredTokens>, [0.9, 0.0])
    """
    _same_length(tokens, values, "values")
    return TokenView("ColoredTokens", tokens=list(tokens), values=values, negativeColor=negative,
                     positiveColor=positive, minValue=low, maxValue=high)  # fmt: skip


def colored_tokens_multi(tokens: Sequence[str], values: Any, labels: Sequence[str] | None = None) -> TokenView:
    """A text with several values per token (``values``: ``[n_tokens, n_labels]``), one of them shown at a time.

    Raises ``ConfigError`` unless there is one row per token.
    """
    _same_length(tokens, values, "values")
    return TokenView("ColoredTokensMulti", tokens=list(tokens), values=values,
                     labels=None if labels is None else list(labels))  # fmt: skip


def attention_patterns(tokens: Sequence[str], attention: Any) -> TokenView:
    """Attention of a few heads over a short text (``attention``: ``[n_heads, n_tokens, n_tokens]``).

    Raises ``ConfigError`` for heads of another size.
    """
    for head in attention:
        _same_length(tokens, head, "each head's attention")
    return TokenView("AttentionPatterns", digits=3, tokens=list(tokens), attention=attention)
