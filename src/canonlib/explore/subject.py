"""What the explorer shows: a base SAE and its meta-SAE, and whatever else is known of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError
from canonlib.sae.needs import Need, ready

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

    from canonlib import activations
    from canonlib.meta import MetaSAE
    from canonlib.sae.metrics import Reconstruction

N_WORDS = 8
"""Output tokens kept for a latent."""
_BLOCK = 512
"""Directions unembedded at once."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Documents with the model's activations on them. Raises ``ConfigError`` for ``lengths`` that do not suit."""

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
    lengths: torch.Tensor | None = None
    """int64 ``[n_documents]`` tokens of each document, ``skip`` included; what follows is padding. None: all are full."""
    unit: str = "tokens"
    """What the rows of ``split`` are: "tokens", or, where others were left out, such as "entity mentions"."""
    source: str = ""
    """The model and the hook point that were read; empty where they are those of the SAE's metadata."""

    def __post_init__(self) -> None:
        n, context = self.documents.shape
        if self.lengths is None:
            return
        if len(self.lengths) != n or int(self.lengths.min()) < 0 or int(self.lengths.max()) > context:
            raise ConfigError(f"lengths must hold, for each of {n} documents, a number from 0 to {context}.")
        beyond = self.split.position.long() >= self.lengths[self.split.document.long()]
        if bool(beyond.any()):
            row = int(beyond.nonzero()[0, 0])
            raise ConfigError(f"row {row} of the split stands behind the end of its document: mend lengths.")


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
    chance_f1: Sequence[float] = ()
    """For each meta-latent the F1 that the best of all facts reaches by chance."""
    owner_f1: Sequence[float] = ()
    """For each latent the F1 with which it detects its owner."""
    name_f1: Sequence[float | None] = ()
    """For each latent the F1 of its name, None for those without one."""

    def mark(self, latent: int, name: str) -> int | None:
        """Whether what ``name`` says is true of the latent's owner: 1 yes, 0 no, 2 the table has no such attribute for it.

        None without an owner, and for a name that is no fact.
        """
        if self.owner[latent] is None or name not in self.facts:
            return None
        holds = [self.facts[fact] for fact in self.true[latent]]
        if name in holds:
            return 1
        return 0 if _attribute(name) in map(_attribute, holds) else 2


def _attribute(fact: str) -> str:
    """``currency`` of ``currency=Euro``."""
    return fact.partition("=")[0]


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
    fit: Reconstruction | None = None
    """How well the SAE reconstructs these texts' activations; None where that was not measured."""
    smaller: Sequence[Smaller] = ()
    """Ascending by size; classes are taken against the last."""
    names: Sequence[str] = ()
    """A name for each latent, "" for none."""
    meta_names: Sequence[str] = ()
    """A name for each meta-latent, "" for none."""
    meta_scores: Sequence[float | None] = ()
    """How far each of those names can be trusted, from 0 to 1; None where nobody knows."""
    meta_score: str = "F1"
    """What ``meta_scores`` are."""
    truth: Truth | None = None
    alive: torch.Tensor | None = None
    """bool [n_latents]: latents that the meta-SAE was trained on; None for all."""
    start: Sequence[int] = field(default=())
    """Latents offered on the first view."""

    def __post_init__(self) -> None:
        read = Need.DIRECTIONS if self.texts is None else Need.SUM
        fitted = {
            "sae": ready(self.sae, read),
            "meta": replace(self.meta, sae=ready(self.meta.sae, Need.SUM, "the meta-SAE")),
            "smaller": [
                replace(s, sae=ready(s.sae, Need.DIRECTIONS, f"the smaller SAE {s.label}")) for s in self.smaller
            ],
        }
        for name, value in fitted.items():
            object.__setattr__(self, name, value)
        d = int(self.sae.cfg.d_in)
        widths = {"the meta-SAE": int(self.meta.sae.cfg.d_in)}
        widths |= {f"smaller SAE {s.label}": int(s.sae.cfg.d_in) for s in self.smaller}
        if self.texts is not None:
            widths["the activations"] = int(self.texts.split.activations.shape[1])
        for what, width in widths.items():
            if width != d:
                raise ConfigError(f"{what} has d_model {width} and the SAE {d}: take both from one hook point.")
        wanted = {"names": self.n_latents, "meta_names": self.meta.n_latents, "meta_scores": self.meta.n_latents}
        for name, n in wanted.items():
            given = len(getattr(self, name))
            if given not in (0, n):
                raise ConfigError(f"{name} holds {given} entries for {n}: give one for each, or none.")

    @property
    def n_latents(self) -> int:
        """Dictionary size of the base SAE."""
        return int(self.sae.cfg.d_sae)


def raised_words(subject: Subject, directions: torch.Tensor, progress: bool = False) -> list[list[str]]:
    """For each direction ``[n, d_model]`` the tokens that it makes more likely; empty lists without model or words."""
    from tqdm.auto import tqdm

    from canonlib.meta import output_words

    if subject.lm is None or subject.texts is None:
        return [[] for _ in directions]
    words, found = list(subject.texts.words), []
    blocks = tqdm(directions.split(_BLOCK), desc="output tokens", unit="block", disable=not progress)
    for block in blocks:
        usable = block.norm(dim=1) > 0
        told = iter(output_words(block[usable], subject.lm, words, min(N_WORDS, len(words))) if usable.any() else [])
        found += [next(told) if has else [] for has in usable.tolist()]
    return found


def seeded_start(n_latents: int, n: int = 8, seed: int = 0) -> list[int]:
    """Latents to begin with where none is better known than another, ascending."""
    drawn = torch.randperm(n_latents, generator=torch.Generator().manual_seed(seed))[:n]
    return sorted(drawn.tolist())
