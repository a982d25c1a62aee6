"""Every claim of the book, computed from a run's results."""

from __future__ import annotations

from canonlib.claims import learning, meta, stitching
from canonlib.claims.model import Claim
from canonlib.claims.rules import claim_of
from canonlib.errors import unknown
from canonlib.pipeline.run import Run

_RULES = {rule.__name__.replace("_", "-"): rule for rule in (*learning.RULES, *stitching.RULES, *meta.RULES)}
"""Each by its claim's id, in the order of the chapters."""
_UNTESTED = (
    (
        "edit-facts",
        7,
        "Editing one meta-latent changes one fact and leaves the others.",
        "this version has no edits of meta-latents",
    ),
    (
        "gpt2",
        7,
        "On GPT-2 small, with the paper's SAEs, stitching and meta-SAEs give the paper's numbers.",
        "its SAEs come from the hub, and this book needs no network",
    ),
)


def compute(run: Run) -> list[Claim]:
    """All claims of the run's tier, in chapter order; those not tested here are listed with the reason."""
    rest = [claim_of(run, None, id=i, chapter=c, sentence=s, reason=why) for i, c, s, why in _UNTESTED]
    return [rule(run) for rule in _RULES.values()] + rest


def claim(run: Run, claim_id: str) -> Claim:
    """One claim by its id, computed without the others; ConfigError lists the ids."""
    if claim_id not in _RULES:
        raise unknown("claim", claim_id, list(_RULES))
    return _RULES[claim_id](run)
