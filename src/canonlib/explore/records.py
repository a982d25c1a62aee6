"""The explorer's data: one record of plain lists and numbers for each latent and each meta-latent.

Keys are short because there may be fifty thousand records. A latent: ``n`` name, ``d`` share of tokens on which it
fires, ``m`` its highest activation, ``p`` parts as [meta-latent, activation], ``r`` length of what the parts leave
over, ``x`` texts, ``w`` output tokens, ``s`` nearest latents in each smaller SAE as [latent, cosine, name], ``k`` class
as [class, effect on the next smaller SAE's MSE], ``f`` facts as [fact, F1, precision, recall], ``e`` entity, ``t`` its facts. A meta-latent:
``n``, ``u`` users as [latent, activation], ``nu`` how many there are, ``x``, ``w``, ``s``, ``f`` its fact as
[fact, F1, precision, recall, q, beyond chance]. A text is [token numbers, activations in percent of ``m``, peak].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from canonlib.explore.firings import Context, Firings, contexts, firings, handed_on
from canonlib.explore.subject import Fit, Smaller, Subject, raised_words

N_USERS = 48
"""Users of a meta-latent that are listed."""
N_NEAR = 3
"""Latents of each smaller SAE that are listed."""

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
    """[n_latents, n_meta] meta-activations."""
    fired: Firings | None
    """Where latents fire; None without texts."""


def measure(subject: Subject, progress: bool = False) -> Measured:
    """One pass over the texts, and one over the decoder."""
    texts = subject.texts
    fired = None if texts is None else firings(subject.sae, texts.split.activations, progress)
    return Measured(_shares(subject), fired)


def latent_records(subject: Subject, found: Measured, vocabulary: Vocabulary) -> Iterator[Record]:
    """A record for each latent, in order; ``ConfigError`` when the smaller SAEs do not suit the base."""
    fired = found.fired
    texts = _texts(subject, fired, vocabulary)
    near, classes = _near(subject, _rows(subject)), _classes(subject)
    shares, left = _parts(subject, found.shares)
    words = raised_words(subject, _rows(subject))
    for j in range(subject.n_latents):
        record: Record = {"n": subject.names[j] if subject.names else "", "p": shares[j], "r": left[j]}
        if fired is not None:
            record |= _activity(fired, j) | {"x": next(texts)}
        if words[j]:
            record["w"] = words[j]
        if near:
            record["s"] = [size[j] for size in near]
        if classes is not None:
            record["k"] = classes[j]
        yield record | _truth(subject, j)


def meta_records(subject: Subject, found: Measured, vocabulary: Vocabulary) -> Iterator[Record]:
    """A record for each meta-latent, in order."""
    activations = found.shares
    lengths = _rows(subject).norm(dim=1, keepdim=True)
    fired = None if found.fired is None else handed_on(found.fired, lengths * activations)
    texts = _texts(subject, fired, vocabulary)
    near = _near(subject, subject.meta.sae.W_dec.detach())
    words = raised_words(subject, subject.meta.sae.W_dec.detach())
    for m in range(subject.meta.n_latents):
        column = activations[:, m]
        users = column.argsort(descending=True, stable=True)[: min(N_USERS, int((column > 0).sum()))]
        listed = [[j, _short(a)] for j, a in zip(users.tolist(), column[users].tolist(), strict=True)]
        record: Record = {"n": subject.meta_names[m] if subject.meta_names else "", "u": listed}
        record["nu"] = int((column > 0).sum())
        if fired is not None:
            record |= _activity(fired, m) | {"x": next(texts)}
        if words[m]:
            record["w"] = words[m]
        if near:
            record["s"] = [size[m] for size in near]
        if subject.truth is not None and (fit := subject.truth.meta_fits[m]) is not None:
            record["f"] = [*_fit(fit), _short(subject.truth.q_values[m]), int(fit.beyond_chance)]
        yield record


def _short(value: float) -> float:
    """Three digits that count: the rest is noise, and fills the disk."""
    return float(f"{value:.3g}")


def _rows(subject: Subject) -> torch.Tensor:
    return subject.sae.W_dec.detach().float()


@torch.no_grad()
def _shares(subject: Subject) -> torch.Tensor:
    """[n_latents, n_meta] meta-activations; zero for latents that never fired in training and for rows of length zero."""
    from canonlib.meta import meta_activations

    rows = _rows(subject)
    usable = rows.norm(dim=1) > 0
    if subject.alive is not None:
        usable = usable & subject.alive
    found = torch.zeros(len(rows), subject.meta.n_latents)
    found[usable] = meta_activations(subject.meta, rows[usable]).float()
    return found


@torch.no_grad()
def _parts(subject: Subject, shares: torch.Tensor) -> tuple[list[list[list[float]]], list[float | None]]:
    """For each latent its meta-latents, most active first, and the length of what they leave over (None: no parts)."""
    rows = _rows(subject)
    unit = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    parts: list[list[list[float]]] = []
    left: list[float | None] = []
    for block, own in zip(unit.split(4096), shares.split(4096), strict=True):
        rest = (block - subject.meta.sae.decode(own)).norm(dim=1).tolist()
        active = [row.nonzero()[:, 0] for row in own]
        order = [one[row[one].argsort(descending=True, stable=True)] for one, row in zip(active, own, strict=True)]
        parts += [[[m, _short(float(row[m]))] for m in one.tolist()] for one, row in zip(order, own, strict=True)]
        left += [_short(r) if len(one) else None for r, one in zip(rest, order, strict=True)]
    return parts, left


def _activity(fired: Firings, column: int) -> Record:
    _, values = fired.of(column)
    return {"d": _short(len(values) / fired.n_tokens), "m": _short(float(values.max())) if len(values) else 0.0}


def _texts(subject: Subject, fired: Firings | None, vocabulary: Vocabulary) -> Iterator[list[list[Any]]]:
    if fired is None or subject.texts is None:
        return
    texts = subject.texts
    for found in contexts(fired, texts.split, texts.documents, texts.skip):
        top = max((max(c.activations) for c in found), default=1.0)
        yield [_text(context, top, vocabulary) for context in found]


def _text(context: Context, top: float, vocabulary: Vocabulary) -> list[Any]:
    percent = [max(1, round(100 * a / top)) if a > 0 else 0 for a in context.activations]
    return [[vocabulary.number(t) for t in context.tokens], percent, context.peak]


def _near(subject: Subject, rows: torch.Tensor) -> list[list[list[list[Any]]]]:
    """For each smaller SAE, for each row the latents of highest cosine."""
    return [_near_in(smaller, rows) for smaller in subject.smaller]


def _near_in(smaller: Smaller, rows: torch.Tensor) -> list[list[list[Any]]]:
    from canonlib.compare import nearest

    usable = rows.norm(dim=1) > 0
    found: list[list[list[Any]]] = [[] for _ in rows]
    near = nearest(rows[usable], smaller.sae, k=min(N_NEAR, int(smaller.sae.cfg.d_sae)))
    names = smaller.names or [""] * int(smaller.sae.cfg.d_sae)
    for j, cosines, places in zip(
        usable.nonzero()[:, 0].tolist(), near.cosine.tolist(), near.index.tolist(), strict=True
    ):
        found[j] = [[i, round(c, 3), names[i]] for c, i in zip(cosines, places, strict=True)]
    return found


def _classes(subject: Subject) -> list[list[Any]] | None:
    """For each latent [class, change of the next smaller SAE's MSE, highest cosine]; None where it cannot be measured.

    The effect needs activations, and SAEs that can be stitched: a TopK SAE, whose latents depend on one another, has
    parts and neighbours, but no classes.
    """
    from canonlib.errors import ConfigError
    from canonlib.stitch import classify, insertion_effects, require_stitchable

    if not subject.smaller or subject.texts is None:
        return None
    small = subject.smaller[-1].sae
    try:
        require_stitchable(small, subject.sae)
    except ConfigError:
        return None
    effects = insertion_effects(small, subject.sae, subject.texts.split.activations)
    kinds = classify(effects)
    words = zip(kinds.novel.tolist(), kinds.silent.tolist(), effects.relative.tolist(), strict=True)
    return [["novel" if new else "silent" if silent else "reconstruction", _short(e)] for new, silent, e in words]


def _truth(subject: Subject, j: int) -> Record:
    truth = subject.truth
    if truth is None:
        return {}
    record: Record = {"f": [_fit(fit) for fit in truth.fits[j]]}
    if truth.owner[j] is not None:
        record |= {"e": truth.owner[j], "t": list(truth.true[j])}
    return record


def _fit(fit: Fit) -> list[Any]:
    return [fit.fact, round(fit.f1, 3), round(fit.precision, 3), round(fit.recall, 3)]
