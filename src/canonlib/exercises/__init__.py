"""Is my answer right? A check for each exercise of the book, which names the likely slip of a wrong answer."""

from __future__ import annotations

from canonlib.exercises.canonical import check_combination_cost, check_moved_vectors, check_twins
from canonlib.exercises.feedback import Feedback, check_choice, check_number, check_set, check_tensor
from canonlib.exercises.findings import check_alarm_sizes, check_doubling, check_one_to_one
from canonlib.exercises.meta import check_held_out, check_least_composed, check_meta_activations, check_named_parts
from canonlib.exercises.paths import check_gathered, check_swap_cost, check_widest_split
from canonlib.exercises.stitching import check_classes, check_max_cosine, check_misplaced, check_overshoot
from canonlib.exercises.training import check_fvu, check_members_needed, check_rescaling, check_shrunk_activation
from canonlib.exercises.truth import check_best_k, check_fair_precision, check_telling_pair

__all__ = [
    "Feedback",
    "check_alarm_sizes",
    "check_best_k",
    "check_choice",
    "check_classes",
    "check_combination_cost",
    "check_doubling",
    "check_fair_precision",
    "check_fvu",
    "check_gathered",
    "check_held_out",
    "check_least_composed",
    "check_max_cosine",
    "check_members_needed",
    "check_meta_activations",
    "check_misplaced",
    "check_moved_vectors",
    "check_named_parts",
    "check_number",
    "check_one_to_one",
    "check_overshoot",
    "check_rescaling",
    "check_set",
    "check_shrunk_activation",
    "check_swap_cost",
    "check_telling_pair",
    "check_tensor",
    "check_twins",
    "check_widest_split",
]
