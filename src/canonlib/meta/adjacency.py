"""Do meta-latents group the latents of an SAE as the latents of a smaller SAE do? Two graphs, and what they share.

In one graph two latents are joined when they use the same meta-latent; in the other when both lie near the same latent
of a smaller SAE. The second one's threshold is set so that both have as many edges (meta-SAE post, 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from canonlib.compare import pairs_above
from canonlib.errors import ConfigError
from canonlib.meta.model import MetaSAE, meta_activations, unit_rows
from canonlib.sae.needs import Need, takes
from canonlib.sae.space import require_one_space

if TYPE_CHECKING:
    from sae_lens import SAE
    from scipy.sparse import csr_matrix

_STEP = 0.05
_HALVINGS = 30


@dataclass(frozen=True)
class Overlap:
    """Edges that two graphs on the same latents have in common."""

    n_edges: int
    """Edges of the graph of shared meta-latents."""
    n_near: int
    """Edges of the other graph: as near to ``n_edges`` as its threshold allows."""
    n_common: int
    threshold: float
    """Cosine from which a latent counts as near a latent of the smaller SAE."""
    by_chance: float
    """``share`` expected if the two graphs had nothing to do with one another."""

    @property
    def share(self) -> float:
        """Common edges as a share of each graph's (the mean of both numbers of edges); 0 without edges."""
        return 2 * self.n_common / max(self.n_edges + self.n_near, 1)


@takes(meta=Need.SUM, directions=Need.DIRECTIONS, smaller=Need.DIRECTIONS)
def shared_part_overlap(
    meta: MetaSAE, directions: SAE[Any] | torch.Tensor, smaller: SAE[Any] | torch.Tensor
) -> Overlap:
    """Edges common to "shares a meta-latent" and "near the same latent of ``smaller``", at equal numbers of edges.

    ``directions`` ``[n_latents, d_model]`` are the latents that are joined. Both graphs are kept as sparse matrices:
    the memory is that of the edges. Raises ``ConfigError`` for another d_model, model or hook point, and when no two
    latents share a meta-latent.
    """
    require_one_space(smaller, directions, ("the smaller SAE", "the SAE of the directions"))
    rows = unit_rows(directions, int(meta.sae.cfg.d_in))
    shared = _joined(_sparse((meta_activations(meta, rows) > 0).nonzero(), len(rows), meta.n_latents))
    if shared.nnz == 0:
        raise ConfigError(
            f"no two of the {len(rows)} directions share a meta-latent, so there are no edges to compare."
        )
    near, threshold = _near_graph(rows, unit_rows(smaller, rows.shape[1]), shared.nnz)
    return Overlap(
        n_edges=shared.nnz,
        n_near=near.nnz,
        n_common=shared.multiply(near).nnz,
        threshold=threshold,
        by_chance=2 * shared.nnz * near.nnz / (shared.nnz + near.nnz) / (len(rows) * (len(rows) - 1) / 2),
    )


def _near_graph(rows: torch.Tensor, others: torch.Tensor, wanted: int) -> tuple[csr_matrix, float]:
    """The graph at the threshold whose number of edges is nearest to ``wanted``, and that threshold."""

    def graph(threshold: float) -> csr_matrix:
        pairs = pairs_above(rows, others, threshold)
        return _joined(_sparse(torch.stack([pairs.a, pairs.b], 1), len(rows), len(others)))

    low = high = 1.0
    chosen, at = graph(low), low
    found = chosen
    # Down from the top until there are enough edges: a threshold too low would join all pairs and fill the memory.
    while found.nnz < wanted and low > -1.0:
        low, high = max(low - _STEP, -1.0), low
        found = graph(low)
        chosen, at = _nearer(wanted, (found, low), (chosen, at))
    for _ in range(_HALVINGS):
        if chosen.nnz == wanted:
            break
        middle = (low + high) / 2
        found = graph(middle)
        chosen, at = _nearer(wanted, (found, middle), (chosen, at))
        low, high = (middle, high) if found.nnz > wanted else (low, middle)
    return chosen, at


def _nearer(wanted: int, a: tuple[csr_matrix, float], b: tuple[csr_matrix, float]) -> tuple[csr_matrix, float]:
    """Of two graphs with their thresholds, the one whose number of edges is nearer to ``wanted``."""
    return a if abs(a[0].nnz - wanted) < abs(b[0].nnz - wanted) else b


def _sparse(entries: torch.Tensor, n_rows: int, n_columns: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    row, column = entries.cpu().numpy().T
    return csr_matrix((np.ones(len(row), dtype=np.int32), (row, column)), shape=(n_rows, n_columns))


def _joined(uses: csr_matrix) -> csr_matrix:
    """Pairs of rows (the lower first) with an entry in the same column."""
    from scipy.sparse import triu

    return triu(uses @ uses.T, k=1).astype(bool).tocsr()
