"""What a family's SAEs are worth: the table of size, L0, MSE, FVU, CE loss recovered, dead and own-latent shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from canonlib.activations import Activations, documents
from canonlib.sae.family import TrainedFamily
from canonlib.sae.metrics import ce_loss_recovered, reconstruction
from canonlib.sae.needs import Need, takes
from canonlib.sae.selectivity import fact_membership, selectivity
from canonlib.store import Build, Store, write_json
from canonlib.tiers import Tier

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

CODE = (
    "canonlib.sae.evaluation", "canonlib.sae.metrics", "canonlib.sae.outliers", "canonlib.sae.selectivity",
    "canonlib.sae.streaming", "canonlib.rows", "canonlib.world.table",
)  # fmt: skip
CE_DOCUMENTS = 400
"""Evaluation documents on which the model's loss is taken."""
Splice = Callable[[torch.Tensor], torch.Tensor]


def replaced_positions(tokens: torch.Tensor, which: str) -> torch.Tensor:
    """bool [n_documents, position]: where the SAE's output is put; never at ``<bos>``."""
    from canonlib.world import corpus

    if which == "entities":
        return torch.from_numpy(corpus.entity_of_token() >= 0)[tokens]
    where = torch.ones_like(tokens, dtype=torch.bool)
    where[:, 0] = False
    return where


@torch.no_grad()
def ce_loss(
    lm: TransformerBridge,
    tokens: torch.Tensor,
    hook: str,
    where: torch.Tensor | None = None,
    splice: Splice | None = None,
) -> float:
    """Mean next-token cross-entropy in nats, with ``splice(x)`` in place of x at ``where`` (the clean loss without).

    tokens: [n_documents, position]; where: bool of the same shape; splice: [n, d_model] to [n, d_model], on the model's
    device.
    """
    total, device = 0.0, next(lm.parameters()).device
    for rows in torch.arange(len(tokens)).split(100):
        hooks = []
        if splice is not None and where is not None:
            at = where[rows]

            def put(value: torch.Tensor, hook: object, at: torch.Tensor = at) -> torch.Tensor:
                value = value.clone()
                value[at] = splice(value[at]).to(value.dtype)
                return value

            hooks = [(hook, put)]
        part = tokens[rows].to(device)
        logits = lm.run_with_hooks(part, fwd_hooks=hooks)[:, :-1]
        total += F.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum").item()
    return total / (len(tokens) * (tokens.shape[1] - 1))


def ce_bounds(lm: TransformerBridge, tokens: torch.Tensor, hook: str, which: str) -> tuple[float, float]:
    """Clean and zero-ablated loss (nats per token): the same for every SAE on the same tokens.

    tokens: ``[n_documents, position]``; which: "all" or "entities", as in ``replaced_positions``.
    """
    where = replaced_positions(tokens, which)
    return ce_loss(lm, tokens, hook), ce_loss(lm, tokens, hook, where, torch.zeros_like)


@takes(sae=Need.ACTIVATIONS)
def ce_row(
    lm: TransformerBridge,
    sae: SAE[Any],
    tokens: torch.Tensor,
    hook: str,
    which: str,
    bounds: tuple[float, float] | None = None,
) -> dict[str, float]:
    """Clean, spliced and zero-ablated loss (nats per token) and the share recovered, at the SAE's tokens.

    tokens: ``[n_documents, position]``; which: "all" or "entities"; bounds: what ``ce_bounds`` gives, where it is
    known. Raises ``ConfigError`` as ``ce_loss_recovered`` does.
    """
    clean, zeroed = bounds or ce_bounds(lm, tokens, hook, which)
    spliced = ce_loss(lm, tokens, hook, replaced_positions(tokens, which), sae)
    recovered = ce_loss_recovered(clean, spliced, zeroed)
    return {"ce_clean": clean, "ce_spliced": spliced, "ce_zeroed": zeroed, "ce_recovered": recovered}


def evaluate(
    tier: Tier, trained: TrainedFamily, store: Store, data: Activations, progress: bool = True
) -> list[dict[str, Any]]:
    """One row for each member, measured on the evaluation split, from the store or computed now.

    Keys: n_latents, sparsity, seed, l0, mse, fvu, dead_fraction, ce_*, own_entities and own_facts (shares with a latent
    of F1 > 0.7).
    """
    config = {
        "saes": [a.key for a in trained.artefacts.values()],
        "eval": data.key,
        "documents": CE_DOCUMENTS,
    }

    def build(b: Build) -> None:
        write_json(b.folder / "rows.json", _rows(tier, trained, data, progress))

    rows: list[dict[str, Any]] = store.get_or_build("evaluation", config, build, code=list(CODE)).json("rows.json")
    return rows


def _rows(tier: Tier, trained: TrainedFamily, data: Activations, progress: bool) -> list[dict[str, Any]]:
    from tqdm.auto import tqdm

    from canonlib.world import model

    which = trained.family.tokens
    split, tokens, lm = data.eval.only(which), documents(tier, "eval")[:CE_DOCUMENTS], model.load()
    _, membership = fact_membership()
    bounds = ce_bounds(lm, tokens, tier.hook, which)
    rows = []
    for member in tqdm(trained.artefacts, desc=f"evaluate {trained.family.name}", unit="SAE", disable=not progress):
        sae = trained.sae(*member)
        firing = selectivity(sae, split)
        rows.append(
            {
                "sparsity": member.sparsity,
                "seed": member.seed,
                **reconstruction(sae, split.activations).to_json(),
                **ce_row(lm, sae, tokens, tier.hook, which, bounds),
                "own_entities": firing.own_entities().double().mean().item(),
                "own_facts": firing.own_facts(membership).double().mean().item(),
            }
        )
    return rows
