"""What the explorer says of itself: which SAEs it shows, what was read to make it, and what a search could begin with."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from canonlib.explore.records import Measured, Record
from canonlib.explore.subject import Subject
from canonlib.sae.doubts import doubt

if TYPE_CHECKING:
    from sae_lens import SAE

DIGITS = 8
"""Hexadecimal digits of a fingerprint."""
_PLAIN = re.compile(r"[\w=.'-]{2,24}")
_ARCHITECTURES = {
    "standard": "ReLU", "jumprelu": "JumpReLU", "topk": "TopK", "batchtopk": "BatchTopK", "gated": "Gated",
    "matryoshka_batchtopk": "Matryoshka BatchTopK",
}  # fmt: skip


def fingerprint(subject: Subject) -> str:
    """``DIGITS`` digits that tell these two SAEs, weight by weight, from any others. A shared link carries them."""
    return _hash(subject.sae, subject.meta.sae)


def _hash(*saes: SAE[Any]) -> str:
    digest = hashlib.blake2b(digest_size=DIGITS // 2)
    for sae in saes:
        for name, value in sorted(sae.state_dict().items()):
            digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def provenance(subject: Subject, found: Measured) -> list[list[str]]:
    """Rows of [what, value] for the start page: the SAEs, the model, the data, and how much the parts explain."""
    sae, meta, texts = subject.sae, subject.meta, subject.texts
    told = [["SAE", f"{_architecture(sae)}, {subject.n_latents:,} latents in {int(sae.cfg.d_in):,} dimensions"]]
    said = " at ".join(str(part) for name in ("model_name", "hook_name") if (part := sae.cfg.metadata.get(name)))
    read = texts.source if texts is not None else ""
    if read or said:
        told.append(["read from", read or said])
    if read and said and read != said:
        told.append(["the SAE's own model", said])
    report, n = meta.report, meta.report.n_directions
    told.append(
        [
            "meta-SAE",
            f"{meta.n_latents:,} meta-latents, k = {meta.config.k:g}; on the {n:,} decoder directions that it was trained "
            f"on it explains {100 * report.variance_explained:.0f}% of the variance",
        ]
    )
    told.append(["parts of a latent", f"{_mean_parts(found):.1f} on average"])
    if subject.alive is not None:
        dead = int((~subject.alive).sum())
        told.append(["never fired in training", f"{dead:,} of {subject.n_latents:,} latents"])
    if texts is not None:
        told.append(["measured on", f"{len(texts.split):,} {texts.unit} in {len(texts.documents):,} pieces of text"])
    if subject.fit is not None:
        told.append(["reconstructed with", f"L0 {subject.fit.l0:.1f}, FVU {subject.fit.fvu:.2f}"])
        if (doubts := doubt(subject.fit, sae)) is not None:
            told.append(["doubt", doubts])
    if (silent := found.silent) is not None:
        told.append(["silent there", f"{int(silent.sum()):,} of {subject.n_latents:,} latents"])
    if subject.smaller:
        sizes = ", ".join(f"{int(s.sae.cfg.d_sae):,}" for s in subject.smaller)
        told.append(["compared with", f"smaller SAEs of {sizes} latents"])
    return [*told, ["fingerprints", f"SAE {_hash(sae)}, meta-SAE {_hash(meta.sae)}"]]


def _architecture(sae: SAE[Any]) -> str:
    """What it was trained as where that is known, and what it is now."""
    now = str(sae.cfg.architecture())
    trained = str(sae.cfg.metadata.get("training_architecture") or now)
    named, saved = (_ARCHITECTURES.get(a, a) for a in (trained, now))
    return named if trained == now else f"{named} (kept as {saved})"


def _mean_parts(found: Measured) -> float:
    """Meta-latents of a latent that has any direction to take apart."""
    usable = found.lacking == 0
    return int(found.shares[usable].count_nonzero()) / max(1, int(usable.sum()))


def examples(start: Sequence[Record], subject: Subject, tokens: Sequence[str]) -> list[str]:
    """Searches that find something, for the page to suggest: a name, a fact, a token that fires, one that is raised.

    start: records of the latents offered on the first view; tokens: texts of the numbered tokens.
    """
    names = [r.get("n", "") for r in start]
    fires = [tokens[text[0][text[2]]] for r in start for text in r.get("x", [])[:1]]
    raised = [w for r in start for w in r.get("w", [])]
    chosen = [_first(names), _first(_facts(start, subject)), _first(fires, "token:"), _first(raised, "raises:")]
    return [example for example in chosen if example]


def _facts(start: Sequence[Record], subject: Subject) -> list[str]:
    """Facts of the first latent that has any, those that name a meta-latent and hold of few entities first."""
    truth, said = subject.truth, set(subject.meta_names)
    if truth is None:
        return []
    counted = Counter(fact for true in truth.true for fact in true)
    own: list[int] = next((r["t"] for r in start if r.get("t")), [])
    facts = truth.facts
    return [facts[t] for t in sorted(own, key=lambda t: (facts[t] not in said, counted[t]))]


def _first(texts: Sequence[str], before: str = "") -> str:
    """The first text that is one plain word, which a search takes as it is."""
    found = next((text.strip() for text in texts if _PLAIN.fullmatch(text.strip())), "")
    return before + found if found else ""
