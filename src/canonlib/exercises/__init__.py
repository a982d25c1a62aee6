"""Is my answer right? A check for each exercise of the book, which names the likely slip of a wrong answer."""

from __future__ import annotations

from canonlib.exercises.canonical import check_combination_cost, check_moved_vectors, check_twins
from canonlib.exercises.feedback import Feedback, check_choice, check_number, check_set, check_tensor
from canonlib.exercises.paths import check_gathered, check_swap_cost, check_widest_split
from canonlib.exercises.stitching import check_classes, check_max_cosine, check_misplaced, check_overshoot
from canonlib.exercises.training import check_fvu, check_members_needed, check_rescaling, check_shrunk_activation

__all__ = [
    "Feedback",
    "check_choice",
    "check_classes",
    "check_combination_cost",
    "check_fvu",
    "check_gathered",
    "check_max_cosine",
    "check_members_needed",
    "check_misplaced",
    "check_moved_vectors",
    "check_number",
    "check_overshoot",
    "check_rescaling",
    "check_set",
    "check_shrunk_activation",
    "check_swap_cost",
    "check_tensor",
    "check_twins",
    "check_widest_split",
]
