"""Are two dictionaries alike? Cosine similarity of decoder directions, in blocks; matching needs all of it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from canonlib.errors import ConfigError, is_finite, require_positive
from canonlib.sae.needs import Need, takes
from canonlib.sae.space import require_one_space

if TYPE_CHECKING:
    from sae_lens import SAE


_BLOCK = 2048
"""Rows in one block."""
_ONE_SPACE = "Give W_dec of each to compare them all the same, or"


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Nearest decoder directions: ``cosine`` ``[n_a, k]``, highest first, and their ``index`` ``[n_a, k]`` in b."""

    cosine: torch.Tensor
    index: torch.Tensor


@torch.no_grad()
@takes(sae=Need.DIRECTIONS)
def decoder_directions(sae: SAE[Any] | torch.Tensor) -> torch.Tensor:
    """Decoder rows of an SAE, or the rows of a matrix ``[n_latents, d_model]``, scaled to unit length.

    Decoder norms carry no direction, and SAEs differ in whether theirs are folded, so every comparison starts here
    (SAELens issues 463 and 544). Norms are taken in float64; the dtype is kept, half precisions become float32.
    Raises ``ConfigError`` naming the rows that are zero or not finite, which have no direction, and for an SAE that has
    none in the space it reads, or is damaged (see ``canonlib.sae.dictionary``).

    >>> decoder_directions(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 1.0000]])
    """
    return _unit(sae)


def _unit(sae: SAE[Any] | torch.Tensor) -> torch.Tensor:
    rows = getattr(sae, "W_dec", sae).detach()
    if rows.ndim != 2 or rows.shape[0] == 0:
        raise ConfigError(f"decoder rows must be a matrix [n_latents, d_model], got shape {list(rows.shape)}.")
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    parts = rows.split(_BLOCK)  # norms and quotients are float64, a block at a time
    norms = torch.cat([torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in parts])
    bad = (~torch.isfinite(norms) | (norms == 0)).nonzero().flatten().tolist()
    if bad:
        shown = ", ".join(map(str, bad[:10])) + (", ..." if len(bad) > 10 else "")
        raise ConfigError(
            f"{len(bad)} of {len(norms)} decoder rows are zero or not finite and have no direction "
            f"(latents {shown}): leave those latents out."
        )
    unit = torch.empty_like(rows)
    for start in range(0, len(rows), _BLOCK):
        span = slice(start, start + _BLOCK)
        unit[span] = rows[span] / norms[span].unsqueeze(1)
    return unit


