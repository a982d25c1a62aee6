"""Checks for the exercises of chapter 5: what a latent is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from canonlib.compare import decoder_directions, nearest
from canonlib.exercises.feedback import Feedback, check_number, check_tensor
from canonlib.sae.needs import Need, takes

if TYPE_CHECKING:
    from canonlib.meta import MetaName, MetaSAE

__all__ = ["check_held_out", "check_least_composed", "check_meta_activations", "check_named_parts"]


@torch.no_grad()
@takes(meta=Need.SUM)
def check_meta_activations(answer: Any, meta: MetaSAE, row: torch.Tensor) -> Feedback:
    """The activations of all meta-latents, ``[n_meta]``, on one decoder row ``[d_model]`` of any length.

    Names a row that was not scaled to length 1, a bias that was left out, and a threshold that was forgotten or
    subtracted. Raises ``ConfigError`` for a row that is zero.
    """
    sae = meta.sae
    direction = decoder_directions(row[None])[0].to(sae.W_enc)

    def passed(d: torch.Tensor, b: Any = sae.b_dec, c: Any = sae.b_enc) -> torch.Tensor:
        z = ((d - b) @ sae.W_enc + c).relu()
        return z * (z > meta.report.threshold)

    before = ((direction - sae.b_dec) @ sae.W_enc + sae.b_enc).relu()
    right = passed(direction)
    slips = {
        "That is the row as it stands in W_dec: scale it to length 1 first.": passed(row.to(sae.W_enc)),
        "The decoder bias b is missing: encode d - b, not d.": passed(direction, b=0.0),
        "The encoder bias c is missing.": passed(direction, c=0.0),
        "The threshold is missing: an activation that is not above it counts as zero.": before,
        "The threshold decides what passes; it is not subtracted.": (before - meta.report.threshold).relu(),
    }
    return check_tensor(answer, right, f"Right: {int((right > 0).sum())} of {len(right)} are active.", slips)


def check_named_parts(
    answer: Any, parts: Sequence[int] | torch.Tensor, names: Sequence[MetaName], facts: Mapping[str, str]
) -> Feedback:
    """Of a latent's parts: how many have a name, and of how many of those is the name true? Two numbers.

    ``parts`` ``[n_parts]`` are the indices of its meta-latents, ``names`` holds a name for every meta-latent of the meta-SAE, and
    ``facts`` maps the entity's attributes to their values.
    """
    found = [names[int(m)] for m in parts]
    true = [n.fact is not None and facts.get(n.fact.partition("=")[0]) == n.fact.partition("=")[2] for n in found]
    named = [n.beyond_chance for n in found]
    n_named, n_true = sum(named), sum(a and b for a, b in zip(named, true, strict=True))
    pair = lambda a, b: torch.tensor([float(a), float(b)])  # noqa: E731
    slips = {
        "Every part has a best fact; it is a name only where q is below 0.05.": pair(len(found), sum(true)),
        "The second number counts true facts of unnamed parts too: only names count.": pair(n_named, sum(true)),
        "The other way round: first the parts that have a name, then those whose name is true.": pair(n_true, n_named),
        "The second number is of those that are *not* true.": pair(n_named, n_named - n_true),
    }
    return check_tensor(answer, pair(n_named, n_true), f"Right: {n_named} named, {n_true} of them truly.", slips)


@torch.no_grad()
def check_least_composed(
    answer: Any, latents: torch.Tensor, rows: torch.Tensor, rebuilt: torch.Tensor, parts: torch.Tensor
) -> Feedback:
    """The number of the latent that is most nearly a part itself, then of the one that parts leave most of.

    ``latents`` ``[n]`` are numbers in the SAE, ``rows`` ``[n, d_model]`` their decoder directions, ``rebuilt``
    ``[n, d_model]`` what the meta-SAE makes of these at length 1, ``parts`` ``[n_meta, d_model]`` its decoder rows.
    """
    d = decoder_directions(rows)
    left = (d - rebuilt.to(d)).norm(dim=1)
    likeness = nearest(d, parts).cosine[:, 0]
    one, other = int(likeness.argmax()), int(left.argmax())
    pair = lambda a, b: torch.tensor([float(latents[a]), float(latents[b])])  # noqa: E731
    slips = {
        "Those are places in the list of entity latents: give the latents' numbers in the SAE.": torch.tensor(
            [float(one), float(other)]
        ),
        "The other way round: first the latent that is nearly a part, then the one that resists.": pair(other, one),
        "The second is the latent that is rebuilt *best*: look for the largest rest.": pair(one, int(left.argmin())),
        "The first is the latent *least* like any single part.": pair(int(likeness.argmin()), other),
        "The first is the latent that is rebuilt best, which may take several parts.": pair(int(left.argmin()), other),
    }
    return check_tensor(answer, pair(one, other), "Right. Neither is shown to be an atom: see the solution.", slips)


@torch.no_grad()
@takes(meta=Need.SUM)
def check_held_out(answer: Any, meta: MetaSAE, seen: torch.Tensor, unseen: torch.Tensor) -> Feedback:
    """The variance that a meta-SAE explains of decoder rows it was not trained on, as a share of 1.

    ``seen`` and ``unseen`` are rows ``[n, d_model]``. Names the score in sample, the one over all rows, the FVU, a
    spread about zero or about the mean of the rows that were trained on, and rows that were not scaled.
    """
    from canonlib.meta import variance_explained

    d, kept = decoder_directions(unseen).double(), decoder_directions(seen).double()
    sae = meta.sae
    rebuilt = sae.decode(sae.encode(d.to(sae.W_enc))).double()
    error, right = (d - rebuilt).square().sum(), variance_explained(meta, unseen)
    raw = unseen.double()
    raw_error = (raw - sae.decode(sae.encode(unseen.to(sae.W_enc))).double()).square().sum()
    slips = {
        "That is in sample, on the rows that were trained on: score the others.": variance_explained(meta, seen),
        "That is over all rows, most of which were trained on.": variance_explained(meta, torch.cat([seen, unseen])),
        "That is the FVU, the share left over: the variance explained is 1 minus it.": 1 - right,
        "The spread is about the mean of the rows, not about zero.": 1 - float(error / d.square().sum()),
        "The spread is about the mean of the rows that are scored, not of those trained on.": 1
        - float(error / (d - kept.mean(0)).square().sum()),
        "Scale the rows to length 1 first.": 1 - float(raw_error / (raw - raw.mean(0)).square().sum()),
    }
    return check_number(
        answer, right, f"Right: {right:.0%} of rows held out.", slips, hint="It is a share of 1.", abs_=2e-3
    )
