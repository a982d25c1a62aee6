"""The explorer's data: one record of plain lists and numbers for each latent and each meta-latent.

Keys are short because there may be fifty thousand records. A latent: ``n`` name, ``d`` share of tokens on which it
fires, ``m`` its highest activation, ``p`` parts as [meta-latent, activation], ``z`` why it has none (1: never fired in
training, 2: direction of length zero), ``r`` length of what the parts leave over, ``x`` texts, ``w`` output tokens,
``s`` nearest latents in each smaller SAE as [latent, cosine, name], ``k`` class as [class, effect on the next smaller
SAE's MSE], ``f`` facts as [fact, F1, precision, recall], ``e`` entity, ``ef`` the F1 for it, ``t`` its facts, ``h``
whether the name of each part is true of it (see ``Truth.mark``). A meta-latent: ``n``, ``d``, ``m``, ``u`` users as
[latent, activation] with a 1 behind those that fire on none of the tokens, ``ns`` how many of those there are, ``x``,
``w``, ``s``, ``f`` its fact as [fact, F1, precision, recall, q, beyond chance, F1 by chance], ``a`` its name's score. A
text is [token numbers, activations in percent of ``m``, peak].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from canonlib.explore.firings import Context, Firings, contexts, firings, handed_on
from canonlib.explore.near import classes, near, short
from canonlib.explore.subject import Fit, Subject, raised_words
from canonlib.sae.dictionary import output_lengths

NEVER_FIRED, NO_DIRECTION = 1, 2
"""Why a latent has no parts."""

Record = dict[str, Any]


class Vocabulary:
    """Numbers the tokens that are shown, in the order in which they come up."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}

    def number(self, token: int) -> int:
        """The token's number in the file of token texts."""
        return self.numbers.setdefault(token, len(self.numbers))


@dataclass(frozen=True, eq=False)
class Measured:
    """What records of both kinds are made from."""

    shares: torch.Tensor
    """[n_latents, n_meta] meta-activations; zero for latents that never fired in training, or point nowhere."""
    lacking: torch.Tensor
    """int8 [n_latents]: ``NEVER_FIRED``, ``NO_DIRECTION`` or 0."""
    fired: Firings | None
    """Where latents fire; None without texts."""
    classes: list[list[Any]] | None
    """For each latent [class, effect]; None where that is not known."""
    unclassed: str
    """Why it is not."""

    @property
    def silent(self) -> torch.Tensor | None:
        """bool [n_latents]: fires on none of the tokens; None without texts."""
        return None if self.fired is None else self.fired.starts.diff() == 0


def measure(subject: Subject, progress: bool = False) -> Measured:
    """One pass over the texts for firings, one for effects on the next smaller SAE, and one over the decoder."""
    texts = subject.texts
    fired = None if texts is None else firings(subject.sae, texts.split.activations, progress)
    lacking = torch.zeros(subject.n_latents, dtype=torch.int8)
    if subject.alive is not None:
        lacking[~subject.alive] = NEVER_FIRED
    lacking[_rows(subject).norm(dim=1) == 0] = NO_DIRECTION
    return Measured(_shares(subject, lacking == 0), lacking, fired, *classes(subject, progress))


def latent_records(
    subject: Subject, found: Measured, vocabulary: Vocabulary, progress: bool = False
) -> Iterator[Record]:
    """A record for each latent, in order; ``ConfigError`` when the smaller SAEs do not suit the base."""
    texts = _texts(subject, found.fired, vocabulary)
    nearby = near(subject, _rows(subject), progress)
    shares, left = _parts(subject, found.shares)
    words = raised_words(subject, _rows(subject), progress)
    for j in range(subject.n_latents):
        record: Record = {"n": subject.names[j] if subject.names else "", "p": shares[j], "r": left[j]}
        if found.lacking[j]:
            record["z"] = int(found.lacking[j])
        if found.fired is not None:
            record |= _activity(found.fired, j) | {"x": next(texts)}
        if words[j]:
            record["w"] = words[j]
        if nearby:
            record["s"] = [size[j] for size in nearby]
        if found.classes is not None:
            record["k"] = found.classes[j]
        yield record | _truth(subject, j, [int(m) for m, _ in shares[j]])


def meta_records(subject: Subject, found: Measured, vocabulary: Vocabulary, progress: bool = False) -> Iterator[Record]:
    """A record for each meta-latent, in order."""
    directions = subject.meta.sae.W_dec.detach().float()
    lengths = output_lengths(subject.sae).float()[:, None]
    fired = None if found.fired is None else handed_on(found.fired, lengths * found.shares, progress)
    texts = _texts(subject, fired, vocabulary)
    nearby = near(subject, directions, progress)
    words = raised_words(subject, directions, progress)
    for m in range(subject.meta.n_latents):
        record: Record = {"n": subject.meta_names[m] if subject.meta_names else ""} | _users(found, m)
        if fired is not None:
            record |= _activity(fired, m) | {"x": next(texts)}
        if words[m]:
            record["w"] = words[m]
        if nearby:
            record["s"] = [size[m] for size in nearby]
        yield record | _evidence(subject, m)


