"""Tiers check every field when they are made, and name what cannot work."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from canonlib import tiers
from canonlib.errors import ConfigError
from canonlib.tiers import WORLD, Family


def test_fields_are_overridden_and_the_tier_itself_stays() -> None:
    assert tiers.get("world", seed=7).seed == 7
    assert tiers.get("world").seed == 0
    with pytest.raises(FrozenInstanceError):
        WORLD.seed = 1  # type: ignore[misc]


def test_the_world_has_eight_sizes_in_both_architectures() -> None:
    assert all(len(f.sizes) == 8 for f in WORLD.families)
    assert {f.architecture for f in WORLD.families} == {"standard", "batchtopk"}
    assert {f.tokens for f in WORLD.families} == {"all", "entities"}
    assert not WORLD.needs_hub
    assert tiers.get("gpt2-small").needs_hub


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: tiers.get("wrold"), "unknown tier 'wrold'.*'world'"),
        (lambda: tiers.get("world", sede=1), "unknown field of tier 'world' 'sede'.*'seed'"),
        (lambda: tiers.get("world", seed=-1), "seed must be"),
        (lambda: tiers.get("world", seed=True), "seed must be"),
        (lambda: tiers.get("world", train_documents=0), "train_documents must be"),
        (lambda: tiers.get("world", meta_k=1000), "meta_k .* must not exceed"),
        (lambda: WORLD.family("standard-al"), "standard-all"),
        (lambda: replace(WORLD.families[0], sizes=(0, 32)), "sizes must be a whole number of at least 1, got 0"),
        (lambda: replace(WORLD.families[0], sizes=()), "at least one dictionary size"),
        (lambda: replace(WORLD.families[0], sizes=(64, 32)), "must ascend"),
        (lambda: replace(WORLD.families[0], lr=0.0), "lr must be above zero"),
        (lambda: replace(WORLD.families[0], steps=0), "steps must be"),
        (lambda: Family("relu", "all", (32,), (1.0,), 1, 1, 1.0), "unknown architecture 'relu'"),  # type: ignore[arg-type]
        (lambda: Family("standard", "names", (32,), (1.0,), 1, 1, 1.0), "unknown tokens 'names'"),  # type: ignore[arg-type]
        (lambda: Family("standard", "all", (32,), (), 1, 1, 1.0), "sparsities must be above zero"),
        (lambda: Family("standard", "all", (32,), (1.0, 0.0), 1, 1, 1.0), "sparsities must be above zero"),
        (lambda: Family("batchtopk", "all", (8, 32), (4, 9), 1, 1, 1.0), r"k = 9.*smallest dictionary size \(8\)"),
        (lambda: Family("topk", "all", (32,), (2.5,), 1, 1, 1.0), "whole numbers, got .2.5"),
        (lambda: Family("gated", "all", (32,), (1.0,), 1, 1, 1.0, seeds=(0, 0)), "seeds must be whole numbers"),
    ],
)
def test_bad_values_are_named(call, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        call()


def test_a_family_has_a_member_for_each_size_sparsity_and_seed() -> None:
    family = Family("gated", "all", (8, 16), (1.0, 2.0), 1, 1, 1.0, seeds=(0, 3), label="frontier")
    assert family.name == "gated-all-frontier"
    assert len(family.members) == 8
    assert family.members[0] == (8, 1.0, 0)
    assert family.members[-1] == (16, 2.0, 3)
    assert family.sparsity == 1.0
