"""Checks for the chapter on stitching: neighbours, guessed classes, where the cosine misleads, two goods that make a bad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError
from canonlib.exercises.feedback import WAITING, Feedback, check_tensor
from canonlib.exercises.inputs import require_above_zero
from canonlib.sae.needs import Need, takes

if TYPE_CHECKING:
    from sae_lens import SAE

    from canonlib.stitch import InsertionEffects

__all__ = ["check_classes", "check_max_cosine", "check_misplaced", "check_overshoot"]
_WORDS = ("novel", "reconstruction", "silent")


@torch.no_grad()
@takes(large=Need.DIRECTIONS, small=Need.DIRECTIONS)
def check_max_cosine(answer: Any, large: SAE[Any], small: SAE[Any]) -> Feedback:
    """The max cosine of each latent of ``large`` with the decoder directions of ``small``, ``[n_large]``."""
    a, b = large.W_dec.double(), small.W_dec.double()
    folded_a, folded_b = (rows / rows.norm(dim=1, keepdim=True) for rows in (a, b))
    read_a, read_b = (sae.W_enc.T.double() for sae in (large, small))
    read_a, read_b = (rows / rows.norm(dim=1, keepdim=True) for rows in (read_a, read_b))
    slips = {
        "These are raw dot products: fold the norms, scale every decoder direction to length 1 on both sides.":
            (a @ b.T).amax(1),
        "The larger SAE's directions are not folded: scale them to length 1 too.": (a @ folded_b.T).amax(1),
        "The smaller SAE's directions are not folded: scale them to length 1 too.": (folded_a @ b.T).amax(1),
        "These are cosines of encoder directions: take what latents write, `W_dec`.": (read_a @ read_b.T).amax(1),
        "Take the largest cosine, not the largest absolute one: an opposite direction says something else.":
            (folded_a @ folded_b.T).abs().amax(1),
        "These are the mean cosines: the nearest neighbour has the largest.": (folded_a @ folded_b.T).mean(1),
    }  # fmt: skip
    return check_tensor(answer, (folded_a @ folded_b.T).amax(1), "Yes, the max cosine of every latent.", slips)


def check_classes(
    answer: Any, effects: InsertionEffects, latents: Iterable[int], cosine: torch.Tensor, threshold: float
) -> Feedback:
    """Guessed classes ("novel" or "reconstruction") of ``latents``, in their order, against their insertion effects.

    ``cosine`` ``[n_latents]`` and ``threshold`` say what the best single cut on the max cosine would have guessed.
    """
    from canonlib.stitch import classify

    if answer is None or answer is ...:
        return Feedback(None, WAITING)
    numbers, classes = [int(n) for n in latents], classify(effects)
    truth = [next(word for word in _WORDS if getattr(classes, word)[n]) for n in numbers]
    try:
        given = [str(word).strip().lower() for word in ([answer] if isinstance(answer, str) else answer)]
    except TypeError:
        return Feedback(False, f"A list of {len(truth)} words is asked for, novel or reconstruction.")
    if len(given) != len(truth):
        return Feedback(False, f"{len(truth)} words are asked for, one for each latent, and these are {len(given)}.")
    if odd := [word for word in given if word not in _WORDS[:2]]:
        return Feedback(False, f"{odd[0]!r} is not one of the choices: novel, reconstruction.")
    hits = sum(a == b for a, b in zip(given, truth, strict=True))
    if hits == len(truth):
        return Feedback(True, f"All {hits} right: you did at least as well as the cosine can.")
    if hits == 0:
        return Feedback(
            False, "None is right: you have the two words the wrong way round. Low cosine tends to be novel."
        )
    cut = ["novel" if float(cosine[n]) <= threshold else "reconstruction" for n in numbers]
    if given == cut:
        return Feedback(
            False, f"{hits} of {len(truth)} are right. That is what the best cut on the cosine says, and it errs."
        )
    by_cut = sum(a == b for a, b in zip(cut, truth, strict=True))
    return Feedback(False, f"{hits} of {len(truth)} are right; the best cut on the cosine has {by_cut}.")


def check_misplaced(answer: Any, effects: InsertionEffects, cosine: torch.Tensor, threshold: float) -> Feedback:
    """Two numbers: firing latents at or below ``threshold`` that do not lower the error, and above it that do.

    ``cosine`` ``[n_latents]`` is each latent's maximum decoder cosine.
    """
    below, lowers, fires = cosine.cpu() <= threshold, effects.delta_mse < 0, ~effects.silent

    def two(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return torch.tensor([int(first.sum()), int(second.sum())])

    slips = {
        "The two numbers are the wrong way round: first those below the line.": two(~below & lowers, below & ~lowers & fires),
        "Silent latents are counted: one that never fires has no effect, and belongs to no class.":
            two(below & ~lowers, ~below & lowers),
        "These are all the firing latents on either side: count only those with the other side's effect.":
            two(below & fires, ~below & fires),
        "These are the latents that the cosine puts right: the others are asked for.":
            two(below & lowers, ~below & ~lowers & fires),
    }  # fmt: skip
    right = two(below & ~lowers & fires, ~below & lowers)
    return check_tensor(
        answer, right, f"Yes, {int(right[0])} below and {int(right[1])} above the line.", slips, atol=0.1
    )


def check_overshoot(answer: Any, reach: float, cosine: float) -> Feedback:
    """The two bounds between which an activation f helps alone and harms together, as (lower, upper).

    ``reach`` is the residual's dot product a with both unit directions, ``cosine`` theirs with one another, in (0, 1].
    Raises ``ConfigError`` for values for which there is no such stretch.

    >>> print(check_overshoot((1.6, 2), reach=1, cosine=0.5))
    ✗ The product of the two counts twice: |d₁ + d₂|² = 2 + 2c.
    """
    require_above_zero("reach", reach)
    if not 0 < cosine <= 1:
        raise ConfigError(f"cosine is {cosine!r}: only above 0, and up to 1, do two latents get in each other's way.")
    low, high = 2 * reach / (1 + cosine), 2 * reach
    slips = {
        "The product of the two counts twice: |d₁ + d₂|² = 2 + 2c.": [4 * reach / (2 + cosine), high],
        "The bounds are the wrong way round: the lower one first.": [high, low],
        "Those are the activations that lower the error *most*; it is still lowered up to twice that.": [low / 2, high / 2],
        "The upper bound is the break-even of one latent alone, -2fa + f² = 0.": [low, reach],
        "The two together write 2f in the direction of their sum: solve -4fa + 2f² + 2f²c = 0.": [
            reach / (1 + cosine), high],
    }  # fmt: skip
    as_tensors = {message: torch.tensor(pair, dtype=torch.float64) for message, pair in slips.items()}
    return check_tensor(answer, torch.tensor([low, high], dtype=torch.float64),
                        f"Yes: between {low:.2f} and {high:.2f} each helps alone, and both together harm.", as_tensors,
                        atol=0.005)  # fmt: skip
