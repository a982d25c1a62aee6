"""Latents beside those of smaller SAEs: the nearest directions, and novel or not against the next smaller one."""

from __future__ import annotations

from typing import Any

import torch

from canonlib.errors import ConfigError
from canonlib.explore.subject import Smaller, Subject

N_NEAR = 3
"""Latents of each smaller SAE that are listed."""
_BLOCK = 8192
"""Directions compared at once."""


def near(subject: Subject, rows: torch.Tensor, progress: bool = False) -> list[list[list[list[Any]]]]:
    """For each smaller SAE, for each of ``rows`` ``[n, d_model]`` the latents of highest cosine: [latent, cosine, name].

    Directions of length zero, on either side, are near nothing.
    """
    from tqdm.auto import tqdm

    bar = tqdm(total=len(rows) * len(subject.smaller), desc="nearest", unit="row", disable=not progress)
    found = [_near_in(smaller, rows, bar) for smaller in subject.smaller]
    bar.close()
    return found


def _near_in(smaller: Smaller, rows: torch.Tensor, bar: Any) -> list[list[list[Any]]]:
    from canonlib.compare import nearest

    directions = smaller.sae.W_dec.detach().float()
    usable, there = ((d.norm(dim=1) > 0).nonzero()[:, 0] for d in (rows, directions))
    found: list[list[list[Any]]] = [[] for _ in rows]
    if not len(usable) or not len(there):
        return found
    names = smaller.names or [""] * len(directions)
    for some in usable.split(_BLOCK):
        nearby = nearest(rows[some], directions[there], k=min(N_NEAR, len(there)))
        for j, cosines, places in zip(some.tolist(), nearby.cosine.tolist(), there[nearby.index].tolist(), strict=True):
            found[j] = [[i, round(c, 3), names[i]] for c, i in zip(cosines, places, strict=True)]
        bar.update(len(some))
    return found


def classes(subject: Subject, progress: bool = False) -> tuple[list[list[Any]] | None, str]:
    """For each latent [class, change of the next smaller SAE's MSE]; or None, and the reason why it is not known.

    The effect needs activations, and SAEs that can be stitched: a TopK SAE, whose latents depend on one another, has
    parts and neighbours, but no classes. Without a smaller SAE there is neither a class nor a reason. Raises
    ``ConfigError`` for SAEs of another d_model.
    """
    from canonlib.stitch import classify, insertion_effects, require_stitchable

    if not subject.smaller:
        return None, ""
    if subject.texts is None:
        return None, "it takes texts to measure, and there were none."
    small = subject.smaller[-1].sae
    try:
        require_stitchable(small, subject.sae)
    except ConfigError as exc:
        return None, str(exc)
    effects = insertion_effects(small, subject.sae, subject.texts.split.activations, progress=progress)
    kinds = classify(effects)
    words = zip(kinds.novel.tolist(), kinds.silent.tolist(), effects.relative.tolist(), strict=True)
    return [["novel" if new else "silent" if silent else "reconstruction", short(e)] for new, silent, e in words], ""


def short(value: float) -> float:
    """Three digits that count: the rest is noise, and fills the disk."""
    return float(f"{value:.3g}")
