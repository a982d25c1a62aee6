"""The facts of the world: who each person is, where each city lies, what each country speaks and pays with.

Three CSV files beside this module hold the facts (``DATA.md`` says what each column means). This module reads
them once, answers questions about them, and can check that they agree with one another. It needs nothing but the
standard library, so that importing it costs milliseconds.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from canonlib.errors import ConfigError, unknown

PERSON_ATTRIBUTES = ("occupation", "field", "country", "continent", "century", "laureate", "pronoun", "letter")
CITY_ATTRIBUTES = ("country", "continent", "language", "currency", "capital", "coastal")
KINDS = ("person", "city")
MIN_ENTITIES = 8
"""A value that fewer entities share could not be told from those entities themselves."""

_FOLDER = Path(__file__).parent
_COLUMNS = {
    "people.csv": ("name", "full_name", *PERSON_ATTRIBUTES),
    "cities.csv": ("name", *CITY_ATTRIBUTES),
    "countries.csv": ("country", "continent", "language", "currency", "demonym"),
}
_TOKEN = re.compile(r"[A-Za-z]+")
_TWO_VALUED = {"laureate": {"yes", "no"}, "pronoun": {"he", "she"}, "capital": {"yes", "no"}, "coastal": {"yes", "no"}}


class Fact(NamedTuple):
    """An attribute together with one of its values, such as ``Fact("country", "Germany")``; sorts alphabetically."""

    attribute: str
    value: str

    def __str__(self) -> str:
        return f"{self.attribute}={self.value}"


@dataclass(frozen=True)
class Entity:
    """One person or city. ``name`` is its single token, ``facts`` a read-only mapping from attribute to value."""

    name: str
    kind: str
    full_name: str
    facts: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class Country:
    """What holds for a whole country; the people's and cities' tables must agree with it."""

    name: str
    continent: str
    language: str
    currency: str
    demonym: str


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of one of the three tables, looked up by the file's name.

    Raises ``ConfigError`` naming the file, and the line where there is one, when it is missing or not UTF-8, when its
    columns are not the expected ones, or when a cell is missing, empty or surplus.
    """
    expected = _COLUMNS[path.name]
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle)
            rows = [(reader.line_num, row) for row in reader]
            header = tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path.name} cannot be read ({error}). Restore it from the package.") from error
    if header != expected:
        raise ConfigError(f"{path.name} has the columns {', '.join(header)}; it needs {', '.join(expected)}.")
    for line, row in rows:
        if None in row or not all(row.values()):
            raise ConfigError(f"{path.name} line {line}: expected {len(expected)} non-empty cells, got {row}.")
    return [row for _, row in rows]


def _entity(row: Mapping[str, str], kind: str, attributes: Sequence[str]) -> Entity:
    values = MappingProxyType({attribute: row[attribute] for attribute in attributes})
    return Entity(row["name"], kind, row.get("full_name", row["name"]), values)


@lru_cache(maxsize=1)
def people() -> tuple[Entity, ...]:
    """All people, the best known first (the corpus mentions them by this rank)."""
    return tuple(_entity(row, "person", PERSON_ATTRIBUTES) for row in read_rows(_FOLDER / "people.csv"))


@lru_cache(maxsize=1)
def cities() -> tuple[Entity, ...]:
    """All cities, the best known first."""
    return tuple(_entity(row, "city", CITY_ATTRIBUTES) for row in read_rows(_FOLDER / "cities.csv"))


def entities() -> tuple[Entity, ...]:
    """All people, then all cities, in the order of their tables."""
    return people() + cities()


@lru_cache(maxsize=1)
def _country_table() -> dict[str, Country]:
    return {row["country"]: Country(*row.values()) for row in read_rows(_FOLDER / "countries.csv")}


def countries() -> dict[str, Country]:
    """Country by name. A person's or city's language, currency and demonym are looked up here."""
    return dict(_country_table())


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Entity]:
    return {entity.name: entity for entity in entities()}


