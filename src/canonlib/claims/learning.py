"""Claims of chapters 1 and 2: what the model knows, and what SAEs make of it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from canonlib.claims.model import Claim
from canonlib.claims.rules import ENTITY, LABELS, claim_of, span
from canonlib.pipeline.run import Run


def world_known(run: Run) -> Claim:
    """The model answers the fact prompts."""
    known = run.knowledge["clause"]["accuracy"]
    return claim_of(
        run, known["overall"] >= 0.98, id="world-known", chapter=1, bound="at least 98%",
        sentence="The world's model answers single-attribute questions about every person and city.",
        ours=f"{known['overall']:.1%} of {known['n']:,} questions",
    )  # fmt: skip


def world_causal(run: Run) -> Claim:
    """Patching the entity's token flips the answers."""
    flips = run.knowledge["clause"]["flips"]
    return claim_of(
        run, flips["overall"] >= 0.95, id="world-causal", chapter=1, bound="at least 95%",
        sentence="An entity's token carries its facts at the hook point: swapping it for another's flips the answer.",
        ours=f"{flips['overall']:.1%} of {flips['n']:,} swaps",
    )  # fmt: skip


def size_entities(run: Run) -> Claim:
    """Entities get latents of their own as the dictionary grows."""
    rows = run.evaluation(ENTITY)
    shares = [row["own_entities"] for row in rows]
    small, large = rows[0]["n_latents"], rows[-1]["n_latents"]
    best = "" if max(shares) == shares[-1] else f" {max(shares):.0%} at best,"
    return claim_of(
        run, shares[-1] > 5 * shares[0] and shares[-1] > 0.2, id="size-entities", chapter=2,
        bound="at least a fifth of the entities at the largest size, five times the smallest's",
        sentence="Larger dictionaries hold latents for single entities (F1 above 0.7) where smaller ones do not.",
        ours=f"{shares[0]:.0%} of entities at {small:,} latents,{best} {shares[-1]:.0%} at {large:,}",
    )  # fmt: skip


def fvu_at(rows: list[dict[str, Any]], l0: float) -> float | None:
    """FVU of an architecture at ``l0``, on a line between its neighbouring rows (both axes logarithmic).

    None outside its range.
    """
    points = sorted((math.log(row["l0"]), math.log(row["fvu"])) for row in rows)
    x = math.log(l0)
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x <= x1:
            return math.exp(y0 if x1 == x0 else y0 + (x - x0) / (x1 - x0) * (y1 - y0))
    return None


def _ratios(run: Run, other: str) -> list[float]:
    """BatchTopK's FVU over another architecture's at the L0 of each of BatchTopK's rows, where both are known."""
    ours, theirs = run.frontier["batchtopk"], run.frontier[other]
    at = [(row["fvu"], fvu_at(theirs, row["l0"])) for row in ours]
    return [mine / their for mine, their in at if their is not None]


def frontier_batchtopk(run: Run) -> Claim:
    """BatchTopK against the authors' two rivals at equal L0."""
    ratios = {other: _ratios(run, other) for other in ("topk", "standard")}
    ours = {name: f"{span(values)} of {LABELS[name]}'s" for name, values in ratios.items() if values}
    n_levels = len(run.frontier["batchtopk"])
    holds = all(values and max(values) < 1 for values in ratios.values())
    return claim_of(
        run, holds, id="frontier-batchtopk", chapter=2, bound="lower at every L0 that both reach",
        sentence="At equal L0 a BatchTopK SAE leaves less unexplained than a TopK or a ReLU SAE.",
        paper="lower error than TopK at equal L0", source="Bussmann et al. 2024, BatchTopK SAEs",
        ours="FVU " + ", ".join(ours.values()) + f" ({n_levels} levels of sparsity)",
        reason="" if holds else "at some L0 another architecture is as good",
    )  # fmt: skip


RULES = (world_known, world_causal, size_entities, frontier_batchtopk)
