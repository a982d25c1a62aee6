"""The fact tables: their consistency, facts typed a second time, bad input, and that the checker finds errors."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from importlib import resources
from pathlib import Path

import pytest

from canonlib.errors import ConfigError
from canonlib.world import table
from canonlib.world.table import Entity, Fact

FIELDS = {
    "science": {"physicist", "chemist", "mathematician", "biologist", "astronomer"},
    "music": {"composer", "singer"},
    "art": {"painter"},
    "literature": {"writer"},
    "philosophy": {"philosopher"},
    "film": {"actor", "director"},
    "sport": {"footballer"},
    "politics": {"politician"},
    "exploration": {"explorer"},
}

# Typed from memory, apart from the tables.
TRUE_FACTS = [
    ("Einstein", dict(country="Germany", occupation="physicist", century="nineteenth", laureate="yes")),
    ("Curie", dict(country="Poland", occupation="physicist", century="nineteenth", laureate="yes", pronoun="she")),
    ("Mozart", dict(country="Austria", occupation="composer", century="eighteenth", laureate="no", letter="M")),
    ("Kahlo", dict(country="Mexico", occupation="painter", pronoun="she", continent="NorthAmerica")),
    ("Gandhi", dict(country="India", laureate="no", century="nineteenth", field="politics")),
    ("Cleopatra", dict(country="Egypt", century="antiquity", pronoun="she", continent="Africa")),
    ("Galileo", dict(country="Italy", century="sixteenth", field="science", laureate="no")),
    ("Copernicus", dict(country="Poland", century="fifteenth", occupation="astronomer")),
    ("Newton", dict(country="Britain", century="seventeenth", letter="N", pronoun="he")),
    ("Churchill", dict(laureate="yes", country="Britain", field="politics")),
    ("Tolstoy", dict(laureate="no", country="Russia", field="literature")),
    ("Dylan", dict(laureate="yes", occupation="singer", country="USA", field="music")),
    ("Borges", dict(laureate="no", country="Argentina", continent="SouthAmerica", century="nineteenth")),
    ("Confucius", dict(country="China", century="antiquity", occupation="philosopher")),
    ("Marta", dict(country="Brazil", occupation="footballer", pronoun="she", field="sport")),
    ("Tereshkova", dict(country="Russia", occupation="explorer", pronoun="she", century="twentieth")),
    ("Kurosawa", dict(country="Japan", occupation="director", field="film", continent="Asia")),
    ("Cervantes", dict(country="Spain", century="sixteenth", occupation="writer")),
    ("Zidane", dict(country="France", letter="Z", occupation="footballer")),
    ("Plato", dict(country="Greece", field="philosophy", century="antiquity")),
    ("Paris", dict(country="France", capital="yes", coastal="no", currency="Euro")),
    ("Tokyo", dict(country="Japan", capital="yes", coastal="yes", currency="Yen", language="Japanese")),
    ("Cairo", dict(country="Egypt", capital="yes", coastal="no", language="Arabic", currency="Pound")),
    ("Salzburg", dict(country="Austria", language="German", capital="no", coastal="no")),
    ("Barcelona", dict(country="Spain", language="Spanish", capital="no", coastal="yes")),
    ("Recife", dict(country="Brazil", language="Portuguese", currency="Real", coastal="yes")),
    ("Brasilia", dict(country="Brazil", capital="yes", coastal="no", continent="SouthAmerica")),
    ("Chicago", dict(country="USA", currency="Dollar", language="English", coastal="no")),
    ("Gdansk", dict(country="Poland", currency="Zloty", coastal="yes", capital="no")),
    ("Mumbai", dict(country="India", currency="Rupee", coastal="yes", continent="Asia")),
]
FALSE_FACTS = [
    ("Einstein", dict(country="Austria")),
    ("Tolstoy", dict(laureate="yes")),
    ("Curie", dict(country="Poland", laureate="no")),
    ("Rome", dict(coastal="yes")),
    ("Paris", dict(occupation="writer")),
    ("Mozart", dict(currency="Euro")),
]


def test_the_checker_finds_nothing_in_the_shipped_tables() -> None:
    assert table.check_table() == []


def test_sizes() -> None:
    assert len(table.people()) >= 300
    assert len(table.cities()) >= 120
    assert len(table.entities()) == len(table.people()) + len(table.cities())
    counts = Counter(fact for person in table.people() for fact in person.facts.items())
    assert counts["laureate", "yes"] >= 25
    assert counts["pronoun", "she"] >= 60


# The next five repeat what check_table looks at, on the files themselves and without its code.
def raw(file: str) -> list[dict[str, str]]:
    with (Path(table.__file__).parent / file).open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_each_value_has_eight_entities_of_its_kind() -> None:
    for file in ("people.csv", "cities.csv"):
        for column in set(raw(file)[0]) - {"name", "full_name"}:
            counts = Counter(row[column] for row in raw(file))
            assert min(counts.values()) >= 8, (file, column, counts)
            assert len(counts) >= 2


def test_names_are_one_unique_token_and_no_value() -> None:
    names = [row["name"] for file in ("people.csv", "cities.csv") for row in raw(file)]
    assert len({name.lower() for name in names}) == len(names)
    values = {v for file in ("people.csv", "cities.csv") for r in raw(file) for k, v in r.items() if "name" not in k}
    values |= {value for row in raw("countries.csv") for value in row.values()}
    assert not {name.lower() for name in names} & {value.lower() for value in values}
    assert all(re.fullmatch("[A-Za-z]+", word) for word in {*names, *values})


def test_country_facts_agree() -> None:
    lands = {row["country"]: row for row in raw("countries.csv")}
    assert len(lands) == len(raw("countries.csv"))
    for row in raw("cities.csv"):
        assert {k: row[k] for k in ("continent", "language", "currency")}.items() <= lands[row["country"]].items()
    assert all(row["continent"] == lands[row["country"]]["continent"] for row in raw("people.csv"))
    for file in ("people.csv", "cities.csv"):
        assert {row["country"] for row in raw(file)} == set(lands)


def test_field_follows_from_occupation() -> None:
    assert all(row["occupation"] in FIELDS[row["field"]] for row in raw("people.csv"))
    assert {row["occupation"] for row in raw("people.csv")} == set.union(*FIELDS.values())


def test_letter_and_full_names() -> None:
    rows = raw("people.csv")
    assert all(row["letter"] == row["name"][0] and row["letter"].isupper() for row in rows)
    assert len({row["full_name"] for row in rows}) == len(rows)


@pytest.mark.parametrize(("name", "true"), TRUE_FACTS, ids=[name for name, _ in TRUE_FACTS])
def test_facts_typed_a_second_time(name: str, true: dict[str, str]) -> None:
    assert table.holds(name, **true)
    assert true.items() <= table.facts(name).items()


@pytest.mark.parametrize(("name", "false"), FALSE_FACTS, ids=[name for name, _ in FALSE_FACTS])
def test_what_is_false_does_not_hold(name: str, false: dict[str, str]) -> None:
    assert not table.holds(name, **false)


def test_one_capital_for_each_country_that_has_one() -> None:
    capitals = {city.facts["country"]: city.name for city in table.entities_with(capital="yes")}
    assert len(table.entities_with(capital="yes")) == len(capitals) == 14
    assert capitals["Germany"] == "Berlin" and capitals["Greece"] == "Athens" and capitals["China"] == "Beijing"
    assert capitals["Britain"] == "London" and capitals["USA"] == "Washington" and capitals["Poland"] == "Warsaw"
    assert set(table.countries()) - set(capitals) == {"Argentina", "India", "Mexico"}


def test_countries() -> None:
    lands = table.countries()
    assert lands["Japan"] == table.Country("Japan", "Asia", "Japanese", "Yen", "Japanese")
    assert lands["Brazil"] == table.Country("Brazil", "SouthAmerica", "Portuguese", "Real", "Brazilian")
    lands.clear()
    assert table.countries(), "the caller's dictionary is a copy"


def test_entities_cannot_be_changed() -> None:
    einstein = table.entity("Einstein")
    assert (einstein.kind, einstein.full_name) == ("person", "Albert Einstein")
    with pytest.raises(FrozenInstanceError):
        einstein.name = "Zweistein"  # type: ignore[misc]
    with pytest.raises(TypeError):
        einstein.facts["country"] = "France"  # type: ignore[index]
    table.facts("Einstein")["country"] = "France"
    assert table.holds("Einstein", country="Germany")
    assert len(set(table.entities())) == len(table.entities()), "entities can be put into sets"


def test_entities_with_crosses_kinds() -> None:
    german = {item.name for item in table.entities_with(country="Germany")}
    assert {"Einstein", "Munich"} <= german and not {"Curie", "Salzburg"} & german
    both = table.entities_with(occupation="physicist", pronoun="she")
    assert {item.name for item in both} == {"Curie", "Meitner", "Wu"}
    assert table.entities_with() == table.entities()


def test_attribute_values() -> None:
    everything = table.attribute_values()
    assert list(everything) == sorted(set(everything))
    assert everything.count(Fact("country", "Germany")) == 1
    assert set(table.attribute_values("person")) | set(table.attribute_values("city")) == set(everything)
    assert {fact.attribute for fact in table.attribute_values("city")} == set(table.CITY_ATTRIBUTES)
    assert {fact.attribute for fact in table.attribute_values("person")} == set(table.PERSON_ATTRIBUTES)
    assert str(Fact("country", "Germany")) == "country=Germany"


def test_truth_matrix_by_hand() -> None:
    names, facts, truth = table.truth_matrix(["Munich", "Curie"])
    assert names == ("Munich", "Curie")
    true = [{str(fact) for fact, holds in zip(facts, row, strict=True) if holds} for row in truth]
    assert true[0] == {
        "country=Germany", "continent=Europe", "language=German", "currency=Euro", "capital=no", "coastal=no",
    }  # fmt: skip
    assert true[1] == {
        "country=Poland", "continent=Europe", "occupation=physicist", "field=science", "century=nineteenth",
        "laureate=yes", "pronoun=she", "letter=C",
    }  # fmt: skip


def test_truth_matrix_of_all() -> None:
    names, facts, truth = table.truth_matrix()
    assert names == tuple(item.name for item in table.entities())
    assert facts == table.attribute_values()
    assert sum(map(sum, truth)) == 8 * len(table.people()) + 6 * len(table.cities())
    assert table.truth_matrix([]) == ((), facts, [])


@pytest.mark.parametrize("name", ["Einstien", "einstein", "Albert Einstein"])
def test_unknown_entity_suggests(name: str) -> None:
    for ask in (table.facts, table.holds, table.entity, lambda n: table.truth_matrix([n])):
        with pytest.raises(ConfigError, match=rf"unknown entity '{name}'. Did you mean 'Einstein'\?") as caught:
            ask(name)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("asked", "meant"), [("EINSTEIN", "Einstein"), ("sor juana inés de la cruz", "Juana"), ("Pelé", "Pele")]
)
def test_an_entity_is_found_by_its_full_name_or_in_capitals(asked: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"Choose from: {meant}, the {len(table.entities())} names"):
        table.facts(asked)


def test_unknown_attribute_value_and_kind() -> None:
    with pytest.raises(ConfigError, match="unknown attribute 'county'. Did you mean 'country'"):
        table.holds("Einstein", county="Germany")
    with pytest.raises(ConfigError, match="unknown attribute 'job'"):
        table.entities_with(job="painter")
    with pytest.raises(ConfigError, match="unknown value of country 'Germny'. Did you mean 'Germany'"):
        table.holds("Einstein", country="Germny")
    with pytest.raises(ConfigError, match="unknown kind 'people'.*person, city"):
        table.attribute_values("people")
    with pytest.raises(ConfigError, match="Write \\['Einstein'\\]"):
        table.truth_matrix("Einstein")


def changed(items: tuple[Entity, ...], name: str, **facts: str) -> list[Entity]:
    """The entities with some facts of one of them replaced."""
    assert any(item.name == name for item in items)
    return [replace(item, facts={**item.facts, **facts}) if item.name == name else item for item in items]


def test_the_checker_finds_planted_errors_in_facts() -> None:
    people, cities = table.people(), table.cities()
    planted = [
        (dict(cities_=changed(cities, "Paris", currency="Pound")), "Paris: currency is 'Pound'"),
        (dict(cities_=changed(cities, "Paris", language="German")), "Paris: language is 'German'"),
        (dict(cities_=changed(cities, "Cairo", continent="Asia")), "Cairo: continent is 'Asia'"),
        (dict(people_=changed(people, "Kahlo", continent="Europe")), "Kahlo: continent is 'Europe'"),
        (dict(people_=changed(people, "Kahlo", country="Narnia")), "Kahlo: the country 'Narnia' is not in"),
        (dict(people_=changed(people, "Mozart", field="sport")), "composer belongs to several fields: music, sport"),
        (dict(people_=changed(people, "Mozart", letter="C")), "Mozart: letter is 'C'"),
        (dict(people_=changed(people, "Mozart", century="fourteenth")), "century=fourteenth holds for 1"),
        (dict(people_=changed(people, "Mozart", laureate="maybe")), "Mozart: laureate is 'maybe'"),
        (dict(cities_=changed(cities, "Rome", coastal="nearly so")), "'nearly so' is not one token"),
    ]
    for tables, message in planted:
        problems = table.check_table(**tables)  # type: ignore[arg-type]
        assert any(message in problem for problem in problems), (message, problems)


def renamed(items: tuple[Entity, ...], old: str, new: str) -> list[Entity]:
    return [replace(item, name=new) if item.name == old else item for item in items]


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("Mahler", None),
        ("Monteverdi", "the name 'Monteverdi' is used 2 times"),
        ("Munich", "the name 'Munich' is used 2 times"),
        ("Mexico", "'Mexico' is both an entity and a value"),
        ("Mandarin", "'Mandarin' is both an entity and a value"),
        ("Mexican", "'Mexican' is both an entity and a value"),
        ("Mathematician", "'Mathematician' is both an entity and a value"),
        ("Merleau-Ponty", "'Merleau-Ponty' is not one token"),
        ("Mü", "'Mü' is not one token"),
    ],
)
def test_the_checker_finds_bad_names(new: str, message: str | None) -> None:
    problems = table.check_table(people_=renamed(table.people(), "Mozart", new))
    assert problems == [] if message is None else any(message in problem for problem in problems)


def test_the_checker_finds_missing_entities_and_mixed_kinds() -> None:
    few = [city for city in table.cities() if city.name != "Linz"]
    assert "country=Austria holds for 7 of kind city, at least 8 needed" in table.check_table(cities_=few)
    none = [person for person in table.people() if person.facts["country"] != "Japan"]
    assert "Japan has no person" in table.check_table(people_=none)
    mixed = [*table.people()[:-1], replace(table.people()[-1], kind="city")]
    assert any("in the table of kind 'person'" in problem for problem in table.check_table(people_=mixed))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("country,continent,language,currency\n", "countries.csv has the columns"),
        ("country,continent,language,currency,demonym\nItaly,Europe,Italian,Euro\n", "countries.csv line 2"),
        ("country,continent,language,currency,demonym\nItaly,Europe,Italian,,Italian\n", "countries.csv line 2"),
        ("country,continent,language,currency,demonym\nItaly,Europe,Italian,Euro,Italian,x\n", "countries.csv line 2"),
        ("", "countries.csv has the columns"),
        (None, "countries.csv cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "countries.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        table.read_rows(path)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "countries.csv"
    path.write_bytes(b"country\xff\n")
    with pytest.raises(ConfigError, match="countries.csv cannot be read"):
        table.read_rows(path)


def test_the_tables_and_their_provenance_lie_beside_the_module() -> None:
    folder = resources.files("canonlib.world")
    text = folder.joinpath("DATA.md").read_text(encoding="utf-8")
    sizes = f"`people.csv` ({len(table.people())} people), `cities.csv` ({len(table.cities())} cities)"
    assert sizes in text
    for column in (*table.PERSON_ATTRIBUTES, *table.CITY_ATTRIBUTES):
        assert f"`{column}`" in text, column