def entity(name: str) -> Entity:
    """The entity of that name. Raises ``ConfigError`` with the nearest names when there is none.

    >>> entity("Einstein").full_name, entity("Einstein").kind
    ('Albert Einstein', 'person')
    """
    table = _by_name()
    if name in table:
        return table[name]
    # All of the several hundred names would bury the message, so it lists only the ones that look or sound alike.
    wanted = str(name).casefold()
    same = [e.name for e in table.values() if wanted in (e.name.casefold(), e.full_name.casefold())]
    near = same or get_close_matches(str(name), table, n=5)
    raise unknown("entity", name, [*near, f"the {len(table)} names of canonlib.world.table.entities()"])


def facts(name: str) -> dict[str, str]:
    """Attribute to value for one entity, as a new dictionary. Raises ``ConfigError`` for an unknown entity."""
    return dict(entity(name).facts)


def _require_known(asked: Mapping[str, str]) -> None:
    """Refuse attributes and values that no entity has: a misspelt value must not come back as "no"."""
    values = _values()
    for attribute, value in asked.items():
        if attribute not in values:
            raise unknown("attribute", attribute, sorted(values))
        if value not in values[attribute]:
            raise unknown(f"value of {attribute}", value, sorted(values[attribute]))


@lru_cache(maxsize=1)
def _values() -> dict[str, set[str]]:
    values: dict[str, set[str]] = defaultdict(set)
    for item in entities():
        for attribute, value in item.facts.items():
            values[attribute].add(value)
    return dict(values)


def _holds_for(item: Entity, asked: Mapping[str, str]) -> bool:
    return all(item.facts.get(attribute) == value for attribute, value in asked.items())


def holds(name: str, **asked: str) -> bool:
    """Whether every fact asked for is true of the entity: ``holds("Einstein", country="Germany")``.

    An attribute of the other kind (``holds("Paris", occupation="writer")``) is not true. Raises ``ConfigError`` for an
    unknown entity, attribute or value.
    """
    item = entity(name)
    _require_known(asked)
    return _holds_for(item, asked)


def entities_with(**asked: str) -> tuple[Entity, ...]:
    """The entities of either kind for which every fact asked for is true; all of them when nothing is asked.

    Raises ``ConfigError`` for an unknown attribute or value.

    >>> [item.name for item in entities_with(country="Germany", occupation="physicist")][:3]
    ['Einstein', 'Planck', 'Heisenberg']
    """
    _require_known(asked)
    return tuple(item for item in entities() if _holds_for(item, asked))


def attribute_values(kind: str | None = None) -> tuple[Fact, ...]:
    """All facts that hold for some entity of ``kind`` ("person", "city", or None for both), sorted.

    A fact knows no kind: ``country=Germany`` is one fact, true of Einstein and of Munich. Raises ``ConfigError`` for
    another kind.
    """
    if kind is not None and kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    found = {Fact(*pair) for item in entities() if kind in (None, item.kind) for pair in item.facts.items()}
    return tuple(sorted(found))


def truth_matrix(names: Iterable[str] | None = None) -> tuple[tuple[str, ...], tuple[Fact, ...], list[list[bool]]]:
    """Names (all when None), all facts, and which of them are true: booleans ``[n_names][n_facts]``.

    The columns do not depend on ``names``. Raises ``ConfigError`` for an unknown entity.

    >>> names, facts, rows = truth_matrix(["Einstein", "Paris"])
    >>> len(facts), [sum(row) for row in rows]  # of so many facts, those that hold of each
    (105, [8, 6])
    """
    if isinstance(names, str):
        raise ConfigError(f"names must be a sequence of entity names, got the text {names!r}. Write [{names!r}].")
    chosen = entities() if names is None else tuple(entity(name) for name in names)
    columns = attribute_values()
    rows = [[item.facts.get(fact.attribute) == fact.value for fact in columns] for item in chosen]
    return tuple(item.name for item in chosen), columns, rows


