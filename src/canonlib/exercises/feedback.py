"""What a check says of an answer, and the comparisons that the checks of all chapters share.

A check compares an answer with the right one, and with the answers that well-known slips lead to; when it meets one of
those, it names the slip. An answer of ``None`` or ``...`` means that nothing has been tried yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Feedback", "check_choice", "check_number", "check_set", "check_tensor"]

WAITING = "No answer yet: put yours in the place of None, and run the cell again."


@dataclass(frozen=True)
class Feedback:
    """What a check found: shown as a line of text, in a notebook as a marked paragraph.

    right: True, False, or None where there is no answer yet.
    message: what to tell the learner; for a wrong answer the likely slip and where to look.
    """

    right: bool | None
    message: str

    def __str__(self) -> str:
        return f"{'·' if self.right is None else '✓' if self.right else '✗'} {self.message}"

    def __bool__(self) -> bool:
        return self.right is True

    def _repr_markdown_(self) -> str:
        return str(self)


def _untried(answer: Any) -> bool:
    return answer is None or answer is Ellipsis


def _as_number(answer: Any) -> float | None:
    try:
        value = float(answer)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several numbers
        return None
    return value if math.isfinite(value) else None


def _near(a: float, b: float, rel: float, abs_: float) -> bool:
    return math.isclose(a, b, rel_tol=rel, abs_tol=abs_)


def check_number(
    answer: Any, right: float, well_done: str, slips: Mapping[str, float] | None = None, *, hint: str = "",
    rel: float = 0.01, abs_: float = 1e-9,
) -> Feedback:  # fmt: skip
    """One number against the right one, within ``rel`` (a share) or ``abs_``.

    ``slips`` maps what to say of a slip to the number that it gives; the first that fits and is not the right number
    is told. Otherwise the answer is called too high or too low, with ``hint``.

    >>> print(check_number(0.25, 0.25, "A quarter."))
    ✓ A quarter.
    >>> print(check_number(0.75, 0.25, "A quarter.", {"That is the share explained; FVU is the rest.": 0.75}))
    ✗ That is the share explained; FVU is the rest.
    """
    if _untried(answer):
        return Feedback(None, WAITING)
    value = _as_number(answer)
    if value is None:
        return Feedback(False, f"One finite number is asked for, and this is {_short(answer)}.")
    if _near(value, right, rel, abs_):
        return Feedback(True, well_done)
    for message, wrong in (slips or {}).items():
        if _near(value, wrong, rel, abs_):
            return Feedback(False, message)
    return Feedback(False, f"{value:g} is too {'high' if value > right else 'low'}. {hint}".rstrip())


def check_choice(answer: Any, right: str, well_done: str, others: Mapping[str, str]) -> Feedback:
    """One word out of several; ``others`` maps each wrong choice to what speaks against it.

    >>> print(check_choice("Novel", "novel", "Yes.", {"reconstruction": "Its effect is below zero."}))
    ✓ Yes.
    """
    if _untried(answer):
        return Feedback(None, WAITING)
    said = str(answer).strip().lower()
    if said == right.lower():
        return Feedback(True, well_done)
    against = {word.lower(): reason for word, reason in others.items()}
    if said in against:
        return Feedback(False, against[said])
    choices = ", ".join(sorted([right, *others]))
    return Feedback(False, f"{_short(answer)} is not one of the choices: {choices}.")


def check_set(
    answer: Any, right: Iterable[Any], well_done: str, slips: Mapping[str, Iterable[Any]] | None = None, *,
    what: str = "entries",
) -> Feedback:  # fmt: skip
    """A collection (list, set or tensor of numbers) whose order does not count.

    A wrong one is answered with its slip, or with how many ``what`` are missing and how many are too many.

    >>> print(check_set([1, 2, 5], {1, 2, 3}, "All found.", what="latents"))
    ✗ 1 of the 3 latents is missing, and 1 of yours does not belong.
    """
    if _untried(answer):
        return Feedback(None, WAITING)
    wanted = set(right)
    try:
        given = set(answer.tolist() if isinstance(answer, torch.Tensor) else answer)
    except TypeError:
        return Feedback(False, f"A list of {what} is asked for, and this is {_short(answer)}.")
    if given == wanted:
        return Feedback(True, well_done)
    for message, wrong in (slips or {}).items():
        if given == set(wrong):
            return Feedback(False, message)
    missing, extra = len(wanted - given), len(given - wanted)
    lacks = f"{missing} of the {len(wanted)} {what} {'is' if missing == 1 else 'are'} missing"
    spare = f"{extra} of yours {'does' if extra == 1 else 'do'} not belong"
    return Feedback(False, f"{', and '.join([lacks] * bool(missing) + [spare] * bool(extra))}.")


def check_tensor(
    answer: Any, right: torch.Tensor, well_done: str, slips: Mapping[str, torch.Tensor] | None = None, *,
    atol: float = 1e-4,
) -> Feedback:  # fmt: skip
    """A tensor (or nested list) against the right one, shape first, then values within ``atol``.

    >>> print(check_tensor([[1.0], [2.0]], torch.tensor([1.0, 2.0]), "Right."))
    ✗ The shape is [2, 1], and [2] is asked for.
    """
    if _untried(answer):
        return Feedback(None, WAITING)
    try:
        given = torch.as_tensor(answer).detach().double().cpu()
    except (TypeError, ValueError, RuntimeError):
        return Feedback(False, f"A tensor is asked for, and this is {_short(answer)}.")
    if given.shape != right.shape:
        return Feedback(False, f"The shape is {list(given.shape)}, and {list(right.shape)} is asked for.")
    if torch.allclose(given, right.detach().double().cpu(), rtol=0, atol=atol):
        return Feedback(True, well_done)
    for message, wrong in (slips or {}).items():
        if wrong.shape == given.shape and torch.allclose(given, wrong.detach().double().cpu(), rtol=0, atol=atol):
            return Feedback(False, message)
    worst = float((given - right.detach().double().cpu()).abs().max())
    return Feedback(False, f"The shape is right; the values differ by up to {worst:.2g}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
