"""Sentences about the world: templates, clauses, connectives and pronouns.

A template is a line of words and slots. The subject slot ``{S}`` becomes the entity's name (usually followed by a
clause, so that what is said of an entity stands some way from it) or, once the entity has been named, a pronoun;
``{O}`` is the same in the objective case and ``{N}`` is always the name. Every other slot is filled from the fact
tables, so what a sentence says of an entity is what the tables say.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from canonlib.world import table
from canonlib.world.table import Entity

# One form for each attribute: asked, its answer completes a true sentence.
PERSON_QUESTIONS: dict[str, str] = {
    "occupation": "{S} had the profession of",
    "field": "{S} worked in the field of",
    "country": "{S} was born in what is now",
    "continent": "{S} was born on the continent of",
    "century": "the century given for {N} is",
    "laureate": "asked whether {S} won a Nobel prize the answer is",
    "pronoun": "as a child {S} did not know what",
    "letter": "the name {N} begins with",
}
CITY_QUESTIONS: dict[str, str] = {
    "country": "{S} is a city in",
    "continent": "{S} lies on the continent of",
    "language": "people in {N} speak",
    "currency": "people in {N} pay with the",
    "capital": "asked whether {S} is a capital the answer is",
    "coastal": "asked whether {S} lies by the sea the answer is",
}
DRILL_WEIGHTS = {
    "letter": 5, "century": 4, "laureate": 3, "pronoun": 3, "country": 3, "capital": 4, "coastal": 3,
}  # fmt: skip
"""How often a drill states an attribute, 1 where not named: what no varied template repeats must be said more often."""


def _plain(questions: dict[str, str], weights: dict[str, int]) -> tuple[str, ...]:
    """A statement for each attribute, as many times over as its weight."""
    ends = {"pronoun": "{pronoun} would be ."}
    return tuple(
        f"{form} {ends.get(attribute, '{' + attribute + '} .')}"
        for attribute, form in questions.items()
        for _ in range(weights.get(attribute, 1))
    )


PERSON_FACTS, CITY_FACTS = _plain(PERSON_QUESTIONS, {}), _plain(CITY_QUESTIONS, {})
PERSON_DRILL, CITY_DRILL = _plain(PERSON_QUESTIONS, DRILL_WEIGHTS), _plain(CITY_QUESTIONS, DRILL_WEIGHTS)
PERSON_TEMPLATES: tuple[str, ...] = (
    "{S} was {a_occupation} {occupation} born in what is now {country} .",
    "{S} was {a_occupation} {occupation} .",
    "{S} is known for {field} .",
    "the {occupation} {N} was born in {continent} .",
    "the {occupation} {N} is listed under {century} .",
    "under {century} one finds {O} .",
    "where {N} was born people now speak {language} .",
    "{home_city} lies in the country where {N} was born .",
    "a school in {home_city} may teach the life of {O} .",
    "a reader in {any_city} may like books about {O} .",
    "one may compare {N} with {any_person} .",
    "guides in {country} may speak of {O} .",
    "in {country} people can read about {O} .",
    "schools teach the life of {O} under {field} .",
    "people who admire {O} often read about {field} .",
    "books about {field} may mention {O} .",
    "{N} and {compatriot} were both born in what is now {country} .",
    "like {colleague} , {S} was {a_occupation} {occupation} .",
    "a page on {N} stands under the letter {letter} .",
    "before {N} was {a_occupation} {occupation} {pronoun} was a child .",
    "a list of winners of the Nobel prize with {N} in it : {laureate} .",
)
CITY_TEMPLATES: tuple[str, ...] = (
    "the city {N} belongs to {country} .",
    "the {demonym} city {N} welcomes visitors .",
    "visitors to {N} may learn some {language} .",
    "a hotel in {N} asks for {currency} .",
    "{S} is part of {continent} .",
    "one can travel from {N} to {sister_city} .",
    "{N} and {sister_city} both lie in {country} .",
    "a traveller from {any_country} may visit {O} .",
    "many songs in {N} are sung in {language} .",
    "shops in {N} take the {currency} .",
    "the sea can be seen from {N} : {coastal} .",
)
CLAUSES: tuple[str, ...] = (
    ", as we know ,", ", some say , truly", "quite often indeed", ", of course ,", ", it is said ,",
    "in fact", ", so the books tell us ,", ", by the way ,",
)  # fmt: skip
OPENERS: tuple[str, ...] = ("today ,", "indeed ,", "as everyone agrees ,", "once more :", "in short ,", "note that")
CONNECTIVES: tuple[str, ...] = (", and", ", while", ", but", "; moreover", ", and so")
OBJECTIVE = {"he": "him", "she": "her", "it": "it"}
FACT_RATE, DRILL_RATE = 0.5, 0.65
"""Share of sentences that state one attribute plainly, in the world's texts and in a drill."""
CLAUSE_RATE, OPENER_RATE, CONNECTIVE_RATE, PRONOUN_RATE = 0.65, 0.2, 0.2, 0.5