def check_table(
    people_: Sequence[Entity] | None = None,
    cities_: Sequence[Entity] | None = None,
    countries_: Mapping[str, Country] | None = None,
) -> list[str]:
    """Everything in the tables that contradicts itself, one sentence each; empty when all is well.

    Looks at the shipped tables unless others are given. It can only compare the tables with one another: that
    Einstein was born in Germany is for a reader to check.
    """
    persons = people() if people_ is None else people_
    towns = cities() if cities_ is None else cities_
    lands = countries() if countries_ is None else countries_
    return [
        *_name_problems(persons, towns, lands),
        *_country_problems([*persons, *towns], lands),
        *_person_problems(persons),
        *_value_problems(persons, "person"),
        *_value_problems(towns, "city"),
    ]


def _name_problems(persons: Sequence[Entity], towns: Sequence[Entity], lands: Mapping[str, Country]) -> list[str]:
    items = [*persons, *towns]
    names = [item.name for item in items]
    values = {value for item in items for value in item.facts.values()}
    for land in lands.values():
        values |= {land.name, land.continent, land.language, land.currency, land.demonym}
    words = sorted(set(names) | values)
    problems = [f"{word!r} is not one token of the letters A-Z" for word in words if not _TOKEN.fullmatch(word)]
    problems += [f"the name {name!r} is used {count} times" for name, count in Counter(names).items() if count > 1]
    # Names and values may meet in one lower-cased vocabulary, so they must differ by more than their capitals.
    folded = {value.casefold() for value in values}
    problems += [f"{name!r} is both an entity and a value" for name in names if name.casefold() in folded]
    return problems


def _country_problems(items: Sequence[Entity], lands: Mapping[str, Country]) -> list[str]:
    problems = []
    for item in items:
        land = lands.get(item.facts["country"])
        if land is None:
            problems.append(f"{item.name}: the country {item.facts['country']!r} is not in countries.csv")
            continue
        for attribute in ("continent", "language", "currency"):
            value, right = item.facts.get(attribute), getattr(land, attribute)
            if value is not None and value != right:
                problems.append(f"{item.name}: {attribute} is {value!r}, but that of {land.name} is {right!r}")
    for kind in KINDS:
        used = {item.facts["country"] for item in items if item.kind == kind}
        problems += [f"{name} has no {kind}" for name in sorted(set(lands) - used)]
    return problems


def _person_problems(persons: Sequence[Entity]) -> list[str]:
    problems = []
    fields: dict[str, Counter[str]] = defaultdict(Counter)
    for person in persons:
        fields[person.facts["occupation"]][person.facts["field"]] += 1
        if person.facts["letter"] != person.name[:1].upper():
            problems.append(f"{person.name}: letter is {person.facts['letter']!r}, not the first of the name")
    for occupation, counts in sorted(fields.items()):
        if len(counts) > 1:
            problems.append(f"{occupation} belongs to several fields: {', '.join(sorted(counts))}")
    return problems


def _value_problems(items: Sequence[Entity], kind: str) -> list[str]:
    counts = Counter(Fact(*pair) for item in items for pair in item.facts.items())
    rare = [(fact, count) for fact, count in sorted(counts.items()) if count < MIN_ENTITIES]
    problems = [f"{fact} holds for {count} of kind {kind}, at least {MIN_ENTITIES} needed" for fact, count in rare]
    for item in items:
        if item.kind != kind:
            problems.append(f"{item.name}: kind is {item.kind!r} in the table of kind {kind!r}")
        for attribute, allowed in _TWO_VALUED.items():
            if item.facts.get(attribute, min(allowed)) not in allowed:
                problems.append(f"{item.name}: {attribute} is {item.facts[attribute]!r}, not one of {sorted(allowed)}")
    return problems
