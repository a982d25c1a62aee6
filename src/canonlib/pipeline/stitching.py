"""The stitching stage: for each pair of neighbouring sizes, every latent's insertion effect and max cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import torch

from canonlib.activations import Activations
from canonlib.sae.family import TrainedFamily
from canonlib.store import Build, Store, write_json, write_tensors

if TYPE_CHECKING:
    from sae_lens import SAE

ENGINE = ("canonlib.stitch", "canonlib.compare", "canonlib.rows", "canonlib.sae.metrics", "canonlib.sae.entries",
          "canonlib.sae.outliers", "canonlib.sae.streaming")  # fmt: skip
"""What decides every stitching result; each stage adds its own room."""
CODE = (*ENGINE, __name__)


@dataclass(frozen=True, eq=False)
class Pair:
    """Inserting the latents of a large SAE into the next smaller one."""

    small: int
    large: int
    summary: dict[str, Any]
    """mse_small, mse_large, mse_all_novel, auc, threshold, share_novel, n_novel, n_reconstruction, n_silent, l0_..."""
    delta_mse: torch.Tensor
    """[n_latents of the large SAE] change of the small SAE's MSE."""
    cosine: torch.Tensor
    """[n_latents] maximum decoder cosine with the small SAE."""
    nearest: torch.Tensor
    """[n_latents] the small SAE's latent of that cosine."""
    fires: torch.Tensor
    """[n_latents] tokens on which the latent fires."""


def neighbours(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Each size with the next larger one."""
    return list(pairwise(sizes))


def doublings(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Each size with its double, where the family has it."""
    return [(n, 2 * n) for n in sizes if 2 * n in sizes]


def all_pairs(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Each size with every larger one."""
    return list(combinations(sizes, 2))


def stitch_pairs(
    trained: TrainedFamily, sizes: Sequence[tuple[int, int]], store: Store, data: Activations, progress: bool = True,
    seed: int | None = None,
) -> list[Pair]:  # fmt: skip
    """The given pairs (small, large) of a family's sizes, on the evaluation split, from the store or computed now.

    Both SAEs are of ``seed``, the family's first by default.
    """
    from tqdm.auto import tqdm

    bar = tqdm(sizes, desc=f"stitch {trained.family.name}", unit="pair", disable=not progress)
    return [_pair(trained, small, large, seed, store, data) for small, large in bar]


def _pair(trained: TrainedFamily, small: int, large: int, seed: int | None, store: Store, data: Activations) -> Pair:
    a, b = (trained.artefact(n, seed=seed).key for n in (small, large))
    config = {"small": a, "large": b, "eval": data.key, "tokens": trained.family.tokens}

    def build(b: Build) -> None:
        summary, tensors = _measure(trained.sae(small, seed=seed), trained.sae(large, seed=seed), trained, data)
        write_json(b.folder / "summary.json", summary)
        write_tensors(b.folder / "latents.safetensors", tensors)

    artefact = store.get_or_build("stitch", config, build, code=list(CODE))
    return Pair(small, large, artefact.json("summary.json"), **artefact.tensors("latents.safetensors"))


def _measure(
    a: SAE[Any], b: SAE[Any], trained: TrainedFamily, data: Activations
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from canonlib.compare import nearest
    from canonlib.sae.metrics import reconstruction
    from canonlib.stitch import classify, cosine_predictor, insert, insertion_effects

    rows = data.eval.only(trained.family.tokens).activations
    effects = insertion_effects(a, b, rows)
    near, classes = nearest(b, a), classify(effects)
    cosine = near.cosine[:, 0]
    predictor = cosine_predictor(cosine, effects)
    stitched = reconstruction(insert(a, b, classes.novel.nonzero()[:, 0].tolist()), rows)
    summary = {
        "small": a.cfg.d_sae,
        "large": b.cfg.d_sae,
        "mse_small": effects.mse_small,
        "mse_large": effects.mse_large,
        "mse_all_novel": stitched.mse,
        "l0_small": reconstruction(a, rows).l0,
        "l0_all_novel": stitched.l0,
        "auc": predictor.auc,
        "threshold": predictor.threshold,
        "accuracy": predictor.accuracy,
        "share_novel": classes.share_novel,
        "n_novel": classes.n_novel,
        "n_reconstruction": classes.n_reconstruction,
        "n_silent": classes.n_silent,
    }
    tensors = {"delta_mse": effects.delta_mse, "cosine": cosine, "nearest": near.index[:, 0], "fires": effects.fires}
    return summary, {k: v.contiguous() for k, v in tensors.items()}
