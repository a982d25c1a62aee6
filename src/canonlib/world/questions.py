"""Questions with one right answer: the probe of what the world's model knows."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

from canonlib.errors import unknown
from canonlib.world import grammar, table
from canonlib.world.table import Entity

QUESTIONS = {"person": grammar.PERSON_QUESTIONS, "city": grammar.CITY_QUESTIONS}


class Question(NamedTuple):
    """A prompt about one attribute of one entity."""

    entity: str
    kind: str
    attribute: str
    words: tuple[str, ...]
    """The prompt, ``<bos>`` first."""
    position: int
    """Place of the entity's name in ``words``."""
    answer: str


def question(entity: Entity, attribute: str, clause: str = "") -> Question:
    """The question about ``attribute``, with a clause after the name unless it is empty.

    Raises ``ConfigError`` for an attribute that entities of that kind are not asked about.

    >>> asked = question(table.entity("Einstein"), "country")
    >>> " ".join(asked.words), asked.answer
    ('<bos> Einstein was born in what is now', 'Germany')
    """
    forms = QUESTIONS[entity.kind]
    if attribute not in forms:
        raise unknown(f"attribute of a {entity.kind}", attribute, forms)
    before, after = forms[attribute].replace("{N}", "{S}").split("{S}")
    words = ("<bos>", *before.split(), entity.name, *clause.split(), *after.split())
    return Question(entity.name, entity.kind, attribute, words, 1 + len(before.split()), entity.facts[attribute])


def questions(entities: Iterable[Entity] | None = None, clause: str = grammar.CLAUSES[0]) -> list[Question]:
    """Every question about every attribute of the entities (all of them by default)."""
    chosen = table.entities() if entities is None else entities
    return [question(e, attribute, clause) for e in chosen for attribute in QUESTIONS[e.kind]]


class Swap(NamedTuple):
    """Two questions about one attribute whose answers differ; ``target``'s entity replaces ``source``'s."""

    source: Question
    target: Question


def swaps(n: int, seed: int = 0, clause: str = grammar.CLAUSES[0]) -> list[Swap]:
    """``n`` pairs of entities of one kind, for each attribute by turns, that differ in the attribute asked about."""
    rng = random.Random(seed)
    asked = [(kind, attribute) for kind, forms in QUESTIONS.items() for attribute in forms]
    pools = {"person": table.people(), "city": table.cities()}
    found: list[Swap] = []
    while len(found) < n:
        kind, attribute = asked[len(found) % len(asked)]
        source, target = rng.sample(pools[kind], 2)
        if source.facts[attribute] != target.facts[attribute]:
            found.append(Swap(question(source, attribute, clause), question(target, attribute, clause)))
    return found
