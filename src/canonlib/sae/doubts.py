"""Do these activations look like those that an SAE was trained on? What its reconstructions say, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from canonlib.errors import is_finite
from canonlib.sae.space import known

if TYPE_CHECKING:
    from sae_lens import SAE

    from canonlib.sae.metrics import Reconstruction

FAR = 3.0
"""Factor between L0 here and L0 in training from which they are far apart."""


def trained_l0(sae: SAE[Any]) -> float | None:
    """Active latents per token in training: k of a TopK SAE, else ``l0`` in the metadata; None where neither is known."""
    said = getattr(sae.cfg, "k", None) or known(sae, "l0")
    return float(said) if is_finite(said) and said > 0 else None


def doubt(found: Reconstruction, sae: SAE[Any]) -> str | None:
    """What speaks against the activations on which ``found`` was measured; None when nothing does.

    An FVU above 1 (the mean would have reconstructed better), or an L0 that is ``FAR`` from that in training.
    """
    told = []
    if found.fvu > 1:
        told.append(f"FVU is {found.fvu:.2f}, so that their mean alone would reconstruct them better")
    known = trained_l0(sae)
    if known is not None and not known / FAR <= found.l0 <= known * FAR:
        told.append(f"L0 is {found.l0:.1f}, and in training it was {known:.1f}")
    if not told:
        return None
    return (
        f"these activations do not look like those the SAE was trained on: {'; '.join(told)}. Wrong hook point, layer, "
        "model or scaling?"
    )
