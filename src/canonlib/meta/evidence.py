"""What a meta-latent stands for where no table says: the texts that it reads, and the words that it writes.

A meta-latent has no input of its own, but the latents that use it have: on a token, it is handed their activations. And
its direction is one of the residual stream, which the unembedding turns into words (the logit lens).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from canonlib.activations import Split
from canonlib.contexts import top_contexts
from canonlib.errors import ConfigError, require_positive
from canonlib.meta.model import MetaSAE, meta_activations, unit_rows
from canonlib.sae.dictionary import output_lengths
from canonlib.sae.needs import Need, takes
from canonlib.sae.streaming import blocks, encoded, require_activations, require_sums

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

_BLOCK = 8192


@dataclass(frozen=True)
class MetaEvidence:
    """What can be shown of a meta-latent where nobody knows the truth."""

    meta_latent: int
    users: tuple[int, ...]
    """Latents that use it most, the strongest first."""
    contexts: tuple[str, ...]
    """Texts in which the latents that use it are most active, weighted by how much of it they have."""
    words: tuple[str, ...]
    """Tokens that its direction makes more likely, the most raised first."""


@torch.no_grad()
@takes(meta=Need.SUM, sae=Need.SUM)
def readings(meta: MetaSAE, sae: SAE[Any], activations: torch.Tensor) -> torch.Tensor:
    """What each meta-latent is handed on each token: Σ_j f_j(x) a_m(d_j), ``[n_tokens, n_meta]``.

    f_j(x) is the length of what latent j adds to the reconstruction of the token, and a_m(d_j) how much of meta-latent m
    is in its direction. ``sae`` is the SAE whose decoder ``meta`` was trained on, ``activations``
    ``[n_tokens, d_model]`` those of the model. Raises ``ConfigError`` for another d_model, and for
    activations that are not finite.
    """
    require_activations(activations, int(sae.cfg.d_in))
    lengths = output_lengths(sae)
    shares = meta_activations(meta, sae).to(lengths)
    found = torch.cat([(encoded(sae, x) * lengths) @ shares for x in blocks(activations, _BLOCK, lengths.device)])
    require_sums(found.sum())
    return found


@torch.no_grad()
@takes(directions=Need.DIRECTIONS)
def output_words(
    directions: SAE[Any] | torch.Tensor, lm: TransformerBridge, words: Sequence[str], k: int = 5
) -> list[list[str]]:
    """For each direction ``[n, d_model]`` the ``k`` tokens that it raises most, seen through the unembedding.

    The logit lens: direction (less its mean where the final norm is a LayerNorm) times that norm's weight (1 where it
    is folded) times ``W_U``. ``words[id]`` is a token's text. Raises ``ConfigError`` for another d_model and for ``k``
    below 1 or above the number of words.
    """
    require_positive("k", k)
    unembed = lm.W_U.detach().float()
    if k > len(words) or len(words) > unembed.shape[1]:
        raise ConfigError(f"k is {k}, with {len(words)} words for a vocabulary of {unembed.shape[1]}: ask for fewer.")
    rows = unit_rows(directions, unembed.shape[0]).to(unembed.device)
    if str(getattr(getattr(lm, "cfg", None), "normalization_type", "")).startswith("LN"):
        rows = rows - rows.mean(1, keepdim=True)
    weight = getattr(getattr(lm, "ln_final", None), "weight", None)
    logits = (rows if weight is None else rows * weight.detach().float()) @ unembed[:, : len(words)]
    return [[words[i] for i in top] for top in logits.topk(k, dim=1).indices.tolist()]


@takes(meta=Need.SUM, sae=Need.SUM)
def gather_evidence(
    meta: MetaSAE, sae: SAE[Any], lm: TransformerBridge, split: Split, documents: torch.Tensor, words: Sequence[str],
    k: int = 5,
) -> list[MetaEvidence]:  # fmt: skip
    """Users, texts (each ending in another token) and words of every meta-latent, ``k`` of each at most, by index.

    ``split`` holds the model's activations on ``documents`` ``[n_documents, context]`` (token ids), ``words[id]`` is a
    token's text. Errors as in ``readings``, ``output_words`` and ``top_contexts``.
    """
    shares = meta_activations(meta, sae)
    texts = top_contexts(readings(meta, sae, split.activations), split, documents, words, k, distinct=True)
    raised = output_words(meta.sae.W_dec, lm, words, k)
    found = []
    for m, column in enumerate(shares.T):
        users = column.argsort(descending=True, stable=True)[: min(k, int((column > 0).sum()))]
        found.append(MetaEvidence(m, tuple(users.tolist()), tuple(texts[m]), tuple(raised[m])))
    return found
