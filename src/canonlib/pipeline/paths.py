"""The path stage: from each size of a family to the next, latent by latent, with the error at every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from canonlib.activations import Activations, documents
from canonlib.pipeline.stitching import ENGINE
from canonlib.sae.family import TrainedFamily
from canonlib.store import Build, Store, write_json, write_tensors
from canonlib.tiers import Tier

if TYPE_CHECKING:
    from sae_lens import SAE

    from canonlib.stitch import Group, InsertionEffects, Move, Path, Pool

CODE = (*ENGINE, "canonlib.sae.evaluation", __name__)
INSERTIONS = ("greedy", "effect", "cosine", "random")
"""Orders in which novel latents are inserted; swaps follow from the highest cosine down, and then the rest."""
ORDERS = (*INSERTIONS, "greedy-swaps", "free", "random-partners")
"""As well: inserted and then exchanged greedily; every move greedily, of whatever kind; and, as a control, inserted and
then exchanged greedily in groups of the same sizes whose partners are dealt out at random. The first is the one that
the figures follow.
"""
FEW = {"greedy": 10, "greedy-swaps": 10}
FULL = {"greedy": 10, "greedy-swaps": 1_000}
"""By order, at how many points of a path the model's loss is taken at most, beside its ends and the last insertion."""
GROUP_THRESHOLD = 0.7
"""Decoder cosine from which latents are joined into swap groups: the meta-SAE post's, for GPT-2."""
CE_DOCUMENTS = 50
"""Evaluation documents on which the model's loss is taken at a point."""


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
    """[n_moves + 1] active latents per token at each point."""
    size: torch.Tensor
    """[n_moves + 1] latents in the dictionary at each point."""
    ce: list[dict[str, float]]
    """At some points: ``point`` and what ``sae.evaluation.ce_row`` gives there, under the best bias."""
    mse_large: float
    """The large SAE's own error on the same tokens."""

    @property
    def n_inserted(self) -> int:
        """Number of novel latents: except in the ``free`` order, the moves before the first swap."""
        return sum(move["kind"] == "insert" for move in self.moves)

    @property
    def n_swapped(self) -> int:
        """Point at which the last group is swapped, where swaps follow insertions and precede the rest."""
        return self.n_inserted + sum(move["kind"] == "swap" for move in self.moves)

    @property
    def n_rises(self) -> int:
        """Insertions that raised the error, under the best bias at every point."""
        rose = self.mse["best"].diff() > 0
        return sum(move["kind"] == "insert" and bool(up) for move, up in zip(self.moves, rose, strict=True))

    @property
    def climb(self) -> float:
        """How far, at most, the error lies above the least before it, as a share of that; 0 when it only falls."""
        mse = self.mse["best"]
        return float((mse / mse.cummin(0).values).max()) - 1


def walk_paths(
    tier: Tier, trained: TrainedFamily, sizes: Sequence[tuple[int, int]], store: Store, data: Activations,
    progress: bool = True, seed: int | None = None, losses: Mapping[str, int] = FEW,
) -> list[StoredPath]:  # fmt: skip
    """Every order's path for the given pairs (small, large) of one seed, from the store or computed now.

    losses: by order, at how many points the model's loss is taken; none for an order that is not named.
    """
    from tqdm.auto import tqdm

    bar = tqdm(sizes, desc=f"paths {trained.family.name}", unit="pair", disable=not progress)
    return [path for small, large in bar for path in _paths(tier, trained, small, large, seed, losses, store, data)]


def _paths(
    tier: Tier, trained: TrainedFamily, small: int, large: int, seed: int | None, losses: Mapping[str, int],
    store: Store, data: Activations,
) -> list[StoredPath]:  # fmt: skip
    config = {
        "small": trained.artefact(small, seed=seed).key, "large": trained.artefact(large, seed=seed).key,
        "eval": data.key, "tokens": trained.family.tokens, "hook": tier.hook,
        "threshold": GROUP_THRESHOLD, "losses": dict(losses),
    }  # fmt: skip

    def build(b: Build) -> None:
        saes = trained.sae(small, seed=seed), trained.sae(large, seed=seed)
        summary, tensors = _measure(tier, *saes, trained.family.tokens, losses, data)
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


