"""Checks for the chapter on training: an error on a scale, what a penalty takes, how much of a class a latent must cover."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.exercises.feedback import Feedback, check_number
from canonlib.exercises.inputs import require_above_zero
from canonlib.sae.needs import Need, takes

if TYPE_CHECKING:
    from sae_lens import SAE

__all__ = ["check_fvu", "check_members_needed", "check_rescaling", "check_shrunk_activation"]


@torch.no_grad()
@takes(sae=Need.ACTIVATIONS)
def check_fvu(answer: Any, sae: SAE[Any], activations: torch.Tensor) -> Feedback:
    """The fraction of variance that ``sae`` leaves unexplained on ``activations`` ``[n_tokens, d_model]``."""
    x = activations.double()
    squared = float((x - sae(activations).double()).square().sum())
    spread, power = float((x - x.mean(0)).square().sum()), float(x.square().sum())
    right = squared / spread
    slips = {
        "That is the share of the variance that is *explained*: FVU is what is left, 1 minus it.": 1 - right,
        "The denominator lacks the mean: divide by the squared distances from the mean activation, not from zero.":
            squared / power,
        "That is the MSE: divide by the variance, so that the scale of the activations drops out.": squared / x.numel(),
        "That is the error per token: divide by the variance, not by the number of tokens.": squared / len(x),
        "That is a ratio of lengths: FVU is one of squares.": math.sqrt(right),
    }  # fmt: skip
    return check_number(answer, right, f"Yes, an FVU of {right:.3f}.", slips,
                        hint="Both sums run over tokens and coordinates.")  # fmt: skip


def check_shrunk_activation(answer: Any, strength: float, penalty: float) -> Feedback:
    """The activation with the least loss (s - f)² + λ f, for ``strength`` s and ``penalty`` λ.

    Raises ``ConfigError`` unless both are above zero.

    >>> print(check_shrunk_activation(1.5, strength=2, penalty=0.5))
    ✗ The square's derivative brings a factor 2, so the penalty takes half of λ, not all of it.
    """
    require_above_zero("strength", strength)
    require_above_zero("penalty", penalty)
    right = max(0.0, strength - penalty / 2)
    slips = {
        "The square's derivative brings a factor 2, so the penalty takes half of λ, not all of it.": strength - penalty,
        "That is the activation without a penalty: a price for f pulls it down.": strength,
        "Check the sign: a price for f makes it smaller, not larger.": strength + penalty / 2,
        "The penalty takes a fixed amount, not a share.": strength * (1 - penalty / 2),
        "The penalty takes a fixed amount; it does not divide.": strength / (1 + penalty / 2),
        "An activation is never below zero.": strength - penalty / 2,
    }
    return check_number(answer, right, "Yes: every activation is λ/2 too small, however large it is.", slips,
                        hint="Set the derivative of (s - f)² + λ f to zero.", abs_=1e-3)  # fmt: skip


def check_rescaling(answer: Any, target: torch.Tensor, rebuilt: torch.Tensor) -> Feedback:
    """The one number that brings ``rebuilt`` nearest to ``target``, both ``[n_tokens, d_model]`` without the decoder bias.

    Raises ``ConfigError`` for two shapes.
    """
    if target.shape != rebuilt.shape:
        raise ConfigError(
            f"target is {list(target.shape)} and rebuilt {list(rebuilt.shape)}: give both for the same tokens."
        )
    a, b = target.double(), rebuilt.double()
    product, power, wanted = float((a * b).sum()), float(b.square().sum()), float(a.square().sum())
    right = product / power
    slips = {
        "That fits the reconstruction by the activation; it is asked for the other way round.": product / wanted,
        "That is one over the factor.": power / product,
        "That makes the two equally long. The least error asks for the dot product over |x̂ - b_dec|².": math.sqrt(
            wanted / power
        ),
        "That is the mean of the tokens' own factors; one factor for all weighs long tokens more.": float(
            ((a * b).sum(1) / b.square().sum(1)).nanmean()
        ),
    }
    where = (
        "above 1: what the penalty took is given back" if right > 1 else "not above 1: the penalty is not all there is"
    )
    return check_number(answer, right, f"Yes, {right:.3f}, {where}.", slips, rel=0.002,
                        hint="Least squares: (target · rebuilt) / (rebuilt · rebuilt), summed over all tokens.")  # fmt: skip


def check_members_needed(answer: Any, n_members: int, cut: float) -> Feedback:
    """The fewest of ``n_members`` equally often mentioned members that a latent must cover for an F1 above ``cut``.

    The latent fires on every mention of these members and on nothing else. Raises ``ConfigError`` for a cut outside 0 ... 1.

    >>> print(check_members_needed(15, n_members=20, cut=0.7))
    ✗ That asks for a *recall* above the cut. F1 is kinder: with precision 1 it is 2m / (m + n).
    """
    require_positive("n_members", n_members)
    if not 0 <= cut < 1:
        raise ConfigError(f"cut is {cut!r}: an F1 that can be passed lies between 0 and 1.")

    def fewest(score: Any) -> int:
        return next(m for m in range(1, n_members + 1) if score(m) > cut)

    right = fewest(lambda m: 2 * m / (m + n_members))
    slips = {
        "That asks for a *recall* above the cut. F1 is kinder: with precision 1 it is 2m / (m + n).": float(
            fewest(lambda m: m / n_members)
        ),
        "One more: at that number the F1 does not pass the cut yet.": float(right - 1),
        "That is the share; the number of members is asked for.": cut / (2 - cut),
        "That forgets the 2: F1 is twice the product over the sum.": float(n_members),
    }
    return check_number(answer, float(right), f"Yes, {right} of {n_members}, a share of {right / n_members:.0%}.", slips,
                        hint="Solve 2m / (m + n) > cut for m, and round up.", rel=0)  # fmt: skip
