"""The insertion-loss stage: a sample of a pair's latents, and what inserting each does to the next-token loss."""

from __future__ import annotations

from typing import Any

from canonlib.activations import Activations, documents
from canonlib.pipeline.stitching import ENGINE, Pair
from canonlib.sae.family import TrainedFamily
from canonlib.store import Build, Store, write_json
from canonlib.tiers import Tier

CODE = (*ENGINE, "canonlib.pipeline.stitching", "canonlib.sae.evaluation", __name__)
SAMPLE = 64
"""Latents tried in a pair: evenly spaced from the most welcome to the most harmful."""
LOSS_DOCUMENTS = 200
"""Evaluation documents on which the model's loss is taken."""


def sample(pair: Pair, size: int = SAMPLE) -> list[int]:
    """``size`` of the pair's latents that fire, or all, evenly spaced by rank of their effect on the MSE."""
    ranked = [j for j in pair.delta_mse.argsort().tolist() if pair.fires[j] > 0]
    if len(ranked) <= size:
        return ranked
    return [ranked[round(i * (len(ranked) - 1) / max(1, size - 1))] for i in range(size)]


def losses(
    tier: Tier, trained: TrainedFamily, pair: Pair, store: Store, data: Activations, progress: bool = True
) -> dict[str, Any]:
    """``latents`` and ``delta_ce`` (nats, in the same order) and ``ce_small``, from the store or computed now."""
    config = {
        "small": trained.artefact(pair.small).key, "large": trained.artefact(pair.large).key, "eval": data.key,
        "tokens": trained.family.tokens, "hook": tier.hook, "sample": SAMPLE, "documents": LOSS_DOCUMENTS,
    }  # fmt: skip

    def build(b: Build) -> None:
        from canonlib.sae.evaluation import replaced_positions
        from canonlib.stitch import insertion_losses
        from canonlib.world import model

        tokens = documents(tier, "eval")[:LOSS_DOCUMENTS]
        where = replaced_positions(tokens, trained.family.tokens)
        saes = trained.sae(pair.small), trained.sae(pair.large)
        found = insertion_losses(model.load(), *saes, sample(pair), tokens, tier.hook, where, progress)
        told = {"latents": list(found.latents), "delta_ce": found.delta_ce.tolist(), "ce_small": found.ce_small}
        write_json(b.folder / "losses.json", told)

    told: dict[str, Any] = store.get_or_build("losses", config, build, code=list(CODE)).json("losses.json")
    return told
