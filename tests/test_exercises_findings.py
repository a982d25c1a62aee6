"""The checks of chapter 7: right answers, each slip by its name, no answer and nonsense."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from canonlib import exercises

DELTA = torch.tensor([-0.3, -0.1, 0.2, 0.1, 0.4, 0.0, 0.0, 0.0, 0.0])
FIRES = torch.tensor([9, 4, 3, 8, 1, 0, 0, 0, 0])


@pytest.mark.parametrize(("answer", "right", "words"), [
    (2 / 5, True, "2 of 5"),
    (torch.tensor(0.4), True, "Right"),
    (2 / 9, False, "Silent latents are in the denominator"),
    (3 / 5, False, "*lowers*"),
    (2, False, "divide by"),
    (6 / 9, False, "effect of 0"),
    (0.9, False, "too high"),
    ([0.4, 0.1], False, "One finite number"),
    (None, None, "No answer yet"),
])  # fmt: skip
def test_share_of_novel_latents(answer: Any, right: bool | None, words: str) -> None:
    found = exercises.check_doubling(answer, DELTA, FIRES)
    assert found.right is right and words in found.message, str(found)


PERSON = {8: 0.1, 64: 0.5, 512: 0.93, 1024: 0.932}
FACT = {8: 0.4, 64: 0.65, 512: 0.3, 1024: 0.1}


@pytest.mark.parametrize(("answer", "right", "words"), [
    ((1024, 64), True, "One of 0.7 or less is no alarm"),
    ((512, 64), True, "F1 0.93"),
    ((64, 1024), False, "other way round"),
    ((1024, 1024), False, "not best for everything"),
    ((512, 8), False, "For the fact"),
    ((8, 64), False, "For the person the best latent has an F1 of 0.10 there, elsewhere 0.93"),
    ((100, 64), False, "no dictionary of 100 latents"),
    (64, False, "Two sizes"),
    (("a", "b"), False, "Two sizes"),
    (None, None, "No answer yet"),
])  # fmt: skip
def test_sizes_for_two_alarms(answer: Any, right: bool | None, words: str) -> None:
    found = exercises.check_alarm_sizes(answer, PERSON, FACT)
    assert found.right is right and words in found.message, str(found)


# Above 0.6: first latents 0, 1 and 2 know only partner 0; 3 knows 0 and 1; 4 knows 2; 5 knows nobody.
COSINES = torch.tensor([
    [0.9, 0.1, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0],
    [0.8, 0.2, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0],
    [0.7, 0.2, 0.1, 0.0, 0.1, 0.0, 0.0, 0.0],
    [0.95, 0.65, 0.1, 0.0, 0.1, 0.0, 0.0, 0.0],
    [0.1, 0.1, 0.7, 0.0, 0.1, 0.0, 0.0, 0.0],
    [0.5, 0.1, 0.2, 0.4, 0.1, 0.0, 0.0, 0.0],
])  # fmt: skip


@pytest.mark.parametrize(("answer", "right", "words"), [
    (3 / 6, True, "3 of 6, where 5"),
    (5 / 6, False, "partner may serve once"),
    (3 / 8, False, "*second* dictionary"),
    (2 / 6, False, "second choice"),
    (3, False, "divide by"),
    (0.1, False, "too low"),
    ("half", False, "One finite number"),
    (None, None, "No answer yet"),
])  # fmt: skip
def test_partners_one_to_one(answer: Any, right: bool | None, words: str) -> None:
    found = exercises.check_one_to_one(answer, COSINES, 0.6)
    assert found.right is right and words in found.message, str(found)


def test_distinct_neighbours_are_not_a_matching() -> None:
    # The nearest neighbours are 0, 0 and 2 (two of them), each other's nearest 1; matched one to one all three find one.
    cosines = torch.tensor([[0.9, 0.8, 0.0], [0.95, 0.1, 0.0], [0.0, 0.0, 0.7]])
    cosines = torch.cat([cosines, torch.tensor([[0.0, 0.0, 0.9]])])
    found = exercises.check_one_to_one(2 / 4, cosines, 0.6)
    assert found.right is False and "second choice" in found.message
    assert exercises.check_one_to_one(3 / 4, cosines, 0.6)