def planned(both: Pool, effects: InsertionEffects) -> dict[str, list[Move]]:
    """The moves from one SAE of the pool to the other in each of ``ORDERS``."""
    from canonlib.compare import max_cosine
    from canonlib.stitch import classify, greedy_moves, greedy_order, plan, swap_groups

    a, b = both.saes
    cosine, new = max_cosine(b, a), classify(effects).novel
    novel, rest = (mask.nonzero()[:, 0].tolist() for mask in (new, ~new))
    groups = swap_groups(a, b, GROUP_THRESHOLD, of_large=rest)
    shuffled = torch.randperm(len(novel), generator=torch.Generator().manual_seed(0)).tolist()
    inserted = {
        "greedy": greedy_order(both, novel),
        "effect": sorted(novel, key=lambda j: float(effects.delta_mse[j])),
        "cosine": sorted(novel, key=lambda j: float(cosine[j])),
        "random": [novel[i] for i in shuffled],
    }
    moves = {name: plan(a.cfg.d_sae, b.cfg.d_sae, order, groups) for name, order in inserted.items()}
    first, others = moves["greedy"][: len(novel)], moves["greedy"][len(novel) :]
    moves["greedy-swaps"] = [*first, *greedy_moves(both, others, done=first)]
    moves["free"] = greedy_moves(both, moves["greedy"])
    control = plan(a.cfg.d_sae, b.cfg.d_sae, inserted["greedy"], dealt(groups))[len(novel) :]
    moves["random-partners"] = [*first, *greedy_moves(both, control, done=first)]
    return moves


def dealt(groups: Sequence[Group], seed: int = 0) -> list[Group]:
    """Groups of the same sizes with the same latents, those of the large SAE dealt out at random."""
    from canonlib.stitch import Group

    partners = [j for group in groups for j in group.into]
    order = iter(torch.randperm(len(partners), generator=torch.Generator().manual_seed(seed)).tolist())
    return [Group(g.out, tuple(sorted(partners[next(order)] for _ in g.into)), 0.0) for g in groups]


def _measure(
    tier: Tier, a: SAE[Any], b: SAE[Any], which: str, losses: Mapping[str, int], data: Activations
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from canonlib.stitch import insertion_effects, pool, walk

    rows = data.eval.only(which).activations
    both, effects = pool([a, b], rows), insertion_effects(a, b, rows)
    paths = {name: walk(both, moves) for name, moves in planned(both, effects).items()}
    ce = _losses(tier, {name: (paths[name], n) for name, n in losses.items()}, which)
    summary: dict[str, Any] = {}
    tensors: dict[str, torch.Tensor] = {}
    for name, path in paths.items():
        summary[name] = {
            "moves": [{"kind": m.kind, "out": list(m.out), "into": list(m.into)} for m in path.moves],
            "biases": list(path.mse), "ce": ce.get(name, []), "mse_large": effects.mse_large,
        }  # fmt: skip
        tensors |= {f"{name}.mse.{bias}": values for bias, values in path.mse.items()}
        tensors |= {f"{name}.l0": path.l0, f"{name}.size": path.size}
    return summary, tensors


def _losses(tier: Tier, paths: Mapping[str, tuple[Path, int]], which: str) -> dict[str, list[dict[str, float]]]:
    """For each named path the model's loss at both ends, at the last insertion and at up to so many points between."""
    from canonlib.sae.evaluation import ce_bounds, ce_row
    from canonlib.world import model

    if not paths:
        return {}
    lm, tokens = model.load(), documents(tier, "eval")[:CE_DOCUMENTS]
    bounds = ce_bounds(lm, tokens, tier.hook, which)
    return {
        name: [{"point": p, **ce_row(lm, path.sae(p), tokens, tier.hook, which, bounds)} for p in _points(path, n)]
        for name, (path, n) in paths.items()
    }


def _points(path: Path, n_between: int) -> list[int]:
    """Both ends, the last insertion and up to ``n_between`` points between the ends, evenly spaced, ascending."""
    last, inserted = len(path.moves), sum(move.kind == "insert" for move in path.moves)
    return sorted({0, inserted, last, *(round(last * i / (n_between + 1)) for i in range(1, n_between + 1))})
