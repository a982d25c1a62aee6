"""Checks for the chapter on paths: the widest split, a gathered dictionary, what a swap costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError
from canonlib.exercises.feedback import WAITING, Feedback, check_number, check_set
from canonlib.exercises.inputs import require_above_zero

if TYPE_CHECKING:
    from canonlib.stitch import Group

__all__ = ["check_gathered", "check_swap_cost", "check_widest_split"]


def check_widest_split(answer: Any, groups: Sequence[Group]) -> Feedback:
    """The latents of the larger SAE that stand, together, for one of the smaller: the most of any group that is a split.

    The answer is a ``Group`` or its latents of the larger SAE. Where several splits are as wide, any of them is right.
    Raises ``ConfigError`` where no group is a split.
    """
    if answer is None:
        return Feedback(None, WAITING)
    splits = [g for g in groups if g.kind == "1-n"]
    if not splits:
        raise ConfigError("groups holds no split (kind 1-n): take a lower threshold in swap_groups.")
    most = max(len(g.into) for g in splits)
    widest = [g for g in splits if len(g.into) == most]
    given = getattr(answer, "into", answer)
    chosen = next((g for g in widest if _same(given, g.into)), widest[0])
    slips: dict[str, Iterable[int]] = {
        "That is the latent of the smaller SAE: those of the larger one, `Group.into`, are asked for.": chosen.out,
    }
    several = next((g for g in groups if len(g.out) > 1 and _same(given, g.into)), None)
    if several is not None and several.kind == "n-1":
        return Feedback(False, "That is a merger: many of the smaller SAE's latents for one.")
    if several is not None:
        return Feedback(False, 'That group replaces several latents of the smaller SAE: a split has one, `kind` "1-n".')
    narrower = next((g for g in splits if len(g.into) < most and _same(given, g.into)), None)
    if narrower is not None:
        return Feedback(False, f"A split, and not the widest: this has {len(narrower.into)} parts, and one has {most}.")
    return check_set(given, chosen.into, f"Yes, latent {chosen.out[0]} is split into {most}.", slips, what="latents")


def _same(given: Any, wanted: Iterable[int]) -> bool:
    try:
        return {int(n) for n in given} == set(wanted)
    except (TypeError, ValueError):
        return False


@torch.no_grad()
def check_gathered(
    answer: Any, trained: Any, held_out: torch.Tensor, row: Mapping[str, Any], slack: float = 0.02
) -> Feedback:
    """A dictionary put together from several SAEs, judged on ``held_out`` ``[n_tokens, d_model]``.

    The answer is an SAE, or what ``stitch.frankenstein`` gives. ``trained`` is the SAE of that size as trained, ``row`` the
    library's own (``pipeline.gathering.gathered``): an error within ``slack`` (a share) of its ``mse`` is right.
    """
    from canonlib.sae.metrics import reconstruction

    if answer is None or answer is ...:
        return Feedback(None, WAITING)
    sae = getattr(answer, "sae", answer)
    if not hasattr(sae, "W_dec") or not callable(getattr(sae, "encode", None)):
        return Feedback(False, "An SAE is asked for: `frankenstein(...).sae`.")
    if sae.cfg.d_in != held_out.shape[1]:
        return Feedback(False, f"This SAE is of activations with {sae.cfg.d_in} coordinates, not {held_out.shape[1]}.")
    if sae.cfg.d_sae > row["size"]:
        return Feedback(False, f"It has {sae.cfg.d_sae} latents, and {row['size']} are allowed.")
    ours, theirs, best = reconstruction(sae, held_out).mse, reconstruction(trained, held_out).mse, float(row["mse"])
    against = f"MSE {ours:.4f} on held-out tokens; trained {theirs:.4f}, the library's {best:.4f}."
    if sae.W_dec.shape == trained.W_dec.shape and torch.equal(sae.W_dec, trained.W_dec):
        return Feedback(False, f"That is the trained SAE itself: exchange members. {against}")
    if ours <= best * (1 + slack):
        return Feedback(True, f"Yes. {against}")
    if sae.cfg.d_sae < row["size"]:
        return Feedback(False, f"Only {sae.cfg.d_sae} of {row['size']} latents are used. {against}")
    if not bool(sae.b_dec.any()):
        return Feedback(
            False, f"The decoder bias is zero: it belongs to the latents and has to be chosen too. {against}"
        )
    if ours <= theirs:
        return Feedback(False, f"Better than trained, and there is more to gain: choose on more tokens. {against}")
    return Feedback(
        False, f"It is worse than the trained SAE: choose on tokens of the same kind, entity mentions. {against}"
    )


def check_swap_cost(answer: Any, strength: float, cosine: float) -> Feedback:
    """What a swap adds to a token's squared error when the residual is orthogonal to both unit directions.

    Both latents fire with ``strength`` f; their directions have ``cosine`` c: 2 f² (1 - c). Raises ``ConfigError`` for a
    cosine outside -1 ... 1.

    >>> print(check_swap_cost(1.2, strength=2, cosine=0.7))
    ✗ Both directions are part of the difference: |d - d'|² = 2 - 2c, not 1 - c.
    """
    require_above_zero("strength", strength)
    if not -1 <= cosine <= 1:
        raise ConfigError(f"cosine is {cosine!r}: a cosine lies between -1 and 1.")
    power = strength**2
    slips = {
        "Both directions are part of the difference: |d - d'|² = 2 - 2c, not 1 - c.": power * (1 - cosine),
        "The strength counts twice: the error is a square.": 2 * strength * (1 - cosine),
        "That is per unit of activation: multiply by f².": 2 * (1 - cosine),
        "That is the length of what is written wrongly: the error is its square.": strength * (2 - 2 * cosine) ** 0.5,
        "That is the part of one direction that the other misses; taking the old one out leaves more behind.":
            power * (1 - cosine**2),
        "That is what an insertion without a removal would cost.": power,
        "Check the sign: like directions make a swap cheap.": 2 * power * (1 + cosine),
    }  # fmt: skip
    return check_number(answer, 2 * power * (1 - cosine), "Yes, 2 f² (1 - c): at c = 0.7 that is 0.6 f².", slips,
                        hint="The residual is orthogonal to both, so only |v|² counts, with v = f (d - d').", abs_=1e-6)  # fmt: skip
