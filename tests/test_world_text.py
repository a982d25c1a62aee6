"""The grammar writes true, varied sentences; the corpus is fixed by its seed; questions have one right answer."""

from __future__ import annotations

import random

import numpy as np
import pytest

from canonlib.errors import ConfigError
from canonlib.world import corpus, grammar, questions, table


def _entity(name: str) -> table.Entity:
    return next(e for e in table.entities() if e.name == name)


def test_the_grammar_is_varied() -> None:
    assert len(grammar.PERSON_TEMPLATES) + len(grammar.CITY_TEMPLATES) >= 30
    assert len(set(grammar.PERSON_TEMPLATES)) == len(grammar.PERSON_TEMPLATES)
    assert len(grammar.CLAUSES) >= 5
    assert len(grammar.CONNECTIVES) >= 3


@pytest.mark.parametrize("template", [*grammar.PERSON_TEMPLATES, *grammar.CITY_TEMPLATES])
def test_every_template_fills_its_slots_with_true_values(template: str) -> None:
    rng = random.Random(0)
    pool = table.people() if template in grammar.PERSON_TEMPLATES else table.cities()
    for entity in rng.sample(pool, 20):
        words = grammar.sentence(template, entity, rng, named=False, clause=False)
        slots = template.split()
        assert len(words) == len(slots)
        for slot, word in zip(slots, words, strict=True):
            if slot[1:-1] in entity.facts:
                assert word == entity.facts[slot[1:-1]]
            elif slot[0] != "{":
                assert word == slot
            assert word in grammar.vocabulary()


def test_a_known_sentence() -> None:
    rng = random.Random(0)
    words = grammar.sentence(
        "{S} was {a_occupation} {occupation} from {country} .", _entity("Einstein"), rng, False, False
    )
    assert " ".join(words) == "Einstein was a physicist from Germany ."


def test_a_second_entity_shares_what_the_sentence_says_of_both() -> None:
    rng = random.Random(1)
    for _ in range(30):
        words = grammar.sentence("{N} and {compatriot} both came from {country} .", _entity("Curie"), rng, False, False)
        assert words[2] != "Curie"
        assert table.holds(words[2], country="Poland")


def test_pronouns_stand_only_for_entities_already_named() -> None:
    rng, template = random.Random(2), "{S} came from {country} ."
    first = {grammar.sentence(template, _entity("Curie"), rng, named=False)[0] for _ in range(50)}
    later = {grammar.sentence(template, _entity("Curie"), rng, named=True)[0] for _ in range(50)}
    assert first == {"Curie"}
    assert later == {"Curie", "she"}


def test_corpus_is_fixed_by_its_seed() -> None:
    one, again, other = corpus.corpus(20, seed=3), corpus.corpus(20, seed=3), corpus.corpus(20, seed=4)
    assert np.array_equal(one.tokens, again.tokens)
    assert not np.array_equal(one.tokens, other.tokens)
    assert (one.tokens[:, 0] == 0).all()
    assert one.tokens.shape == (20, 64)


def test_entity_positions_point_at_the_name() -> None:
    data, words = corpus.corpus(200, seed=0), list(corpus.token_ids())
    found = corpus.positions(data.tokens, "Einstein")
    assert len(found) > 0
    assert {words[data.tokens[i, j]] for i, j in found} == {"Einstein"}
    index = [e.name for e in table.entities()].index("Einstein")
    assert np.array_equal(found, np.argwhere(data.entity == index))


def test_famous_entities_are_named_more_often() -> None:
    data = corpus.corpus(1500, seed=0)
    counts = np.bincount(data.entity[data.entity >= 0], minlength=len(table.entities()))[: len(table.people())]
    assert counts[:50].mean() > 2 * counts[-50:].mean()
    assert (counts > 0).mean() > 0.95


@pytest.mark.parametrize(("n", "context"), [(0, 64), (-1, 64), (3, 0), (3, 4), (True, 64), (2.5, 64)])
def test_impossible_corpus_sizes_are_named(n: int, context: int) -> None:
    with pytest.raises(ConfigError, match="n_documents|context"):
        corpus.corpus(n, context)


def test_unknown_entity_is_named_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="Einstien.*Einstein"):
        corpus.positions(corpus.corpus(1).tokens, "Einstien")


def test_questions_cover_every_attribute_and_mark_the_name() -> None:
    asked = questions.questions()
    people, cities = len(table.people()), len(table.cities())
    assert len(asked) == 8 * people + 6 * cities
    assert {q.attribute for q in asked if q.kind == "person"} == set(table.PERSON_ATTRIBUTES)
    assert {q.attribute for q in asked if q.kind == "city"} == set(table.CITY_ATTRIBUTES)
    for q in asked:
        assert q.words[q.position] == q.entity
        assert table.holds(q.entity, **{q.attribute: q.answer})
        assert set(q.words[1:]) <= set(grammar.vocabulary())


def test_a_question_by_hand() -> None:
    q = questions.question(_entity("Einstein"), "laureate", grammar.CLAUSES[0])
    assert " ".join(q.words) == "<bos> asked whether Einstein , as we know , won a Nobel prize the answer is"
    assert (q.position, q.answer) == (3, "yes")
    with pytest.raises(ConfigError, match="currency"):
        questions.question(_entity("Einstein"), "currency")


def test_swaps_differ_in_what_is_asked_and_share_the_prompt() -> None:
    pairs = questions.swaps(280, seed=1)
    assert len(pairs) == 280
    for source, target in pairs:
        assert source.answer != target.answer
        assert source.attribute == target.attribute
        assert (*source.words[: source.position], *source.words[source.position + 1 :]) == (
            *target.words[: target.position],
            *target.words[target.position + 1 :],
        )
    assert len({(s.kind, s.attribute) for s, _ in pairs}) == 14
