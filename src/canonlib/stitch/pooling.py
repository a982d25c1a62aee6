"""The latents of several SAEs on the same tokens: what any dictionary put together from them leaves unexplained.

A latent i, of any of the SAEs, adds f_i(t) d_i to the reconstruction of token t. A dictionary z of such latents leaves
the residual R = X - Σ_z f d, before any decoder bias, and under the bias b the squared error

    SSE(z, b) = q - 2 b·s + n |b|²,    q = Σ_t |R(t)|²,    s = Σ_t R(t)

which is least at b = s / n. Put latent i in, and with the projections p_i = Σ_t f_i R·d_i

    q changes by -2 p_i + G_ii,    s by -F_i d_i,    and every p_j by -G_ij,    where F_i = Σ_t f_i

and G_ij = d_i·d_j Σ_t f_i(t) f_j(t) is how much two latents do the same on the same tokens; taken out, with the other
sign. G, F and the first p come from one pass over the data. After it no token is looked at again: the error of any
dictionary, the effect of any change and any number of paths are sums over rows of G. All of it is float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.sae.entries import dots
from canonlib.sae.needs import Need, takes
from canonlib.sae.outliers import Outliers
from canonlib.sae.streaming import blocks, encoded, require_activations, require_sums
from canonlib.stitch.active import active, rows_per_block
from canonlib.stitch.assembly import checked_latents
from canonlib.stitch.support import one_space

if TYPE_CHECKING:
    from sae_lens import SAE
    from scipy.sparse import csr_array

Array = np.ndarray[Any, Any]
"""float64 or whole numbers; shapes stand where it is used."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Several SAEs' latents, numbered through: those of the first SAE, then those of the second. ``pool`` makes it."""

    saes: tuple[SAE[Any], ...]
    starts: tuple[int, ...]
    """Number of each SAE's first latent; the last entry is the number of latents in all, N."""
    rows: Array
    """[N, d_model] decoder directions, as the SAEs add them."""
    gram: csr_array
    """[N, N] G: dot products of the latents' outputs, summed over tokens."""
    sums: Array
    """[N] F: summed activations."""
    fires: Array
    """[N] tokens on which the latent fires."""
    projection: Array
    """[N] p for the empty dictionary."""
    squares: float
    """q for the empty dictionary: the tokens' squared norms, summed."""
    total: Array
    """[d_model] s for the empty dictionary: the sum of the tokens."""
    n_tokens: int

    def sizes(self) -> tuple[int, ...]:
        """Dictionary size of each SAE."""
        return tuple(b - a for a, b in zip(self.starts, self.starts[1:], strict=False))

    def numbers(self, sae: int, latents: Iterable[int]) -> list[int]:
        """The pool's numbers of these latents of one SAE; ``ConfigError`` for one repeated or out of range."""
        checked = checked_latents(list(latents), self.sizes()[sae], self.role(sae))
        return [self.starts[sae] + j for j in checked]

    def require_pair(self) -> None:
        """Raise ``ConfigError`` unless the pool is of two SAEs, a small and a large one."""
        if len(self.saes) != 2:
            raise ConfigError(f"this leads from one SAE to another: the pool holds {len(self.saes)} SAEs, not 2.")

    def role(self, sae: int) -> str:
        """What messages call that SAE: the small and the large one of a pair, else by its place."""
        return ("small SAE", "large SAE")[sae] if len(self.saes) == 2 else f"SAE {sae}"

    @cached_property
    def b_dec(self) -> Array:
        """[n_saes, d_model] the SAEs' decoder biases."""
        return np.stack([sae.b_dec.detach().double().cpu().numpy() for sae in self.saes])

    @cached_property
    def writes(self) -> Array:
        """[N, d_model] what each latent adds in all, F_i d_i: the sum s falls by it when the latent is put in."""
        return self.sums[:, None] * self.rows

    @cached_property
    def own_writes(self) -> Array:
        """[N] squared norms of ``writes``."""
        found: Array = (self.writes**2).sum(1)
        return found

    @cached_property
    def own(self) -> Array:
        """[N] the diagonal of ``gram``: squared norms of the latents' outputs, summed over tokens."""
        found: Array = self.gram.diagonal()
        return found


