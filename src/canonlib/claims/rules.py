"""What the claims' rules share: which families they speak of, and how a measurement becomes a claim."""

from __future__ import annotations

from typing import Any

from canonlib.claims.model import Claim, verdict
from canonlib.pipeline import metastage
from canonlib.pipeline.run import Run

STITCHED = "standard-all"
"""The family that the stitching chapter follows: the paper's architecture, on all tokens."""
ENTITY = metastage.BASE
"""The family that the entity story and the meta-SAE follow."""
LABELS = {
    "standard": "ReLU", "gated": "Gated", "jumprelu": "JumpReLU", "topk": "TopK", "batchtopk": "BatchTopK",
    "matryoshka_batchtopk": "Matryoshka",
}  # fmt: skip
"""What the field calls SAELens's architectures."""


def claim_of(
    run: Run, holds: bool | None, *, paper: str = "", source: str = "", ours: str = "", bound: str = "",
    reason: str = "", **fields: Any,
) -> Claim:  # fmt: skip
    """The claim with its verdict; ``holds`` is None when this run cannot test it, and ``reason`` then says why."""
    if holds is None:
        paper = source = ours = bound = ""
    mark = "not tested here" if holds is None else verdict(holds, paper, reason)
    kept = "" if holds else reason
    return Claim(
        paper=paper, source=source, ours=ours, bound=bound, verdict=mark, tier=run.tier.name, reason=kept, **fields
    )


def span(values: list[float], digits: int = 2) -> str:
    """ "0.91 to 0.98", or one number when they are equal at that precision."""
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"
