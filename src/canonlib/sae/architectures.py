"""SAELens's training SAEs for every architecture, and where their weights start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import unknown
from canonlib.tiers import ARCHITECTURES, TOPK_LIKE, Family, Member

if TYPE_CHECKING:
    from sae_lens import TrainingSAE

JUMP_START, JUMP_BANDWIDTH = 1.0, 2.0
"""JumpReLU: where thresholds start, and how near a pre-activation must be to move one."""
SPREAD_OVER = 6_000
"""Data points among which starting directions are chosen."""


def untrained(family: Family, member: Member, d_model: int, metadata: dict[str, Any]) -> TrainingSAE[Any]:
    """SAELens's training SAE of one member, with SAELens's own initial weights (set the torch seed first).

    Raises ``ConfigError`` for an architecture that there is none of.
    """
    from sae_lens.saes.sae import SAEMetadata

    shared: dict[str, Any] = dict(
        d_in=d_model,
        d_sae=member.size,
        normalize_activations="expected_average_only_in",
        metadata=SAEMetadata(**metadata),
    )
    if family.architecture in TOPK_LIKE:
        return _topk_like(family.architecture, member, shared)
    return _penalised(family, member, shared)


def _topk_like(architecture: str, member: Member, shared: dict[str, Any]) -> TrainingSAE[Any]:
    from sae_lens import (
        BatchTopKTrainingSAE,
        BatchTopKTrainingSAEConfig,
        MatryoshkaBatchTopKTrainingSAE,
        MatryoshkaBatchTopKTrainingSAEConfig,
        TopKTrainingSAE,
        TopKTrainingSAEConfig,
    )

    shared = {**shared, "decoder_init_norm": 1.0}
    if architecture == "topk":
        return TopKTrainingSAE(TopKTrainingSAEConfig(k=int(member.sparsity), **shared))
    if architecture == "batchtopk":
        return BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=member.sparsity, **shared))
    widths = sorted({max(1, member.size // part) for part in (8, 4, 2, 1)})
    config = MatryoshkaBatchTopKTrainingSAEConfig(k=member.sparsity, matryoshka_widths=widths, **shared)
    return MatryoshkaBatchTopKTrainingSAE(config)


def _penalised(family: Family, member: Member, shared: dict[str, Any]) -> TrainingSAE[Any]:
    from sae_lens import (
        GatedTrainingSAE,
        GatedTrainingSAEConfig,
        JumpReLUTrainingSAE,
        JumpReLUTrainingSAEConfig,
        StandardTrainingSAE,
        StandardTrainingSAEConfig,
    )

    weight, warm_up = member.sparsity, family.steps // 5
    if family.architecture == "standard":
        return StandardTrainingSAE(StandardTrainingSAEConfig(l1_coefficient=weight, l1_warm_up_steps=warm_up, **shared))
    if family.architecture == "gated":
        return GatedTrainingSAE(GatedTrainingSAEConfig(l1_coefficient=weight, l1_warm_up_steps=warm_up, **shared))
    if family.architecture == "jumprelu":
        # Thresholds move only where pre-activations fall within the bandwidth, and SAELens's defaults (start 0.01,
        # bandwidth 0.05) suit activations of much smaller norm than the sqrt(d_model) they are scaled to here.
        jump = {"jumprelu_init_threshold": JUMP_START, "jumprelu_bandwidth": JUMP_BANDWIDTH}
        return JumpReLUTrainingSAE(
            JumpReLUTrainingSAEConfig(
                l0_coefficient=weight, l0_warm_up_steps=warm_up, decoder_init_norm=1.0, **jump, **shared
            )
        )
    raise unknown("architecture", family.architecture, ARCHITECTURES)


@torch.no_grad()
def start_from_data(sae: TrainingSAE[Any], scaled: torch.Tensor, generator: torch.Generator, spread: bool) -> None:
    """Put the decoder bias at the data's mean and the decoder directions on data points.

    ``scaled``: [n_tokens, d_model], scaled as the trainer scales. The points are drawn at random, or, with ``spread``,
    each as far in angle as can be from those before. Where there are fewer distinct points than latents, the rest keep
    SAELens's random directions. The encoder starts as the decoder's transpose, as in SAELens.
    """
    sae.b_dec.data = scaled.mean(0)
    drawn = torch.randperm(len(scaled), generator=generator)[:SPREAD_OVER]
    points = torch.nn.functional.normalize(scaled[drawn] - sae.b_dec, dim=1)
    chosen = points[_spread(points, len(sae.W_dec))] if spread else points[: len(sae.W_dec)]
    norm = sae.W_dec.norm(dim=1).mean()
    sae.W_dec.data[: len(chosen)] = chosen * norm
    sae.W_enc.data = sae.W_dec.data.T.clone().contiguous()


def _spread(points: torch.Tensor, n: int) -> list[int]:
    """Indices of up to ``n`` unit rows, each the one whose nearest row chosen so far is farthest in angle."""
    chosen, nearest = [0], points @ points[0]
    while len(chosen) < n:
        farthest = int(nearest.argmin())
        if nearest[farthest] > 1 - 1e-6:
            break
        chosen.append(farthest)
        nearest = torch.maximum(nearest, points @ points[farthest])
    return chosen
