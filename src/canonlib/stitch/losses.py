"""What single insertions do to the model: its next-token loss with the stitched SAE spliced in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from canonlib.sae.needs import Need, takes
from canonlib.stitch.assembly import checked_latents, insert
from canonlib.stitch.support import one_space

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge


@dataclass(frozen=True, eq=False)
class InsertionLosses:
    """The model's mean next-token loss, in nats."""

    latents: tuple[int, ...]
    """Latents of the large SAE that were tried."""
    delta_ce: torch.Tensor
    """[n_tried] change of the loss when that latent alone is inserted into the small SAE (float64)."""
    ce_small: float
    """The loss with the small SAE spliced in."""


@takes(small=Need.INDEPENDENT, large=Need.INDEPENDENT)
def insertion_losses(
    lm: TransformerBridge, small: SAE[Any], large: SAE[Any], latents: Sequence[int], tokens: torch.Tensor, hook: str,
    where: torch.Tensor | None = None, progress: bool = False,
) -> InsertionLosses:  # fmt: skip
    """The loss after inserting each of ``latents`` of ``large``, alone, into ``small``: one forward pass each.

    tokens: ``[n_documents, position]``; hook: the SAEs' hook point; where: bool of the shape of ``tokens``, the
    positions at which the SAE's output is put (all by default). There is no closed form as there is for the MSE: choose
    a sample of latents. Raises ``ConfigError`` for SAEs that cannot be stitched, latents repeated or out of range, and
    a ``where`` of another shape.
    """
    from tqdm.auto import tqdm

    from canonlib.errors import ConfigError
    from canonlib.sae.evaluation import ce_loss

    one_space(small, large)
    chosen = checked_latents(latents, large.cfg.d_sae)
    where = torch.ones_like(tokens, dtype=torch.bool) if where is None else where
    if where.shape != tokens.shape:
        raise ConfigError(f"where has shape {list(where.shape)}, and tokens {list(tokens.shape)}: they must be equal.")
    before = ce_loss(lm, tokens, hook, where, small)
    bar = tqdm(chosen, desc="insertion losses", unit="latent", disable=not progress)
    after = [ce_loss(lm, tokens, hook, where, insert(small, large, [j])) for j in bar]
    return InsertionLosses(tuple(chosen), torch.tensor(after, dtype=torch.float64) - before, before)
