"""Checks for the exercises of chapter 7: what we found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from canonlib.exercises.feedback import Feedback, check_number

__all__ = ["check_alarm_sizes", "check_doubling", "check_one_to_one"]

_CLOSE = 0.005
"""F1 scores as near as this are equally good: the rest is luck."""


def check_doubling(answer: Any, delta_mse: torch.Tensor, fires: torch.Tensor) -> Feedback:
    """The share of a larger SAE's latents that are new to the smaller one, of those that fire.

    ``delta_mse`` ``[n_latents]`` is the insertion effect of each latent, ``fires`` ``[n_latents]`` on how many tokens it
    is active.
    """
    on = fires > 0
    novel, harmful = int(((delta_mse < 0) & on).sum()), int(((delta_mse > 0) & on).sum())
    n, right = len(fires), novel / max(int(on.sum()), 1)
    slips = {
        "Silent latents are in the denominator: nothing is known of them, so they do not count.": novel / n,
        "Those raise the error: a novel latent *lowers* it, so its effect is below zero.": harmful
        / max(int(on.sum()), 1),
        "That is the number; divide by the latents that fire.": float(novel),
        "A silent latent has an effect of 0, which is not below 0: it is not novel.": int((delta_mse <= 0).sum()) / n,
    }
    done = f"Right: {novel} of {int(on.sum())} that fire."
    return check_number(answer, right, done, slips, hint="It is a share of 1.", rel=1e-3)


def check_alarm_sizes(answer: Any, person: Mapping[int, float], fact: Mapping[int, float]) -> Feedback:
    """The dictionary size for an alarm on one person, then for one on a fact.

    ``person`` and ``fact`` map each size to the F1 of its best latent. Sizes within 0.005 of the best are as good.
    """
    if answer is None or answer is Ellipsis:
        return check_number(answer, 0.0, "")  # what it says of an answer that is not there
    try:
        first, second = (int(value) for value in answer)
    except (TypeError, ValueError):
        return Feedback(False, "Two sizes are asked for: for the person, then for the fact.")
    missing = [size for size in (first, second) if size not in person]
    if missing:
        return Feedback(False, f"There is no dictionary of {missing[0]} latents; the sizes are {sorted(person)}.")

    def good(scores: Mapping[int, float], size: int) -> bool:
        return scores[size] >= max(scores.values()) - _CLOSE

    if good(person, first) and good(fact, second):
        told = f"Right: F1 {person[first]:.2f} and {fact[second]:.2f}. One of 0.7 or less is no alarm: use a probe."
        return Feedback(True, told)
    if good(person, second) and good(fact, first):
        return Feedback(False, "The other way round: first the size for the person, then the one for the fact.")
    if first == second == max(person):
        return Feedback(False, "The largest is not best for everything: an attribute comes apart as the size grows.")
    worse, scores, size = ("fact", fact, second) if good(person, first) else ("person", person, first)
    return Feedback(
        False,
        f"For the {worse} the best latent has an F1 of {scores[size]:.2f} there, elsewhere {max(scores.values()):.2f}.",
    )


def check_one_to_one(answer: Any, cosines: torch.Tensor, cut: float) -> Feedback:
    """The share of the first dictionary's latents that have a partner above the cut, no partner serving twice.

    ``cosines`` is ``[n_first, n_second]``; the right answer is the largest matching there is, over ``n_first``.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    n, above = len(cosines), (cosines > cut).cpu()
    matched = int((maximum_bipartite_matching(csr_matrix(above.numpy()), perm_type="column") >= 0).sum())
    best = cosines.argmax(1)
    has = above.any(1)
    mutual = has & (cosines.argmax(0)[best] == torch.arange(n, device=cosines.device)).cpu()
    slips = {
        "Many latents share a neighbour there: each partner may serve once.": int(has.sum()) / n,
        "That is the share of the *second* dictionary.": matched / cosines.shape[1],
        "That counts pairs that are each other's nearest; a latent may also take its second choice.": int(mutual.sum()) / n,
        "That counts the distinct nearest neighbours; a latent may also take its second choice.": len(
            torch.unique(best[has.to(best.device)])
        ) / n,
        "That is a number of latents: divide by how many the first dictionary has.": float(matched),
    }  # fmt: skip
    done = f"Right: {matched} of {n}, where {int(has.sum())} have a neighbour at all."
    return check_number(answer, matched / n, done, slips, hint="Match one to one.", rel=1e-3)
