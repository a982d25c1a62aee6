"""The checks of chapter 6: right answers, each slip by its name, no answer and nonsense."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from canonlib import exercises
from canonlib.world.match import match_facts

PRECISION = {1: 0.9, 2: 0.8, 4: 0.72, 8: 0.5}
SAID = {1: 0.2, 2: 0.9, 4: 2.0, 8: 5.0}  # worth at double costs: 0.14, 0.36, 0.32, -2.5; at even ones 0.88 at k = 4


@pytest.mark.parametrize(("answer", "right", "words"), [
    (2, True, "+0.36"),
    (torch.tensor(2), True, "Right"),
    (4, False, "2 times"),
    (1, False, "also how many"),
    (8, False, "false names cost"),
    (0, False, "There is a k"),
    (5, False, "The choices are 0 and"),
    ("two", False, "One finite number"),
    (None, None, "No answer yet"),
])  # fmt: skip
def test_the_best_k(answer: Any, right: bool | None, words: str) -> None:
    found = exercises.check_best_k(answer, PRECISION, SAID)
    assert found.right is right and words in found.message, str(found)


def test_no_k_is_worth_it_when_half_of_the_names_are_false() -> None:
    poor = dict.fromkeys(SAID, 0.5)
    assert exercises.check_best_k(0, poor, SAID)
    assert "least harm" in exercises.check_best_k(1, poor, SAID).message
    assert exercises.check_best_k(8, poor, SAID, false_costs=0.5)


def drawn(n: int = 200, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Who uses which of five parts, at random, and who has which of nine facts of different base rates."""
    generator = torch.Generator().manual_seed(seed)
    uses = torch.rand(n, 5, generator=generator) < 0.3
    return uses, torch.rand(n, 9, generator=generator) < torch.linspace(0.1, 0.5, 9)


def test_judges_that_did_not_choose() -> None:
    uses, truth = drawn()
    half = torch.arange(len(uses)) % 2 == 0
    everyone = torch.ones_like(half)

    def precision(chosen_on: torch.Tensor, judged_on: torch.Tensor) -> float:
        said = right = 0
        for m in range(uses.shape[1]):
            fact = match_facts(uses[chosen_on][:, [m]], truth[chosen_on]).f1[0].argmax()
            said += int(uses[judged_on, m].sum())
            right += int((uses[judged_on, m] & truth[judged_on, fact]).sum())
        return right / said

    fact = match_facts(uses[half], truth[half]).best_per_latent().index
    rate = float((truth[~half].double().mean(0)[fact] * uses[~half].sum(0)).sum() / uses[~half].sum())
    true = truth[~half][:, fact]
    answers = {
        "Right": precision(half, ~half),
        "by the other half": precision(half, half),
        "judged by everyone": precision(half, everyone),
        "all judge": precision(everyone, everyone),
        "recall": float((uses[~half] & true).sum() / true.sum()),
        "base rates": rate,
        "too low": 0.0,
        "One finite number": [1, 2],
    }
    for words, answer in answers.items():
        found = exercises.check_fair_precision(answer, uses, truth, half)
        assert words in found.message and found.right is (words == "Right"), (words, str(found))
    assert exercises.check_fair_precision(None, uses, truth, half).right is None


def conjunction() -> tuple[torch.Tensor, torch.Tensor]:
    """Parts 0 and 1 tell the fact together; 2 and 3 by either; 4 and 5 are the best singly, and say the same."""
    holds = torch.zeros(60, dtype=torch.bool)
    holds[:12] = True
    uses = torch.zeros(60, 6, dtype=torch.bool)
    uses[:30, 0] = uses[:12, 1] = uses[40:58, 1] = True
    uses[:6, 2] = uses[6:12, 3] = True
    uses[:10, 4] = uses[:10, 5] = uses[12:14, 4] = uses[12:14, 5] = True
    return uses, holds


@pytest.mark.parametrize(("answer", "right", "words"), [
    ((0, 1), True, "F1 of 1.00"),
    (torch.tensor([1, 0]), True, "Right"),
    ((2, 3), False, "*either*"),
    ((5, 4), False, "best two singly"),
    ((0, 2), False, "the best has 1.00"),
    ((1, 1), False, "Two different parts"),
    ((0, 6), False, "0 to 5"),
    ((0.5, 1), False, "Two different parts"),
    ("both", False, "Two different parts"),
    (7, False, "Two different parts"),
    (None, None, "No answer yet"),
])  # fmt: skip
def test_a_pair_of_parts_tells_a_fact(answer: Any, right: bool | None, words: str) -> None:
    found = exercises.check_telling_pair(answer, *conjunction())
    assert found.right is right and words in found.message, str(found)


def test_equally_good_pairs_are_all_right() -> None:
    uses, holds = conjunction()
    uses = torch.cat([uses, uses[:, :1]], dim=1)  # part 6 is part 0 again
    assert exercises.check_telling_pair((0, 1), uses, holds)
    assert exercises.check_telling_pair((1, 6), uses, holds)
