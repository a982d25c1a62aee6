"""Scores of parts against facts, on planted truths and against a count by hand."""

from __future__ import annotations

import math

import pytest
import torch

from canonlib.errors import ConfigError
from canonlib.meta import fates, name_meta_latents, rare_facts, score_parts

N_ENTITIES, COPIES = 60, 2


def planted(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Facts of 60 entities with two latents each: ``holds`` ``[120, 4]``, ``entities`` and ``kinds`` ``[120]``."""
    generator = torch.Generator().manual_seed(seed)
    facts = torch.rand(N_ENTITIES, 4, generator=generator) < 0.3
    entities = torch.arange(N_ENTITIES).repeat_interleave(COPIES)
    return facts[entities], entities, (entities >= 40).long()


def noise(n: int, m: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, m, generator=torch.Generator().manual_seed(seed)) < 0.3


def test_parts_that_are_the_facts_say_the_whole_truth() -> None:
    holds, entities, kinds = planted()
    found = score_parts(holds, holds, entities, kinds)
    assert (found.precision, found.recall, found.named) == (1.0, 1.0, 1.0)
    assert found.n_pairs == int(holds.sum())
    assert 0.2 < found.chance < 0.45 and found.lift == pytest.approx(1 / found.chance)


def test_meaningless_parts_have_no_names() -> None:
    holds, entities, kinds = planted()
    found = score_parts(noise(N_ENTITIES, 4)[entities], holds, entities, kinds)
    assert found.named < 0.3
    assert found.recall < 0.3
    silent = score_parts(torch.zeros(120, 4, dtype=torch.bool), holds, entities, kinds)
    assert math.isnan(silent.precision) and silent.recall == 0.0 and silent.n_pairs == 0
    assert silent.to_json()["precision"] is None and silent.to_json()["lift"] is None


def test_an_entity_does_not_choose_the_names_it_is_judged_by() -> None:
    holds, entities, kinds = planted()
    generator = torch.Generator().manual_seed(3)
    flipped = torch.rand(120, 4, generator=generator) < 0.15  # parts that are facts, with mistakes
    uses = torch.cat([holds ^ flipped, noise(120, 4, seed=5)], 1)
    found = score_parts(uses, holds, entities, kinds, n_permutations=100)
    fold = (torch.randperm(N_ENTITIES, generator=torch.Generator().manual_seed(0)) % 5)[entities]
    said = right = 0
    for f in range(5):
        out = fold == f
        assert not set(entities[out].tolist()) & set(entities[~out].tolist())
        names = name_meta_latents(uses[~out], holds[~out], list("0123"), entities[~out], 100, 0, kinds[~out])
        for name in names:
            for i in (out & uses[:, name.meta_latent]).nonzero()[:, 0] if name.beyond_chance else []:
                said, right = said + 1, right + bool(holds[i, int(str(name.fact))])
    assert found.n_pairs == said and found.precision == pytest.approx(right / said)
    assert 0.6 < found.precision < 1
    everyone = name_meta_latents(uses, holds, list("0123"), entities, 100, 0, kinds)
    flattered = sum(int(uses[:, n.meta_latent].sum()) for n in everyone if n.beyond_chance)
    assert found.n_pairs != flattered, "names from all entities are other names"


def test_known_names_are_counted_as_by_hand() -> None:
    holds, entities, kinds = planted()
    uses = noise(120, 3)
    known = torch.tensor([2, 0, 2])
    found = score_parts(uses, holds, entities, kinds, known=known)
    right = sum(bool(holds[i, known[p]]) for i in range(120) for p in range(3) if uses[i, p])
    assert found.n_pairs == int(uses.sum()) and found.precision == pytest.approx(right / int(uses.sum()))
    said = {(i, int(known[p])) for i in range(120) for p in range(3) if uses[i, p] and holds[i, known[p]]}
    assert found.recall == pytest.approx(len(said) / int(holds.sum()))
    rates = [[float(holds[kinds == k][:, f].double().mean()) for f in range(4)] for k in (0, 1)]
    expected = sum(rates[int(kinds[i])][int(known[p])] for i in range(120) for p in range(3) if uses[i, p])
    assert found.chance == pytest.approx(expected / int(uses.sum()))


def test_chance_is_taken_within_kinds() -> None:
    # A part that says "city", named by a fact of all cities, is always right and no better than chance.
    entities = torch.arange(40)
    kinds = (entities >= 20).long()
    holds = (kinds == 1)[:, None]
    found = score_parts(holds.clone(), holds, entities, kinds, known=torch.tensor([0]))
    assert found.precision == found.chance == found.lift == 1.0


def test_rare_facts_are_rare_in_every_kind() -> None:
    kinds = torch.tensor([0] * 6 + [1] * 3)
    holds = torch.zeros(9, 3, dtype=torch.bool)
    holds[:2, 0] = True  # a third of the first kind
    holds[:3, 1] = True  # half of it
    holds[7:, 2] = True  # two thirds of the second kind, two ninths of all
    assert rare_facts(holds, kinds).tolist() == [True, False, False]


def test_fates_tell_what_can_be_read_from_what_is_found() -> None:
    holds, entities, kinds = planted()
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(120, 8, generator=generator) * 0.05
    rows[:, 0] += holds[:, 0].float()  # fact 0 and fact 1 are in the directions
    rows[:, 1] += holds[:, 1].float()
    uses = torch.stack([holds[:, 0], noise(N_ENTITIES, 1)[entities][:, 0]], 1)  # one part finds fact 0
    told = fates(rows, uses, holds, ["a", "b", "c", "d"], entities, kinds)
    assert [f.fact for f in told] == ["a", "b", "c", "d"]
    assert told[0].named and told[0].best_f1 == 1.0
    assert told[0].readable > 0.99 and told[1].readable > 0.99
    assert not told[1].named and told[1].best_f1 < 0.7
    assert all(0.2 < f.readable < 0.8 for f in told[2:])
    assert told[0].n_entities == len(torch.unique(entities[holds[:, 0]]))


def test_a_fact_of_too_few_entities_is_not_probed() -> None:
    _, entities, kinds = planted()
    few = torch.zeros(120, 1, dtype=torch.bool)
    few[:8] = True  # four entities
    (fate,) = fates(torch.randn(120, 4), few.clone(), few, ["few"], entities, kinds)
    assert math.isnan(fate.readable) and fate.to_json()["readable"] is None


def test_tables_that_do_not_fit_are_named() -> None:
    holds, entities, kinds = planted()
    with pytest.raises(ConfigError, match="entities holds 7 latents and uses 120"):
        score_parts(holds, holds, entities[:7], kinds)
    with pytest.raises(ConfigError, match="kinds holds 7 latents"):
        score_parts(holds, holds, entities, kinds[:7])
    with pytest.raises(ConfigError, match=r"at least one fact, got shape \[120, 0\]"):
        score_parts(holds, holds[:, :0], entities, kinds)
    for known in (torch.tensor([0, 1]), torch.tensor([0, 1, 2, 4])):
        with pytest.raises(ConfigError, match="known must name one of 4 facts for each of 4 parts"):
            score_parts(holds, holds, entities, kinds, known=known)


def test_bad_folds_are_named() -> None:
    holds, entities, kinds = planted()
    for folds in (1, 61):
        with pytest.raises(ConfigError, match=r"folds must be from 2 to the number of entities \(60\)"):
            score_parts(holds, holds, entities, kinds, folds=folds)
