"""The family stage: one meta-SAE on the decoders of all sizes, and the base's meta-SAE beside the smaller SAEs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from canonlib.pipeline import metastage
from canonlib.sae.selectivity import selectivity
from canonlib.store import Artefact, Build, none_for_nan, write_json, write_tensors

if TYPE_CHECKING:
    from canonlib.meta import Dictionaries, MetaSAE, splitting
    from canonlib.meta.model import MetaSAE as Trained
    from canonlib.pipeline.run import Run

CODE = (*metastage.CODE, __name__)
TUNING = 500
"""Steps of fine-tuning in the replacement test."""
POOL = 1 / 8
"""The replacement test draws on SAEs of up to this share of the base's size (paper: 768 to 6,144 of 49,152)."""


@dataclass(frozen=True)
class MetaFamily:
    """The stage's outcome."""

    artefact: Artefact
    run: Run

    @cached_property
    def meta(self) -> Trained:
        """The meta-SAE trained on all sizes together."""
        from canonlib.meta import MetaSAE

        return MetaSAE.load(self.artefact.folder / "meta")

    @cached_property
    def rows(self) -> splitting.Dictionaries:
        """The decoder directions of all sizes, latents that fire in training alone."""
        from canonlib.meta import stack

        family = self.run.family(metastage.BASE)
        alive = self.artefact.tensors("alive.safetensors")
        return stack(family.saes(), {size: alive[str(size)] for size in family.sizes})

    @property
    def summary(self) -> dict[str, Any]:
        """``sizes``: for each size ``n`` latents, mean ``parts`` and ``residual``; ``splits``; ``replaced``; ``overlap``."""
        found: dict[str, Any] = self.artefact.json("summary.json")
        return found


def family_stage(run: Run) -> MetaFamily:
    """From the store or made now."""
    made = run.store.get_or_build("meta-family", config(run), lambda b: _build(b, run), code=list(CODE))
    return MetaFamily(made, run)


def config(run: Run) -> dict[str, Any]:
    """What the stage depends on."""
    family = run.family(metastage.BASE)
    return {
        "saes": [family.artefact(size).key for size in family.sizes],
        "base": metastage.meta_key(run),
        "meta": asdict(metastage.meta_config(run.tier)),
    }


def _build(b: Build, run: Run) -> None:
    from canonlib.meta import count_splits, stack, train_meta_sae

    family, mentions = run.family(metastage.BASE), run.data.train.only("entities")
    saes = family.saes()
    alive = {size: selectivity(sae, mentions).fires > 0 for size, sae in saes.items()}
    rows, latents = stack(saes, alive), {size: sae.W_dec.detach()[alive[size]] for size, sae in saes.items()}
    meta = train_meta_sae(rows.rows, metastage.meta_config(run.tier), progress=False)
    meta.save(b.folder / "meta")
    write_tensors(b.folder / "alive.safetensors", {str(size): mask for size, mask in alive.items()})
    found = {
        "variance_explained": meta.report.variance_explained,
        "sizes": _by_size(meta, rows),
        "splits": none_for_nan(asdict(count_splits(meta, rows))),
        "replaced": _replaced(run, latents),
        "overlap": _overlaps(run, latents),
    }
    write_json(b.folder / "summary.json", found)


def _by_size(meta: MetaSAE, rows: Dictionaries) -> list[dict[str, float]]:
    from canonlib.meta import meta_activations

    active = meta_activations(meta, rows.rows)
    parts, left = (active > 0).sum(1).double(), (rows.rows - meta.sae.decode(active)).norm(dim=1).double()
    return [
        {"size": size, "n": len(own), "parts": float(parts[own].mean()), "residual": float(left[own].mean())}
        for size in rows.sizes
        for own in [rows.of(size)]
    ]


def _base(run: Run) -> tuple[MetaSAE, torch.Tensor]:
    """The base's meta-SAE and the rows that it was trained on."""
    return run.meta_of(0).meta, metastage.base_rows(run)


def _replaced(run: Run, latents: dict[int, torch.Tensor]) -> dict[str, float]:
    """Variance explained after fine-tuning the encoder: own directions, nearest of smaller SAEs, nearest of random ones.

    ``latents`` holds, for each size, the decoder rows ``[n_alive, d_model]`` of the latents that fire.
    """
    from canonlib.meta import random_directions, replace_parts

    meta, rows = _base(run)
    smaller = [rows_of for n, rows_of in latents.items() if n <= POOL * run.tier.meta_base]
    if not smaller:
        return {}
    pool = torch.cat(smaller)
    pools = {"own": None, "smaller": pool, "random": random_directions(pool, run.tier.seed)}
    found = {
        name: replace_parts(meta, rows, those, run.tier.meta_steps or TUNING, progress=False).report.variance_explained
        for name, those in pools.items()
    }
    return {**found, "n_pool": len(pool)}


def _overlaps(run: Run, latents: dict[int, torch.Tensor]) -> list[dict[str, float]]:
    """For each smaller size, what the two graphs have in common; ``latents`` as for ``_replaced``."""
    from canonlib.meta import shared_part_overlap

    meta, rows = _base(run)
    told = []
    for size in (n for n in latents if n < run.tier.meta_base):
        found = shared_part_overlap(meta, rows, latents[size])
        told.append({"size": size, "share": found.share, **asdict(found)})
    return told