def _similarity(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Cosines of unit rows, ``[n_a, n_b]``: the only place where such a matrix is made."""
    return a @ b.T


def _comparable(a: SAE[Any] | torch.Tensor, b: SAE[Any] | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit rows of both, in one dtype on one device."""
    require_one_space(a, b, ("the first SAE", "the second SAE"), _ONE_SPACE)
    unit_a, unit_b = _unit(a), _unit(b)
    if unit_a.shape[1] != unit_b.shape[1]:
        raise ConfigError(
            f"the dictionaries have d_model {unit_a.shape[1]} and {unit_b.shape[1]}: directions can be compared only "
            "in one activation space."
        )
    dtype = torch.promote_types(unit_a.dtype, unit_b.dtype)
    return unit_a.to(dtype), unit_b.to(unit_a.device, dtype)


@torch.no_grad()
@takes(a=Need.DIRECTIONS, b=Need.DIRECTIONS)
def nearest(a: SAE[Any] | torch.Tensor, b: SAE[Any] | torch.Tensor, k: int = 1, block: int = _BLOCK) -> Neighbours:
    """The ``k`` directions of ``b`` nearest to each direction of ``a``, by cosine.

    ``a`` and ``b`` are SAEs or matrices ``[n_latents, d_model]``; rows are normalised first. Beside unit copies of both
    dictionaries and the answer, memory holds one ``block`` × ``block`` matrix of cosines (16 MiB in float32 at 2,048),
    never the whole of it. Among equal cosines any may be listed. Raises ``ConfigError`` for dictionaries of different
    ``d_model``, SAEs of different models or hook points (see ``canonlib.sae.space``), ``k`` above the size of ``b``, or
    ``k`` or ``block`` below 1.

    >>> found = nearest(torch.eye(3), torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 1.0]]))
    >>> found.index[:, 0].tolist()
    [1, 0, 1]
    >>> [round(value, 3) for value in found.cosine[:, 0].tolist()]
    [0.707, 1.0, 0.707]
    """
    require_positive("k", k)
    require_positive("block", block)
    unit_a, unit_b = _comparable(a, b)
    if k > len(unit_b):
        raise ConfigError(f"k = {k} neighbours asked of a dictionary of {len(unit_b)} latents: lower k.")
    parts = [_nearest_rows(rows, unit_b, k, block) for rows in unit_a.split(block)]
    return Neighbours(torch.cat([p.cosine for p in parts]), torch.cat([p.index for p in parts]))


def _nearest_rows(rows: torch.Tensor, unit_b: torch.Tensor, k: int, block: int) -> Neighbours:
    """Top k of ``rows`` in all of ``unit_b``: the running best k are merged with the best k of each block."""
    best: Neighbours | None = None
    for start in range(0, len(unit_b), block):
        cosines = _similarity(rows, unit_b[start : start + block])
        # One pass for one neighbour: topk takes half as long as the product that made the cosines.
        found, place = cosines.max(1, keepdim=True) if k == 1 else cosines.topk(min(k, cosines.shape[1]), dim=1)
        place = place + start
        if best is not None:
            found, place = torch.cat([best.cosine, found], 1), torch.cat([best.index, place], 1)
            found, order = found.topk(min(k, found.shape[1]), dim=1)
            place = place.gather(1, order)
        best = Neighbours(found, place)
    assert best is not None  # unit_b has at least one row
    return Neighbours(best.cosine.clamp(-1.0, 1.0), best.index)  # rounding can pass 1 by a few ulps


@takes(a=Need.DIRECTIONS, b=Need.DIRECTIONS)
def max_cosine(a: SAE[Any] | torch.Tensor, b: SAE[Any] | torch.Tensor, block: int = _BLOCK) -> torch.Tensor:
    """Cosine of each direction of ``a`` with the nearest direction of ``b``, ``[n_a]``; arguments and errors as in
    ``nearest``.

    >>> max_cosine(torch.eye(2), torch.tensor([[3.0, 4.0]]))
    tensor([0.6000, 0.8000])
    """
    return nearest(a, b, k=1, block=block).cosine[:, 0]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of similar directions: ``a`` and ``b`` ``[n_pairs]`` are their indices, ``cosine`` ``[n_pairs]``."""

    a: torch.Tensor
    b: torch.Tensor
    cosine: torch.Tensor


@torch.no_grad()
@takes(a=Need.DIRECTIONS, b=Need.DIRECTIONS)
def pairs_above(a: SAE[Any] | torch.Tensor, b: SAE[Any] | torch.Tensor, threshold: float, block: int = _BLOCK) -> Pairs:
    """All pairs of directions of ``a`` and ``b`` with a cosine of at least ``threshold``, by a, then b.

    Both are SAEs or matrices ``[n_latents, d_model]``. Memory as in ``nearest``, and the pairs. Raises ``ConfigError``
    for dictionaries of different ``d_model``, a ``threshold`` outside -1 ... 1 and ``block`` below 1.

    >>> pairs = pairs_above(torch.eye(3), torch.eye(3), threshold=0.7)
    >>> list(zip(pairs.a.tolist(), pairs.b.tolist()))
    [(0, 0), (1, 1), (2, 2)]
    """
    require_positive("block", block)
    _require_cosine(threshold)
    unit_a, unit_b = _comparable(a, b)
    found = [
        (i + pairs[:, 0], j + pairs[:, 1], cosines[pairs[:, 0], pairs[:, 1]])
        for i in range(0, len(unit_a), block)
        for j in range(0, len(unit_b), block)
        for cosines in [_similarity(unit_a[i : i + block], unit_b[j : j + block])]
        for pairs in [(cosines >= threshold).nonzero()]
    ]
    first, second, cosine = (torch.cat(part).cpu() for part in zip(*found, strict=True))
    order = (first * len(unit_b) + second).argsort()
    return Pairs(first[order], second[order], cosine[order].clamp(-1.0, 1.0))


@torch.no_grad()
@takes(a=Need.DIRECTIONS, b=Need.DIRECTIONS)
def shared_latents(a: SAE[Any], b: SAE[Any], threshold: float = 0.7) -> torch.Tensor:
    """Which latents of ``a`` have a partner in ``b``, bool ``[n_a]``: did two trainings find the same latents?

    Decoder directions are matched one to one so that the sum of their cosines is highest (Hungarian matching); a latent
    is shared when the cosines of its decoder direction and of its encoder direction with its partner's both reach
    ``threshold`` (a rule after Paulo and Belrose 2025, arXiv 2501.16615, who ask for 0.7). The matching needs the whole
    matrix of cosines in float64, and time that grows as the cube of the size: for dictionaries of some thousands.
    Raises ``ConfigError`` for dictionaries of different ``d_model`` and a ``threshold`` outside -1 ... 1.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> shared_latents(large, small).tolist()
    [True, True, True, True, True, True, False, False, False, False, False, False]
    """
    from scipy.optimize import linear_sum_assignment

    _require_cosine(threshold)
    written = _similarity(*_comparable(a, b)).double().cpu()
    rows, columns = (torch.from_numpy(i) for i in linear_sum_assignment(written.numpy(), maximize=True))
    read = F.cosine_similarity(a.W_enc.T.cpu()[rows].double(), b.W_enc.T.cpu()[columns].double(), dim=1)
    shared = torch.zeros(len(written), dtype=torch.bool)
    shared[rows] = (written[rows, columns] >= threshold) & (read >= threshold)
    return shared


def _require_cosine(threshold: float) -> None:
    if not is_finite(threshold) or not -1 <= threshold <= 1:
        raise ConfigError(f"threshold must lie between -1 and 1, got {threshold!r}: it is a cosine.")
