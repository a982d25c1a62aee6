"""Parts against facts: how much of the truth is said and how truly, and which facts are found at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from canonlib.errors import ConfigError
from canonlib.viz.figures import legend_below, legible, new_figure
from canonlib.viz.template import CONTROL, HEIGHT, META

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from canonlib.intervals import Interval

_SYMBOLS = ("square", "diamond", "triangle-up", "x", "star", "cross", "triangle-down")
_ROOM = 1.25
"""Length of the axis where the furthest point lies at 1, so that on a phone its label has room beside it."""


class Said(NamedTuple):
    """One list of parts at one number of active parts: recall and precision over seeds, and the label of its point."""

    recall: Interval
    precision: Interval
    label: str


def truth_figure(lists: Mapping[str, Sequence[Said]], *, title: str, colors: Mapping[str, str], alt: str = "",
                 height: int = 480) -> go.Figure:  # fmt: skip
    """Precision against recall, both as shares: a line for a list at several k, a point for one at a single k.

    Bars are 95% intervals over seeds. Lists without a colour of their own are grey. Raises ``ConfigError`` for no
    lists.
    """
    if not any(lists.values()):
        raise ConfigError("lists must hold at least one point.")
    figure = new_figure(title, alt, x="recall of an entity's facts", y="precision of what is said", height=height)  # fmt: skip
    symbols = iter(_SYMBOLS * len(lists))  # points of one colour are told apart by their shapes
    for name, points in lists.items():
        known = [p for p in points if p.precision.n]
        color, several = colors.get(name, CONTROL), len(known) > 1
        figure.add_scatter(
            x=_values(known, "recall"), y=_values(known, "precision"), name=name,
            mode="lines+markers+text" if several else "markers", text=[p.label for p in known],
            textposition="top right", textfont={"size": 12, "color": legible(color)},
            line={"color": color, "width": 2}, marker={"color": color, "size": 9 if several else 8,
                                                            "symbol": "circle" if several else next(symbols)},
            error_x={"array": _half(known, "recall"), "color": color, "thickness": 1},
            error_y={"array": _half(known, "precision"), "color": color, "thickness": 1},
            customdata=[f"{name}, {p.label}<br>precision {p.precision:.0%}<br>recall {p.recall:.1%}" for p in known],
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    furthest = max((p.recall.mean for points in lists.values() for p in points if p.precision.n), default=1.0)
    figure.update_xaxes(tickformat=".0%", range=[0, _ROOM * furthest])
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    legend_below(figure)
    return figure


def fate_scatter(readable: Mapping[str, float], found: Mapping[str, float], seeds: Mapping[str, int], *, title: str,
                 marked: Sequence[str] = (), alt: str = "", height: int = HEIGHT) -> go.Figure:  # fmt: skip
    """A dot for each fact: how well a linear probe reads it from a latent's direction, and how well the best part has it.

    All map a fact to its value: AUC, F1, and the number of seeds in which a part has it for its name (0 is drawn grey).
    Facts without an AUC (NaN) are left out; ``marked`` facts are labelled. Raises ``ConfigError`` when the facts
    differ.
    """
    if not readable or set(readable) != set(found) or set(readable) != set(seeds):
        raise ConfigError("readable, found and seeds must hold the same facts, and at least one.")
    unread = [fact for fact in marked if not np.isfinite(readable.get(fact, float("nan")))]
    if unread:
        raise ConfigError(f"marked names {unread[0]!r}, which has no AUC in readable: mark facts that are drawn.")
    figure = new_figure(title, alt, x="AUC of a probe on the directions", y="F1 of the best meta-latent", height=height)
    for name, color, wanted in (("never a name", CONTROL, False), ("a name in some seed", META, True)):
        facts = [f for f in readable if (seeds[f] > 0) == wanted and np.isfinite(readable[f])]
        figure.add_scatter(
            x=np.array([readable[f] for f in facts], np.float32), y=np.array([found[f] for f in facts], np.float32),
            mode="markers", name=name, marker={"color": color, "size": 9, "opacity": 0.8},
            customdata=[f"{f}<br>AUC {readable[f]:.2f}, best F1 {found[f]:.2f}<br>a name in {seeds[f]} seeds" for f in facts],
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    for fact in marked:
        # At the end of a thin line, for dots lie close: most facts are read well, so to the right there is room below alone.
        right = readable[fact] > 0.8
        below = right and found[fact] < 0.35
        figure.add_annotation(x=readable[fact], y=found[fact], text=fact, ax=-40 if right else 40, ay=45 if below else -40,
                              font={"size": 12},
                              arrowhead=0, arrowwidth=1, arrowcolor=CONTROL, standoff=5)  # fmt: skip
    legend_below(figure)
    return figure


def _values(points: Sequence[Said], axis: str) -> np.ndarray:
    return np.array([getattr(p, axis).mean for p in points], dtype=np.float32)


def _half(points: Sequence[Said], axis: str) -> list[float]:
    """Half of each interval; 0 where one seed gives none."""
    return [getattr(p, axis).high - getattr(p, axis).mean if getattr(p, axis).n > 1 else 0.0 for p in points]
