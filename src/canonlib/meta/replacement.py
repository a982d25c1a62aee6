"""The replacement test: are meta-latents just latents of smaller SAEs? (meta-SAE post, 2024)

Every meta-latent's direction is exchanged for the nearest one of a pool (latents of smaller SAEs, or random ones), the
directions are held fixed, and the encoder is fine-tuned. If little variance is lost, the pool's latents would have
done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from canonlib.compare import nearest
from canonlib.meta.model import MetaSAE, unit_rows
from canonlib.meta.training import tune_encoder
from canonlib.sae.needs import Need, takes
from canonlib.sae.space import require_one_space

if TYPE_CHECKING:
    from sae_lens import SAE


@takes(meta=Need.SUM, directions=Need.DIRECTIONS, pool=Need.DIRECTIONS)
def replace_parts(
    meta: MetaSAE,
    directions: SAE[Any] | torch.Tensor,
    pool: SAE[Any] | torch.Tensor | None,
    steps: int = 1000,
    progress: bool = True,
) -> MetaSAE:
    """A meta-SAE whose parts come from ``pool`` ``[n_pool, d_model]``, its encoder and decoder bias fine-tuned.

    Each meta-latent is given the direction of ``pool`` with which it has the highest cosine (two may get the same one),
    and keeps it; the rest starts where ``meta`` left off and is trained on ``directions`` for ``steps`` steps of the
    recipe of ``meta``. ``pool`` None keeps the meta-latents' own directions: what the fine-tuning alone brings. Raises
    ``ConfigError`` for a pool or directions of another d_model, and as ``train_meta_sae`` does.
    """
    parts = meta.sae.W_dec.detach()
    if pool is not None:
        require_one_space(directions, pool, ("the SAE of the directions", "the SAE of the pool"))
        others = unit_rows(pool, parts.shape[1]).to(parts.device)
        parts = others[nearest(parts, others).index[:, 0]]
    return tune_encoder(meta, directions, parts, replace(meta.config, steps=steps), progress)
