"""What the explorer shows: a base SAE and its meta-SAE, and whatever else is known of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

    from canonlib import activations
    from canonlib.meta import MetaSAE

N_WORDS = 8
"""Output tokens kept for a latent."""
_BLOCK = 512
"""Directions unembedded at once."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Documents with the model's activations on them."""

    split: activations.Split
    """Activations ``[n_tokens, d_model]`` and where each row stands in the documents."""
    documents: torch.Tensor
    """int64 ``[n_documents, context]`` token ids."""
    words: Sequence[str]
    """Text of each token id; never trusted: it may hold anything."""
    spaced: bool
    """Whether tokens are words that want a space between them (no BPE pieces, which carry their own)."""
    skip: int = 1
    """Leading tokens of a document that are not text (``<bos>``)."""


@dataclass(frozen=True, eq=False)
class Smaller:
    """A smaller SAE of the same hook point, and names for its latents where there are any."""

    sae: SAE[Any]
    label: str
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Fit:
    """How well a latent or meta-latent detects a fact."""

    fact: int
    """Index into ``Truth.facts``."""
    precision: float
    recall: float
    f1: float
    beyond_chance: bool = True


@dataclass(frozen=True)
class Truth:
    """What the world's fact table adds: known facts beside what was found."""

    facts: Sequence[str]
    """Labels such as "country=Germany"."""
    owner: Sequence[str | None]
    """For each latent the entity it detects (F1 above 0.5), or None."""
    true: Sequence[Sequence[int]]
    """For each latent the facts of its owner, as indices into ``facts``."""
    fits: Sequence[Sequence[Fit]]
    """For each latent the facts it detects best."""
    meta_fits: Sequence[Fit | None]
    """For each meta-latent the fact it is named after."""
    q_values: Sequence[float]
    """For each meta-latent the q-value of that name."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Everything that the explorer's pages are made of; what is None or empty is left out of them.

    Raises ``ConfigError`` when the parts do not belong together, naming them.
    """

    title: str
    sae: SAE[Any]
    meta: MetaSAE
    texts: Texts | None = None
    lm: TransformerBridge | None = None
    """For the output tokens of a direction (logit lens)."""
    smaller: Sequence[Smaller] = ()
    """Ascending by size; classes are taken against the last."""
    names: Sequence[str] = ()
    """A name for each latent, "" for none."""
    meta_names: Sequence[str] = ()
    """A name for each meta-latent, "" for none."""
    truth: Truth | None = None
    alive: torch.Tensor | None = None
    """bool [n_latents]: latents that the meta-SAE was trained on; None for all."""
    start: Sequence[int] = field(default=())
    """Latents offered on the first view."""

    def __post_init__(self) -> None:
        d = int(self.sae.cfg.d_in)
        widths = {"the meta-SAE": int(self.meta.sae.cfg.d_in)}
        widths |= {f"smaller SAE {s.label}": int(s.sae.cfg.d_in) for s in self.smaller}
        if self.texts is not None:
            widths["the activations"] = int(self.texts.split.activations.shape[1])
        for what, width in widths.items():
            if width != d:
                raise ConfigError(f"{what} has d_model {width} and the SAE {d}: take both from one hook point.")
        for name, n in (("names", self.n_latents), ("meta_names", self.meta.n_latents)):
            given = len(getattr(self, name))
            if given not in (0, n):
                raise ConfigError(f"{name} holds {given} names for {n}: give one for each, or none.")

    @property
    def n_latents(self) -> int:
        """Dictionary size of the base SAE."""
        return int(self.sae.cfg.d_sae)


def raised_words(subject: Subject, directions: torch.Tensor) -> list[list[str]]:
    """For each direction ``[n, d_model]`` the tokens that it makes more likely; empty lists without model or words."""
    from canonlib.meta import output_words

    if subject.lm is None or subject.texts is None:
        return [[] for _ in directions]
    words, found = list(subject.texts.words), []
    for block in directions.split(_BLOCK):
        usable = block.norm(dim=1) > 0
        told = iter(output_words(block[usable], subject.lm, words, min(N_WORDS, len(words))) if usable.any() else [])
        found += [next(told) if has else [] for has in usable.tolist()]
    return found
