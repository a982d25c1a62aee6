"""The checks of the first chapter: right answers, each slip by name, no answer, nonsense."""

from __future__ import annotations

import math

import pytest

from canonlib.errors import ConfigError
from canonlib.exercises import check_combination_cost, check_moved_vectors, check_twins
from canonlib.world import grammar, questions, table


@pytest.mark.parametrize(("answer", "said"), [
    (math.sqrt(3), "✓ Yes"),
    (3.0, "✗ That is the square of the length"),
    (2, "✗ That is what the two atoms cost"),
    (1, "✗ The direction has length 1"),
    (math.sqrt(2 + 2 * math.cos(60)), "✗ The angle is in degrees"),
    (math.sqrt(2.5), "✗ The product term counts twice"),
    (1.9, "✗ 1.9 is too high"),
    (None, "· No answer yet"),
    ("long", "✗ One finite number is asked for"),
])  # fmt: skip
def test_the_cost_of_a_combination(answer, said):
    assert str(check_combination_cost(answer, angle=60)).startswith(said)


def test_a_difference_is_not_a_sum():
    assert "difference" in str(check_combination_cost(math.sqrt(2 - 2 * math.cos(math.radians(50))), angle=50))


def test_an_angle_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="angle is 270"):
        check_combination_cost(1, angle=270)


FACTS = ("field=art", "job=painter", "job=poet", "land=Peru", "land=Chile", "tongue=Quechua", "sea=Pacific")
MATRIX = [  # entities by facts
    [True, True, False, True, False, True, True],
    [True, True, False, False, True, False, True],
    [False, False, True, True, False, True, True],
    [False, False, True, False, True, False, False],
]


@pytest.mark.parametrize(("answer", "said"), [
    (["job=painter", "field=art", "tongue=Quechua", "land = Peru"], "✓ Yes, 4 facts in 2 groups"),
    ([["field=art", "job=painter"], ("land=Peru", "tongue=Quechua")], "✓ Yes"),
    ([f for f in FACTS if f != "sea=Pacific"], "✗ These are held by *equally many*"),
    (["job=painter", "tongue=Quechua"], "✗ That is one of each group"),
    (["field=art", "land=Peru"], "✗ That is the first of each group"),
    (["field=art"], "✗ 3 of the 4 facts are missing"),
    ([], "✗ 4 of the 4 facts are missing"),
    (7, "✗ A list of facts is asked for"),
    (None, "· No answer yet"),
    (..., "· No answer yet"),
])  # fmt: skip
def test_twins(answer, said):
    assert str(check_twins(answer, FACTS, MATRIX)).startswith(said)


def test_the_world_has_twins_and_takes_facts_as_they_are():
    _, facts, matrix = table.truth_matrix()
    columns = list(zip(*matrix, strict=True))
    twins = [f for f, column in zip(facts, columns, strict=True) if columns.count(column) > 1]
    assert twins
    assert check_twins(twins, facts, matrix)
    assert not check_twins(facts, facts, matrix)


@pytest.fixture(scope="module")
def moved():
    """Questions about some people whose donors' names stand at another place, the model, and its hook."""
    from canonlib import tiers
    from canonlib.world import model

    people = table.people()[:60]
    asked = [questions.question(e, "country", grammar.CLAUSES[0]) for e in people]
    donors = [questions.question(e, "century", grammar.CLAUSES[0]) for e in people]
    assert asked[0].position != donors[0].position
    return model.load(), asked, donors, tiers.get("world").hook


def test_moved_vectors_are_measured(moved):
    from canonlib.exercises.canonical import _patched, _share

    lm, asked, donors, hook = moved
    at, source, truth = asked[0].position, donors[0].position, [q.answer for q in asked]
    own = _share(_patched(lm, asked, donors, hook, source, at), truth)
    following = _patched(lm, asked, [*donors[1:], donors[0]], hook, source, at)
    other = _share(following, truth)
    assert own > 0.9 > other  # a person's vector carries the person, somebody else's does not
    assert check_moved_vectors((own, other), *moved)
    flipped = _share(following, [*truth[1:], truth[0]])
    for answer, said in [
        ((other, own), "wrong way round"),
        ((1 - own, 1 - other), "*change*"),
        ((own, flipped), "*next* person's"),
        ((1.0, 1.0), "no patch reached the name"),
        ((0.5, 0.5), "values differ"),
        (own, "shape is []"),
    ]:
        feedback = check_moved_vectors(answer, *moved)
        assert feedback.right is False
        assert said in feedback.message


def test_moved_vectors_without_an_answer_run_nothing(moved):
    assert check_moved_vectors(None, None, [], [], "").right is None
    _, asked, donors, hook = moved
    with pytest.raises(ConfigError, match="different entities"):
        check_moved_vectors(1.0, None, asked, donors[1:], hook)
