"""What does it look like? Plotly figures with one template, token views, one palette by meaning.

>>> from canonlib.viz import setup_plotly, line_by_size
>>> setup_plotly()
"""

from __future__ import annotations

from canonlib.contexts import top_contexts
from canonlib.viz.boxes import ClaimBox, Say, claim_box, claims_table, say, table
from canonlib.viz.curves import share_above
from canonlib.viz.entity import entity_graph, entity_parts, fact_holds, fact_mark, misfits
from canonlib.viz.facts import Said, fate_scatter, truth_figure
from canonlib.viz.figures import bars, fact_heatmap, line_by_size
from canonlib.viz.graph import meta_graph
from canonlib.viz.paired import paired_dots
from canonlib.viz.paths import Walk, order_figure, path_figure
from canonlib.viz.pictures import directions_figure, dot_rows, rank_figure
from canonlib.viz.seeds import seed_dots
from canonlib.viz.stitching import effect_scatter, loss_scatter, roc_figure
from canonlib.viz.template import (
    ARCHITECTURES,
    CONTROL,
    LARGE,
    META,
    NEUTRAL,
    SIZE_RAMP,
    SMALL,
    TRUTH,
    setup_plotly,
    size_colors,
)
from canonlib.viz.tokens import TokenView, attention_patterns, colored_tokens, colored_tokens_multi
from canonlib.viz.training import Curve, Part, frontier_figure, recovery_scatter, splitting_tree, step_curves

__all__ = [
    "ARCHITECTURES",
    "CONTROL",
    "LARGE",
    "META",
    "NEUTRAL",
    "SIZE_RAMP",
    "SMALL",
    "TRUTH",
    "ClaimBox",
    "Curve",
    "Part",
    "Said",
    "Say",
    "TokenView",
    "Walk",
    "attention_patterns",
    "bars",
    "claim_box",
    "claims_table",
    "colored_tokens",
    "colored_tokens_multi",
    "directions_figure",
    "dot_rows",
    "effect_scatter",
    "entity_graph",
    "entity_parts",
    "fact_heatmap",
    "fact_holds",
    "fact_mark",
    "fate_scatter",
    "frontier_figure",
    "line_by_size",
    "loss_scatter",
    "meta_graph",
    "misfits",
    "order_figure",
    "paired_dots",
    "path_figure",
    "rank_figure",
    "recovery_scatter",
    "roc_figure",
    "say",
    "seed_dots",
    "setup_plotly",
    "share_above",
    "size_colors",
    "splitting_tree",
    "step_curves",
    "table",
    "top_contexts",
    "truth_figure",
]