@torch.no_grad()
@takes(saes=Need.INDEPENDENT)
def pool(
    saes: Sequence[SAE[Any]], activations: Any, batch_size: int = 4096, progress: bool = False,
    max_norm: float | None = None, tell: Callable[[str], None] | None = None,
) -> Pool:  # fmt: skip
    """Measure the latents of ``saes`` together on ``activations`` ``[n_tokens, d_model]``.

    Cost: encoding the data with every SAE, Σ_t L0(t)² for the latents that fire together, and d_model for each pair
    that ever does. Memory: some 40 bytes for each active entry and each such pair (at most N²; 100 million or so for a
    pair of GPT-2's larger SAEs on 16,000 tokens). max_norm: leave out tokens whose norm is more than this many times
    the median; without it, outliers that outweigh the others are told to ``tell`` (by default a ``UserWarning``).
    Raises ``ConfigError`` for no SAEs, a ``batch_size`` below 1, for SAEs whose latents depend on one another, that
    rescale their input or do not share one space (``stitch.support``), and for activations that do not suit.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> both = pool([small, large], truth.activations)
    >>> both.sizes(), both.gram.shape
    ((6, 12), (18, 18))
    """
    from tqdm.auto import tqdm

    if not saes:
        raise ConfigError("a pool needs at least one SAE, got none.")
    for i, sae in enumerate(saes[1:], 2):
        one_space(saes[0], sae, (f"SAE 1 of {len(saes)}", f"SAE {i}"))
    require_positive("batch_size", batch_size)
    n_tokens = require_activations(activations, saes[0].cfg.d_in)
    gathered, outliers = _Gathered(saes), Outliers(activations, max_norm)
    n_rows = rows_per_block(batch_size, max(sae.cfg.d_sae for sae in saes), saes[0].W_dec.device)
    stream, n_blocks = blocks(activations, n_rows), -(-n_tokens // n_rows)
    for block in tqdm(stream, total=n_blocks, desc="pool latents", unit="block", disable=not progress):
        ordinary, _ = outliers.split(block)
        gathered.add(ordinary if outliers.leaves_out else block)
    outliers.require_some()
    outliers.tell("the error of every mixture", tell=tell)
    return gathered.pool(n_tokens - outliers.n_far * outliers.leaves_out)


class _Gathered:
    """What the pass over the data has found so far."""

    def __init__(self, saes: Sequence[SAE[Any]]) -> None:
        self.saes = tuple(saes)
        self.starts = tuple(np.cumsum([0, *(sae.cfg.d_sae for sae in saes)]).tolist())
        self.w_dec = [sae.W_dec.detach().double().cpu() for sae in saes]
        self.projection = torch.zeros(self.starts[-1], dtype=torch.float64)
        self.total = torch.zeros(saes[0].cfg.d_in, dtype=torch.float64)
        self.squares = 0.0
        self.parts: list[csr_array] = []

    def add(self, block: torch.Tensor) -> None:
        from scipy.sparse import csr_array, hstack

        x, found = block.double(), []
        for sae, w_dec, start in zip(self.saes, self.w_dec, self.starts, strict=False):
            one = active(encoded(sae, block.to(sae.W_dec.device)).double().cpu(), dense_above=2.0)
            self.projection[start : start + len(w_dec)] += one.projection(x, w_dec)
            index = (one.value.numpy(), one.latent.numpy().astype(np.int32), one.offsets.numpy().astype(np.int32))
            found.append(csr_array(index, shape=one.shape))
        self.parts.append(hstack(found, format="csr"))
        self.total += x.sum(0)
        self.squares += float(x.square().sum())

    def pool(self, n_tokens: int) -> Pool:
        from scipy.sparse import vstack

        require_sums(self.squares, self.projection)
        fires: csr_array = vstack(self.parts, format="csr")
        self.parts.clear()
        rows = torch.cat(self.w_dec)
        together = (fires.T.tocsr() @ fires).tocsr()
        index = (torch.from_numpy(together.indptr).long(), torch.from_numpy(together.indices).long())
        together.data *= dots(*index, rows, rows).numpy()
        return Pool(
            self.saes, self.starts, rows.numpy(), together, np.asarray(fires.sum(axis=0)).reshape(-1),
            np.bincount(fires.indices, minlength=self.starts[-1]), self.projection.numpy(), self.squares,
            self.total.numpy(), n_tokens,
        )  # fmt: skip
