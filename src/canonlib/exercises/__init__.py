"""Is my answer right? A check for each exercise of the book, which names the likely slip of a wrong answer."""

from __future__ import annotations

from canonlib.exercises.feedback import Feedback, check_choice, check_number, check_set, check_tensor

__all__ = ["Feedback", "check_choice", "check_number", "check_set", "check_tensor"]
