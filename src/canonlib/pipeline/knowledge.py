"""The model stage: does the world's model know its facts, and does the entity's token carry them at the hook?"""

from __future__ import annotations

from typing import Any

from canonlib.activations import model_hash
from canonlib.store import Build, Store, write_json
from canonlib.tiers import Tier

CODE = ("canonlib.world", "canonlib.pipeline.knowledge")
N_SWAPS = 2_800
"""Pairs of entities, 200 for each of the 14 questions."""


def measure(tier: Tier, store: Store) -> dict[str, Any]:
    """Accuracy on every single-attribute question, with and without a clause after the name, and the share of patches
    at the hook that flip the answer; each with a break-down by attribute.
    """
    config = {
        "model": tier.model,
        "weights": model_hash(tier),
        "hook": tier.hook,
        "n_swaps": N_SWAPS,
        "seed": tier.seed,
    }

    def build(b: Build) -> None:
        write_json(b.folder / "knowledge.json", _measure(tier))

    result: dict[str, Any] = store.get_or_build("knowledge", config, build, code=list(CODE)).json("knowledge.json")
    return result


def _measure(tier: Tier) -> dict[str, Any]:
    from canonlib.world import causal, grammar, model, questions

    lm = model.load()
    out: dict[str, Any] = {}
    for label, clause in (("clause", grammar.CLAUSES[0]), ("bare", "")):
        known = causal.accuracy(lm, questions.questions(clause=clause))
        flipped = causal.flip_rate(lm, questions.swaps(N_SWAPS, seed=tier.seed, clause=clause), tier.hook)
        out[label] = {"accuracy": known._asdict(), "flips": flipped._asdict()}
    return out
