"""The path stage: from each size of a family to the next, latent by latent, with the error at every point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from canonlib.activations import Activations, documents
from canonlib.pipeline.stitching import ENGINE
from canonlib.sae.family import TrainedFamily
from canonlib.store import Build, Store, write_json, write_tensors
from canonlib.tiers import Tier

CODE = (*ENGINE, "canonlib.sae.evaluation", __name__)
ORDERS = ("greedy", "effect", "cosine", "random")
"""Orders in which novel latents are inserted; the first is the one that the figures follow."""
GROUP_THRESHOLD = 0.7
"""Decoder cosine from which latents are joined into swap groups: the meta-SAE post's, for GPT-2."""
PATH_TOKENS = 30_000
"""Evaluation tokens on which paths are walked."""
CE_DOCUMENTS = 100
"""Evaluation documents on which the model's loss is taken at a point."""
CE_POINTS = 3
"""Points of a path at which the model's loss is taken, beside the two ends and the last insertion."""


@dataclass(frozen=True, eq=False)
class StoredPath:
    """A path between two sizes; arrays are over its points, from the small SAE to the large one."""

    small: int
    large: int
    order: str
    moves: list[dict[str, Any]]
    """For each move its kind and the latents ``out`` and ``into``."""
    mse: dict[str, torch.Tensor]
    """[n_moves + 1] by bias (``stitch.path.BIASES``)."""
    l0: torch.Tensor
    size: torch.Tensor
    ce: list[dict[str, float]]
    """At some points: ``point`` and what ``sae.evaluation.ce_row`` gives there, under the best bias."""
    mse_large: float
    """The large SAE's own error on the same tokens."""

    @property
    def n_inserted(self) -> int:
        """Number of novel latents: the moves before the first swap."""
        return sum(move["kind"] == "insert" for move in self.moves)

    @property
    def n_swapped(self) -> int:
        """Point at which the last group is swapped."""
        return self.n_inserted + sum(move["kind"] == "swap" for move in self.moves)

    @property
    def n_rises(self) -> int:
        """Insertions that raised the error, under the best bias at every point."""
        return int((self.mse["best"][: self.n_inserted + 1].diff() > 0).sum())

    @property
    def climb(self) -> float:
        """How far, at most, the error lies above what the last insertion left, as a share of it; 0 when it only falls."""
        after = self.mse["best"][self.n_inserted :]
        return float(after.max() / after[0]) - 1


def orders(name: str, small: Any, large: Any, novel: list[int], effect: torch.Tensor, cosine: torch.Tensor,
           rows: Any, seed: int = 0) -> list[int]:  # fmt: skip
    """``novel`` latents in the order of that name; small and large are sources (``stitch.source``) on ``rows``."""
    from canonlib.stitch import greedy_order

    if name == "greedy":
        return greedy_order(small, large, novel, rows)
    if name == "random":
        shuffled = torch.randperm(len(novel), generator=torch.Generator().manual_seed(seed))
        return [novel[i] for i in shuffled.tolist()]
    key = {"effect": effect, "cosine": cosine}[name]
    return sorted(novel, key=lambda j: float(key[j]))


def walk_paths(
    tier: Tier, trained: TrainedFamily, sizes: Sequence[tuple[int, int]], store: Store, data: Activations,
    progress: bool = True,
) -> list[StoredPath]:  # fmt: skip
    """Every order's path for the given pairs (small, large), from the store or computed now."""
    from tqdm.auto import tqdm

    bar = tqdm(sizes, desc=f"paths {trained.family.name}", unit="pair", disable=not progress)
    return [path for small, large in bar for path in _paths(tier, trained, small, large, store, data)]


def _paths(
    tier: Tier, trained: TrainedFamily, small: int, large: int, store: Store, data: Activations
) -> list[StoredPath]:
    config = {
        "small": trained.artefact(small).key, "large": trained.artefact(large).key, "eval": data.key,
        "tokens": trained.family.tokens, "hook": tier.hook, "n_tokens": PATH_TOKENS, "threshold": GROUP_THRESHOLD,
    }  # fmt: skip

    def build(b: Build) -> None:
        summary, tensors = _measure(tier, trained, small, large, data)
        write_json(b.folder / "paths.json", summary)
        write_tensors(b.folder / "points.safetensors", tensors)

    artefact = store.get_or_build("path", config, build, code=list(CODE))
    summary, tensors = artefact.json("paths.json"), artefact.tensors("points.safetensors")
    return [
        StoredPath(
            small, large, name, one["moves"], {b: tensors[f"{name}.mse.{b}"] for b in one["biases"]},
            tensors[f"{name}.l0"], tensors[f"{name}.size"], one["ce"], one["mse_large"],
        )
        for name, one in summary.items()
    ]  # fmt: skip


def _measure(
    tier: Tier, trained: TrainedFamily, small: int, large: int, data: Activations
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from canonlib.compare import max_cosine
    from canonlib.stitch import classify, insertion_effects, plan, source, swap_groups, walk

    rows = data.eval.only(trained.family.tokens).activations[:PATH_TOKENS]
    a, b = trained.sae(small), trained.sae(large)
    effects, cosine = insertion_effects(a, b, rows), max_cosine(b, a)
    novel = classify(effects).novel
    rest = (~novel).nonzero()[:, 0].tolist()
    groups = swap_groups(a, b, GROUP_THRESHOLD, of_large=rest)
    ours, theirs = source(a, rows), source(b, rows)
    summary: dict[str, Any] = {}
    tensors: dict[str, torch.Tensor] = {}
    for name in ORDERS:
        inserted = orders(name, ours, theirs, novel.nonzero()[:, 0].tolist(), effects.delta_mse, cosine, rows)
        path = walk(ours, theirs, plan(small, large, inserted, groups), rows)
        summary[name] = {
            "moves": [{"kind": m.kind, "out": list(m.out), "into": list(m.into)} for m in path.moves],
            "biases": list(path.mse),
            "ce": _losses(tier, path, len(inserted), trained.family.tokens) if name == ORDERS[0] else [],
            "mse_large": effects.mse_large,
        }
        tensors |= {f"{name}.mse.{bias}": values for bias, values in path.mse.items()}
        tensors |= {f"{name}.l0": path.l0, f"{name}.size": path.size}
    return summary, tensors


def _losses(tier: Tier, path: Any, n_inserted: int, which: str) -> list[dict[str, float]]:
    """The model's loss at both ends, at the last insertion and at some points between."""
    from canonlib.sae.evaluation import ce_bounds, ce_row
    from canonlib.world import model

    lm, tokens, last = model.load(), documents(tier, "eval")[:CE_DOCUMENTS], len(path.moves)
    points = {0, n_inserted, last, *(round(last * i / (CE_POINTS + 1)) for i in range(1, CE_POINTS + 1))}
    bounds = ce_bounds(lm, tokens, tier.hook, which)
    return [{"point": p, **ce_row(lm, path.sae(p), tokens, tier.hook, which, bounds)} for p in sorted(points)]
