"""Naming meta-latents by facts, and how much of a name is chance."""

from __future__ import annotations

import pytest
import torch

from canonlib.errors import ConfigError
from canonlib.meta import name_meta_latents

FACTS = ["country=Germany", "occupation=physicist", "letter=E"]


def planted(n: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Meta-latent 0 is fact 1, meta-latent 1 is fact 0 but for its first entity, 2 is noise and 3 is never used."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(n, len(FACTS), generator=generator) < 0.3
    active = torch.zeros(n, 4, dtype=torch.bool)
    active[:, 0] = truth[:, 1]
    active[:, 1] = truth[:, 0]
    active[int(truth[:, 0].nonzero()[0]), 1] = False
    active[:, 2] = torch.rand(n, generator=generator) < 0.3
    return active, truth


def test_names_precision_and_recall_of_planted_facts() -> None:
    active, truth = planted()
    names = name_meta_latents(active, truth, FACTS)
    holders = int(truth[:, 0].sum())
    assert [n.meta_latent for n in names] == [0, 1, 2, 3]
    assert (names[0].fact, names[0].precision, names[0].recall, names[0].f1) == (FACTS[1], 1.0, 1.0, 1.0)
    assert (names[1].fact, names[1].precision) == (FACTS[0], 1.0)
    assert names[1].recall == pytest.approx((holders - 1) / holders)
    assert names[1].n_users == holders - 1
    assert (names[3].fact, names[3].f1, names[3].n_users, names[3].p_value) == (None, 0.0, 0, 1.0)


def test_chance_tells_a_planted_name_from_a_meaningless_one() -> None:
    names = name_meta_latents(*planted(), FACTS, n_permutations=200)
    assert names[0].p_value == 1 / 201
    assert names[0].f1 > 2 * names[0].chance_f1
    assert names[2].p_value > 0.02
    # The best of three facts by chance: above the F1 of a single one (about 0.3), far below a true match.
    assert 0.3 < names[2].chance_f1 < 0.5


def test_chance_is_the_mean_over_all_ways_to_deal_the_facts() -> None:
    # One fact true of one of three entities, one user: F1 is 1 in a third of the deals and 0 in the others.
    active = torch.tensor([[True], [False], [False]])
    names = name_meta_latents(active, active.clone(), ["fact"], n_permutations=3000)
    assert names[0].chance_f1 == pytest.approx(1 / 3, abs=0.03)
    assert names[0].p_value == pytest.approx(1 / 3, abs=0.03)


def test_latents_of_one_entity_keep_its_facts_together() -> None:
    # Four latents of two entities: dealt as wholes, the facts fall on the users either all or not at all.
    active = torch.tensor([[True], [True], [False], [False]])
    together = name_meta_latents(active, active.clone(), ["f"], torch.tensor([7, 7, 9, 9]), n_permutations=2000)
    apart = name_meta_latents(active, active.clone(), ["f"], n_permutations=2000)
    assert together[0].p_value == pytest.approx(1 / 2, abs=0.04)
    assert apart[0].p_value == pytest.approx(1 / 6, abs=0.03)


def test_a_part_that_only_tells_the_kind_is_no_better_than_chance_within_kinds() -> None:
    # The user of the one meta-latent is every city; of the one fact (capital=no) all cities are true, and no person.
    city = torch.arange(40) >= 20
    active, truth = city[:, None], city[:, None].clone()
    blind = name_meta_latents(active, truth, ["capital=no"])[0]
    within = name_meta_latents(active, truth, ["capital=no"], groups=city.long())[0]
    assert blind.f1 == within.f1 == 1.0
    assert blind.p_value == 1 / 1001 and blind.chance_f1 < 0.6 and blind.beyond_chance
    assert within.chance_f1 == 1.0 and within.p_value == 1.0 and not within.beyond_chance


def test_within_kinds_each_kind_keeps_its_own_facts() -> None:
    # Two of four people have the fact and use the part, no city does: 4 choose 2 deals within people, 8 choose 2 blind.
    active = torch.tensor([[True], [True], *[[False]] * 6])
    kind = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    within = name_meta_latents(active, active.clone(), ["f"], n_permutations=3000, groups=kind)
    blind = name_meta_latents(active, active.clone(), ["f"], n_permutations=3000)
    assert within[0].p_value == pytest.approx(1 / 6, abs=0.03)
    assert blind[0].p_value == pytest.approx(1 / 28, abs=0.02)


def test_same_seed_same_names() -> None:
    active, truth = planted()
    assert name_meta_latents(active, truth, FACTS) == name_meta_latents(active, truth, FACTS)
    assert name_meta_latents(active, truth, FACTS) != name_meta_latents(active, truth, FACTS, seed=1)


def test_bad_input_is_named() -> None:
    active, truth = planted()
    with pytest.raises(ConfigError, match="facts holds 2 labels for the 3 columns"):
        name_meta_latents(active, truth, FACTS[:2])
    with pytest.raises(ConfigError, match="fires holds 60 items and labels 59"):
        name_meta_latents(active, truth[:-1], FACTS)
    with pytest.raises(ConfigError, match="n_permutations must be"):
        name_meta_latents(active, truth, FACTS, n_permutations=0)
    with pytest.raises(ConfigError, match="entities has shape"):
        name_meta_latents(active, truth, FACTS, entities=torch.arange(3))
    with pytest.raises(ConfigError, match="entity 0 has other facts"):
        name_meta_latents(active, truth, FACTS, entities=torch.zeros(60, dtype=torch.long))
    with pytest.raises(ConfigError, match="groups has shape"):
        name_meta_latents(active, truth, FACTS, groups=torch.arange(3))
    same = torch.tensor([[True], [True]])
    with pytest.raises(ConfigError, match="latent 0 is of another kind"):
        name_meta_latents(same, same, ["f"], entities=torch.tensor([5, 5]), groups=torch.tensor([0, 1]))


def test_q_values_are_benjamini_and_hochbergs() -> None:
    from canonlib.meta.naming import false_discovery

    p = torch.tensor([0.01, 0.04, 0.03, 0.9, 0.001], dtype=torch.float64)
    tested = torch.tensor([True, True, True, True, False])
    # Sorted: .01, .03, .04, .9 times 4/1, 4/2, 4/3, 4/4, each at most the next.
    expected = [0.04, 0.16 / 3, 0.16 / 3, 0.9, 1.0]
    assert false_discovery(p, tested).tolist() == pytest.approx(expected)
    assert false_discovery(p, torch.zeros(5, dtype=torch.bool)).tolist() == [1.0] * 5


def test_many_meaningless_parts_bring_hardly_a_name() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(80, 10, generator=generator) < 0.3
    active = torch.rand(80, 200, generator=generator) < 0.2
    names = name_meta_latents(active, truth, [str(i) for i in range(10)])
    assert sum(n.p_value < 0.05 for n in names) >= 4  # a p-value alone lets some pass
    assert sum(n.beyond_chance for n in names) <= 1
    active[:, :9] = truth[:, :9]
    assert all(n.beyond_chance for n in name_meta_latents(active, truth, [str(i) for i in range(10)])[:9])


def test_one_good_part_among_many_is_named() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(80, 10, generator=generator) < 0.3
    active = torch.rand(80, 64, generator=generator) < 0.2
    active[:, 5] = truth[:, 3]
    names = name_meta_latents(active, truth, [str(i) for i in range(10)])
    assert [n.meta_latent for n in names if n.beyond_chance] == [5]


def test_parts_with_one_or_two_users_are_not_tested() -> None:
    active = torch.zeros(60, 2, dtype=torch.bool)
    active[:2, 0] = active[:3, 1] = True  # two entities that alone have a fact, and three that alone have another
    two, three = name_meta_latents(active, active.clone(), ["a", "b"])
    assert two.p_value < 0.01 and two.q_value == 1.0 and not two.beyond_chance
    assert three.q_value < 0.01 and three.beyond_chance


def test_chance_counts_every_latent_of_an_entity() -> None:
    # Entity 0 has three latents, entity 1 has one; the part is one latent of each. The fact on entity 0: F1 = 2/(2 + 3);
    # on entity 1: 2/(2 + 1).
    active = torch.tensor([[True], [False], [False], [True]])
    truth = torch.tensor([[True], [True], [True], [False]])
    (name,) = name_meta_latents(active, truth, ["f"], torch.tensor([0, 0, 0, 1]), n_permutations=3000)
    assert name.f1 == pytest.approx(0.4)
    assert name.chance_f1 == pytest.approx((2 / 5 + 2 / 3) / 2, abs=0.01)
