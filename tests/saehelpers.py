"""Small SAELens SAEs with random parameters, and a float64 reference of what inserting one latent does."""

from __future__ import annotations

from typing import Any

import torch
from sae_lens import SAE
from sae_lens.saes.gated_sae import GatedSAE, GatedSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig
from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig

CLASSES: dict[str, Any] = {
    "standard": (StandardSAE, StandardSAEConfig),
    "jumprelu": (JumpReLUSAE, JumpReLUSAEConfig),
    "gated": (GatedSAE, GatedSAEConfig),
    "topk": (TopKSAE, TopKSAEConfig),
}


def random_sae(
    architecture: str,
    d_sae: int,
    d_in: int = 12,
    seed: int = 0,
    dtype: str = "float64",
    metadata: dict[str, Any] | None = None,
    **config: Any,
) -> SAE[Any]:
    """An SAE whose every parameter is random, so that no bias, threshold or norm is accidentally neutral."""
    sae_class, config_class = CLASSES[architecture]
    if architecture == "topk":
        config.setdefault("k", 3)
    sae: SAE[Any] = sae_class(
        config_class(d_in=d_in, d_sae=d_sae, dtype=dtype, metadata=SAEMetadata(**(metadata or {})), **config)
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(sae.named_parameters()):
            value = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if name in ("b_enc", "b_gate", "b_mag"):
                value = 0.5 * value - 1.0  # mostly below zero: latents are sparse
            elif name in ("threshold", "r_mag"):
                value = 0.3 * value.abs()
            elif name.startswith("W"):
                value = 0.5 * value
            parameter.copy_(value)
        # Decoder rows lean towards their encoder columns, so that some latents help and some do harm.
        sae.W_dec.mul_(0.2).add_(sae.W_enc.T, alpha=0.3)
    return sae


def random_activations(
    n_tokens: int, d_in: int = 12, seed: int = 1, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Activations ``[n_tokens, d_in]`` with a mean that is not zero."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(n_tokens, d_in, generator=generator, dtype=torch.float64) + 0.7).to(dtype)


@torch.no_grad()
def brute_force_effect(small: SAE[Any], large: SAE[Any], latent: int, activations: torch.Tensor) -> float:
    """Change of the MSE when one latent is inserted: both reconstructions in full, token by token, in float64.

    Uses nothing of canonlib: the stitched reconstruction is the small SAE's plus that one latent's part.
    """
    x = activations.double()
    f_small, f_large = small.encode(activations).double(), large.encode(activations).double()
    before = after = 0.0
    for t in range(len(x)):
        plain = small.b_dec.double() + f_small[t] @ small.W_dec.double()
        stitched = plain + f_large[t, latent] * large.W_dec[latent].double()
        before += float(((x[t] - plain) ** 2).sum())
        after += float(((x[t] - stitched) ** 2).sum())
    return (after - before) / x.numel()