def _rows(subject: Subject) -> torch.Tensor:
    return subject.sae.W_dec.detach().float()


@torch.no_grad()
def _shares(subject: Subject, usable: torch.Tensor) -> torch.Tensor:
    """[n_latents, n_meta] meta-activations of the ``usable`` latents, zero elsewhere."""
    from canonlib.meta import meta_activations

    found = torch.zeros(subject.n_latents, subject.meta.n_latents)
    if usable.any():
        found[usable] = meta_activations(subject.meta, _rows(subject)[usable]).float()
    return found


@torch.no_grad()
def _parts(subject: Subject, shares: torch.Tensor) -> tuple[list[list[list[float]]], list[float | None]]:
    """For each latent its meta-latents, most active first, and the length of what they leave over (None: no parts)."""
    rows = _rows(subject)
    unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    parts: list[list[list[float]]] = []
    left: list[float | None] = []
    for block, own in zip(unit.split(4096), shares.split(4096), strict=True):
        rest = (block - subject.meta.sae.decode(own.to(subject.meta.sae.dtype))).norm(dim=1).tolist()
        latent, part = own.nonzero(as_tuple=True)
        order = own[latent, part].argsort(descending=True, stable=True)
        order = order[latent[order].argsort(stable=True)]  # by latent, and in each the most active first
        told = iter(zip(part[order].tolist(), own[latent, part][order].tolist(), strict=True))
        for n, over in zip(own.count_nonzero(dim=1).tolist(), rest, strict=True):
            parts.append([[m, short(a)] for m, a in (next(told) for _ in range(n))])
            left.append(short(over) if n else None)
    return parts, left


def _users(found: Measured, m: int) -> Record:
    column, silent = found.shares[:, m], found.silent
    users = column.argsort(descending=True, stable=True)[: int(column.count_nonzero())].tolist()
    listed = [
        [j, short(a), *([1] if silent is not None and silent[j] else [])] for j, a in zip(users, column[users].tolist())
    ]
    return {"u": listed, "ns": sum(len(u) > 2 for u in listed)}


def _activity(fired: Firings, column: int) -> Record:
    _, values = fired.of(column)
    return {"d": short(len(values) / fired.n_tokens), "m": short(float(values.max())) if len(values) else 0.0}


def _texts(subject: Subject, fired: Firings | None, vocabulary: Vocabulary) -> Iterator[list[list[Any]]]:
    if fired is None or subject.texts is None:
        return
    texts = subject.texts
    for found in contexts(fired, texts.split, texts.documents, texts.skip, texts.lengths):
        top = max((max(c.activations) for c in found), default=1.0)
        yield [_text(context, top, vocabulary) for context in found]


def _text(context: Context, top: float, vocabulary: Vocabulary) -> list[Any]:
    percent = [max(1, round(100 * a / top)) if a > 0 else 0 for a in context.activations]
    return [[vocabulary.number(t) for t in context.tokens], percent, context.peak]


def _truth(subject: Subject, j: int, parts: list[int]) -> Record:
    truth = subject.truth
    if truth is None:
        return {}
    record: Record = {"f": [_fit(fit) for fit in truth.fits[j]]}
    if truth.owner[j] is None:
        return record
    if truth.owner_f1:
        record["ef"] = round(truth.owner_f1[j], 3)
    marks = [truth.mark(j, subject.meta_names[m]) for m in parts] if subject.meta_names else []
    return record | {"e": truth.owner[j], "t": list(truth.true[j]), "h": marks}


def _evidence(subject: Subject, m: int) -> Record:
    """The fact that a meta-latent is named after, or else the score of its name."""
    truth = subject.truth
    score = subject.meta_scores[m] if subject.meta_scores else None
    record: Record = {} if score is None else {"a": round(score, 3)}
    if truth is not None and truth.meta_fits and (fit := truth.meta_fits[m]) is not None:
        chance = round(truth.chance_f1[m], 3) if truth.chance_f1 else None
        record["f"] = [*_fit(fit), short(truth.q_values[m]), int(fit.beyond_chance), chance]
    return record


def _fit(fit: Fit) -> list[Any]:
    return [fit.fact, round(fit.f1, 3), round(fit.precision, 3), round(fit.recall, 3)]
