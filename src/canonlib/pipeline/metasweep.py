"""The sweep: variance explained against size, k and number of directions, and by the recipes that others used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from canonlib.pipeline import metastage
from canonlib.pipeline.metatruth import KS
from canonlib.store import Build, write_json

if TYPE_CHECKING:
    from canonlib.meta import MetaConfig
    from canonlib.pipeline.run import Run

CODE = (*metastage.CODE, "canonlib.pipeline.metatruth", __name__)
SIZES = (1 / 4, 1 / 2, 1, 2)
"""Numbers of meta-latents, in multiples of the tier's."""
ROWS = (1 / 4, 1 / 2, 1)
"""Shares of the directions."""


def sweep_stage(run: Run) -> dict[str, Any]:
    """Rows of the sweep and of the recipes, from the store or made now.

    ``sweep`` holds rows with what varies (``vary``: size, k or rows), ``n_latents``, ``k``, ``n_rows``,
    ``variance_explained``, ``variance_held_out``, ``variance_gaussian``, ``variance_gaussian_held_out`` and
    ``dead_fraction``; ``recipes`` rows with ``recipe``, the same variances of the real rows, ``dead_fraction``, ``l0``,
    ``trained_l0``, ``threshold``, ``trained_threshold``, ``steps``, ``batch`` (rows that a step used) and ``lr``.
    """

    def build(b: Build) -> None:
        rows = metastage.base_rows(run)
        ours = metastage.meta_config(run.tier)
        write_json(
            b.folder / "sweep.json",
            {"sweep": list(_sweep(rows, ours)), "recipes": list(_recipes(rows, ours, run.tier.meta_steps))},
        )

    made = run.store.get_or_build("meta-sweep", config(run), build, code=list(CODE))
    found: dict[str, Any] = made.json("sweep.json")
    return found


def config(run: Run) -> dict[str, Any]:
    """What the sweep depends on."""
    return {"meta": metastage.meta_key(run)}


def _sweep(rows: torch.Tensor, ours: MetaConfig) -> Iterator[dict[str, Any]]:
    from canonlib.meta import gaussian_directions, held_out_variance, train_meta_sae

    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(ours.seed))
    known: dict[tuple[MetaConfig, int], dict[str, Any]] = {}
    for vary, point, n in _points(ours, len(rows)):
        if (point, n) not in known:
            some = rows if n == len(rows) else rows[order[:n]]
            control, trained = gaussian_directions(some, point.seed), train_meta_sae(some, point, progress=False)
            known[point, n] = {
                "n_latents": point.n_latents,
                "k": point.k,
                "n_rows": n,
                "variance_explained": trained.report.variance_explained,
                "variance_held_out": held_out_variance(some, point, progress=False)[1],
                "variance_gaussian": train_meta_sae(control, point, progress=False).report.variance_explained,
                "variance_gaussian_held_out": held_out_variance(control, point, progress=False)[1],
                "dead_fraction": trained.report.dead_fraction,
            }
        yield {"vary": vary, **known[point, n]}


def _points(ours: MetaConfig, n_rows: int) -> Iterator[tuple[str, MetaConfig, int]]:
    """What varies, the recipe, and the number of rows; sizes that four fifths of the rows could not fill are left out."""
    for share in SIZES:
        size = round(ours.n_latents * share)
        if ours.k <= size < 0.8 * n_rows:
            yield "size", replace(ours, n_latents=size), n_rows
    for k in (k for k in KS if k <= ours.n_latents):
        yield "k", replace(ours, k=float(k)), n_rows
    for share in ROWS:
        if ours.n_latents < 0.8 * round(share * n_rows):
            yield "rows", ours, round(share * n_rows)


def _recipes(rows: torch.Tensor, ours: MetaConfig, steps: int | None) -> Iterator[dict[str, Any]]:
    from canonlib.meta import RECIPES, held_out_variance, recipe, train_meta_sae

    for name in RECIPES:
        theirs = recipe(name, ours.n_latents, len(rows), k=ours.k, seed=ours.seed)
        theirs = theirs if steps is None else replace(theirs, steps=steps)
        report = train_meta_sae(rows, theirs, progress=False).report
        kept = ("variance_explained", "dead_fraction", "l0", "trained_l0", "threshold", "trained_threshold")
        yield {
            "recipe": name,
            **{key: getattr(report, key) for key in kept},
            "variance_held_out": held_out_variance(rows, theirs, progress=False)[1],
            "batch": theirs.rows_per_step(len(rows)),
            **{key: getattr(theirs, key) for key in ("steps", "lr")},
        }