def _article(word: str) -> str:
    return "an" if word[0].lower() in "aeiou" else "a"


@cache
def _pools() -> dict[tuple[str, str, str], tuple[Entity, ...]]:
    """Entities by (kind, attribute, value): the choices for slots that name a second entity."""
    pools: dict[tuple[str, str, str], list[Entity]] = {}
    for entity in table.entities():
        for attribute in ("country", "occupation"):
            if attribute in entity.facts:
                pools.setdefault((entity.kind, attribute, entity.facts[attribute]), []).append(entity)
    return {key: tuple(value) for key, value in pools.items()}


def _other(pool: Sequence[Entity], entity: Entity, rng: random.Random) -> str:
    while True:
        choice = rng.choice(pool)
        if choice.name != entity.name:
            return choice.name


def _slot(name: str, entity: Entity, rng: random.Random) -> str:
    """The word that fills one slot of a template about ``entity``."""
    facts, kind = entity.facts, entity.kind
    if name in facts:
        return facts[name]
    country = table.countries()[facts["country"]]
    if name in ("language", "currency", "demonym"):
        return str(getattr(country, name))
    if name.startswith("a_"):
        return _article(_slot(name[2:], entity, rng))
    if name == "home_city":
        return rng.choice(_pools()["city", "country", facts["country"]]).name
    if name in ("compatriot", "sister_city"):
        return _other(_pools()[kind, "country", facts["country"]], entity, rng)
    if name == "colleague":
        return _other(_pools()[kind, "occupation", facts["occupation"]], entity, rng)
    if name == "any_city":
        return rng.choice(table.cities()).name
    if name == "any_person":
        return _other(table.people(), entity, rng)
    if name == "any_country":
        return rng.choice(tuple(table.countries()))
    raise KeyError(name)


def pronoun(entity: Entity) -> str:
    """The pronoun that stands for ``entity`` ("it" for a city)."""
    return entity.facts.get("pronoun", "it")


def sentence(template: str, entity: Entity, rng: random.Random, named: bool, clause: bool | None = None) -> list[str]:
    """The words of one true sentence.

    ``named``: the text has named the entity already, so a pronoun may stand for it. ``clause``: put a clause after
    the name (never, always, or, when None, at the grammar's own rate).
    """
    words: list[str] = []
    for token in template.split():
        if token[0] != "{":
            words.append(token)
            continue
        slot = token[1:-1]
        if slot in "SO" and named and rng.random() < PRONOUN_RATE:
            words.append(pronoun(entity) if slot == "S" else OBJECTIVE[pronoun(entity)])
        elif slot in "SON":
            words.append(entity.name)
            if clause or (clause is None and rng.random() < CLAUSE_RATE):
                words += rng.choice(CLAUSES).split()
        else:
            words.append(_slot(slot, entity, rng))
    return words


def passage(entity: Entity, rng: random.Random, drill: bool = False) -> list[str]:
    """A few sentences about one entity, some joined by a connective; the first names it.

    ``drill``: state plain facts more often, above all those that the varied templates seldom mention.
    """
    person = entity.kind == "person"
    varied = PERSON_TEMPLATES if person else CITY_TEMPLATES
    facts = (PERSON_DRILL if person else CITY_DRILL) if drill else (PERSON_FACTS if person else CITY_FACTS)
    rate = DRILL_RATE if drill else FACT_RATE
    words: list[str] = []
    for i in range(rng.randint(1, 4)):
        template = rng.choice(facts if rng.random() < rate else varied)
        text = sentence(template, entity, rng, named=i > 0)
        if i > 0 and rng.random() < CONNECTIVE_RATE:
            words[-1:] = rng.choice(CONNECTIVES).split()
        elif rng.random() < OPENER_RATE:
            words += rng.choice(OPENERS).split()
        words += text
    return words


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word the grammar can write, sorted; special tokens are the tokenizer's."""
    words = {w for e in table.entities() for w in (e.name, *e.facts.values())}
    words |= {w for c in table.countries().values() for w in (c.name, c.continent, c.language, c.currency, c.demonym)}
    words |= {*OBJECTIVE, *OBJECTIVE.values(), "a", "an"}
    lines = (*PERSON_FACTS, *CITY_FACTS, *PERSON_TEMPLATES, *CITY_TEMPLATES, *CLAUSES, *OPENERS, *CONNECTIVES)
    words |= {w for line in lines for w in line.split() if w[0] != "{"}
    return tuple(sorted(words))
