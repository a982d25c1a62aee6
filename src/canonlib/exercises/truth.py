"""Checks for the exercises of chapter 6: are the parts the truth?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from canonlib.exercises.feedback import Feedback, check_number
from canonlib.world.match import match_facts

__all__ = ["check_best_k", "check_fair_precision", "check_telling_pair"]


def check_best_k(
    answer: Any, precision: Mapping[int, float], said: Mapping[int, float], *, false_costs: float = 2.0
) -> Feedback:
    """At which k is it worth most to act on every name? 0 where it is worth nothing at any k.

    ``precision`` and ``said`` (names a latent) by k; a true name brings 1, a false one costs ``false_costs``.
    """

    def worth(costs: float) -> dict[int, float]:
        return {k: said[k] * (p - costs * (1 - p)) for k, p in precision.items()}

    values = worth(false_costs)
    best = max(values, key=lambda k: values[k])
    right = best if values[best] > 0 else 0
    even = worth(1.0)
    slips = {
        "That k does the least harm, but harm it is: what the names bring is below zero at every k.": float(best),
        f"A false name costs {false_costs:g} times what a true one brings, not as much.": float(
            max(even, key=lambda k: even[k])
        ),
        "That is where names are most often true; what counts is also how many there are.": float(
            max(precision, key=lambda k: precision[k])
        ),
        "That is where most is said; false names cost.": float(max(said, key=lambda k: said[k])),
        "There is a k at which acting on the names pays: the true ones outweigh the false ones.": 0.0,
    }
    done = f"Right: {values[best]:+.2f} a latent." if right else "Right: at every k the false names cost more."
    return check_number(answer, float(right), done, slips, hint=f"The choices are 0 and {sorted(precision)}.")


def check_fair_precision(answer: Any, uses: torch.Tensor, truth: torch.Tensor, naming: torch.Tensor) -> Feedback:
    """How often names are true of latents that did not choose them, over all (latent, part) pairs.

    ``uses`` ``[n_latents, n_parts]`` and ``truth`` ``[n_latents, n_facts]`` are bool; each part is named by its fact of
    highest F1 on the latents of ``naming`` (bool ``[n_latents]``) and judged on the others.
    """

    def says(chosen_on: torch.Tensor, judged_on: torch.Tensor) -> tuple[float, float, float]:
        fact = match_facts(uses[chosen_on], truth[chosen_on]).best_per_latent().index
        part, true = uses[judged_on], truth[judged_on][:, fact]
        hits, guess = (part & true).sum(), (truth[judged_on].double().mean(0)[fact] * part.sum(0)).sum()
        return float(hits / part.sum()), float(hits / true.sum()), float(guess / part.sum())

    everyone = torch.ones_like(naming)
    precision, recall, rate = says(naming, ~naming)
    slips = {
        "Those latents helped to choose the names: judge by the other half.": says(naming, naming)[0],
        "That is judged by everyone, half of whom helped to choose the names.": says(naming, everyone)[0],
        "All latents chose the names, and all judge them.": says(everyone, everyone)[0],
        "That is the recall: of what is true, the share that is said. Divide by what is said instead.": recall,
        "Those are the base rates of the names, what a guess would get.": rate,
    }
    return check_number(answer, precision, f"Right: {precision:.0%}, where a guess gets {rate:.0%}.", slips, abs_=5e-4,
                        hint="Of the pairs in the other half, the share whose name is true.")  # fmt: skip


def check_telling_pair(answer: Any, uses: torch.Tensor, holds: torch.Tensor) -> Feedback:
    """Two parts that tell a fact best *together*: highest F1 of "a latent has both".

    ``uses`` ``[n_latents, n_parts]`` says who has which part, ``holds`` ``[n_latents]`` of whom the fact is true (both
    bool). Where several pairs are equally good, any of them is right.
    """
    if answer is None or answer is Ellipsis:
        return check_number(answer, 0.0, "")  # what it says of an answer that is not there
    pair = _pair(answer, uses.shape[1])
    if isinstance(pair, Feedback):
        return pair
    first, second = torch.triu_indices(uses.shape[1], uses.shape[1], 1)

    def f1(fires: torch.Tensor) -> torch.Tensor:
        return match_facts(fires, holds[:, None]).f1[:, 0]

    both, either, alone = f1(uses[:, first] & uses[:, second]), f1(uses[:, first] | uses[:, second]), f1(uses)
    place = (first == pair[0]) & (second == pair[1])
    mine, best = float(both[place]), float(both.max())
    if mine >= best - 1e-9:
        return Feedback(True, f"Right: an F1 of {mine:.2f}, where the best single part has {float(alone.max()):.2f}.")
    if float(either[place]) >= float(either.max()) - 1e-9:
        return Feedback(False, "Those tell it best by *either*: a latent counts when it has both.")
    if set(pair) == set(alone.topk(2).indices.tolist()):
        return Feedback(False, "Those are the best two singly; try all pairs, for two good ones may say the same.")
    return Feedback(False, f"That pair has an F1 of {mine:.2f}, and the best has {best:.2f}.")


def _pair(answer: Any, n_parts: int) -> tuple[int, int] | Feedback:
    """The two parts in ascending order, or what is wrong with the answer."""
    try:
        values = answer.tolist() if isinstance(answer, torch.Tensor) else list(answer)
    except TypeError:
        values = []
    whole = len(values) == 2 and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
    if not whole or values[0] == values[1] or not all(0 <= v < n_parts for v in values):
        return Feedback(False, f"Two different parts are asked for, as numbers from 0 to {n_parts - 1}.")
    return min(values), max(values)
