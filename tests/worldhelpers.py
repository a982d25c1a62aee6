"""A tier small enough for tests: the world's own model, few documents, two small families."""

from __future__ import annotations

from typing import Any

from canonlib import tiers
from canonlib.tiers import Family, Tier


def small_tier(**overrides: Any) -> Tier:
    families = (
        Family("standard", "all", (16, 32), sparsities=(1.0,), steps=40, batch=256, lr=1e-3),
        Family("batchtopk", "entities", (16, 64), sparsities=(2,), steps=40, batch=256, lr=1e-3),
    )
    frontier = tuple(
        Family(architecture, "all", (24,), targets, steps=40, batch=256, lr=1e-3, label="frontier")
        for architecture, targets in (("batchtopk", (2, 6)), ("topk", (1, 8)), ("standard", (0.2, 5.0)))
    )
    repeats = (
        Family(
            "standard", "all", (16, 32), sparsities=(1.0,), steps=40, batch=256, lr=1e-3, seeds=(0, 1), label="seeds"
        ),
    )
    bases = Family(
        "batchtopk", "entities", (64,), sparsities=(2,), steps=40, batch=256, lr=1e-3, seeds=(0, 1), label="bases"
    )
    settings = {
        "train_documents": 80,
        "eval_documents": 40,
        "families": families,
        "frontier": frontier,
        "repeats": repeats,
        "meta_base": 64,
        "meta_latents": 16,
        "meta_bases": bases,
        "meta_steps": 30,
    }
    return tiers.get("world", **{**settings, **overrides})
