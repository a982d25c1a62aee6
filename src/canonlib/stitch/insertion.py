"""What each latent of a large SAE does to a small SAE's error when it is inserted alone.

When latents act independently, inserting latent j of the large SAE into the small one adds f_j(t) d_j to every
reconstruction, so with r(t) the small SAE's residual x - x̂ the summed squared error changes by exactly

    ΔSSE_j = Σ_t |r(t) - f_j(t) d_j|² - |r(t)|² = Σ_t (-2 f_j(t) r(t)·d_j + f_j(t)² |d_j|²)

Every latent's effect comes from one pass over the data, at the active entries only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.sae.needs import Need, takes
from canonlib.sae.outliers import Outliers
from canonlib.sae.streaming import blocks, encoded, require_activations, require_sums
from canonlib.stitch.active import active, rows_per_block
from canonlib.stitch.support import one_space

if TYPE_CHECKING:
    from sae_lens import SAE


@dataclass(frozen=True, eq=False)
class InsertionEffects:
    """Effect of inserting each latent of a large SAE, alone, into a small one.

    ``delta_mse`` ``[n_latents]`` is the change of the small SAE's MSE (per coordinate mean, float64; negative lowers
    the error); ``fires`` ``[n_latents]`` counts the tokens on which the latent is active; ``mse_small`` and
    ``mse_large`` are the two SAEs' own MSE on the same ``n_tokens`` tokens.
    """

    delta_mse: torch.Tensor
    fires: torch.Tensor
    mse_small: float
    mse_large: float
    n_tokens: int
    ordinary: InsertionEffects | None = None
    """The same on the tokens that are no outliers of norm (``canonlib.sae.outliers``); None where there are none."""

    @property
    def n_latents(self) -> int:
        """Dictionary size of the large SAE."""
        return int(self.delta_mse.shape[0])

    @property
    def silent(self) -> torch.Tensor:
        """Latents that never fired on these tokens, bool ``[n_latents]``: their effect is unknown, not zero."""
        return self.fires == 0

    @property
    def relative(self) -> torch.Tensor:
        """``delta_mse`` as a share of the small SAE's MSE, ``[n_latents]``."""
        return self.delta_mse / self.mse_small

    @property
    def mean_when_active(self) -> torch.Tensor:
        """Change of the MSE on the tokens where the latent fires, ``[n_latents]``; NaN for silent latents."""
        return self.delta_mse * self.n_tokens / self.fires


@torch.no_grad()
@takes(small=Need.INDEPENDENT, large=Need.INDEPENDENT)
def insertion_effects(
    small: SAE[Any], large: SAE[Any], activations: Any, batch_size: int = 4096, progress: bool = False,
    max_norm: float | None = None, tell: Callable[[str], None] | None = None,
) -> InsertionEffects:  # fmt: skip
    """Effect on MSE of every latent of ``large``, each inserted alone into ``small``, in one pass.

    ``activations`` are ``[n_tokens, d_model]``, a tensor or array, memory-mapped or not, streamed in blocks of at
    most ``batch_size`` tokens to the SAEs' device (fewer for wide SAEs, to bound memory: a block of the large SAE's
    latents has 2**28 entries at most on a GPU; on a CPU 2**21, or 512 tokens). Sums over tokens are float64; within a
    token the arithmetic is that of the SAEs' dtype, at least float32. ``progress`` shows a bar. max_norm: leave out tokens
    whose norm is more than this many times the median. Without it all count, ``ordinary`` holds the effects without
    outliers of norm where there are any, and ``tell`` hears of those that outweigh the others (by default a
    ``UserWarning``).

    Raises ``ConfigError`` for SAEs that cannot be stitched (see ``stitch.support``), SAEs on different devices, and
    activations that are empty, of a wrong ``d_model`` or not finite.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> effects = insertion_effects(small, large, truth.activations)
    >>> (effects.delta_mse < 0).tolist()  # the first six are in the small SAE already
    [False, False, False, False, False, False, True, True, True, True, True, True]
    """
    one_space(small, large)
    require_positive("batch_size", batch_size)
    n_tokens, device = require_activations(activations, small.cfg.d_in), small.W_dec.device
    if large.W_dec.device != device:
        raise ConfigError(f"the small SAE is on {device}, the large SAE on {large.W_dec.device}: move both to one.")
    outliers, near, far = Outliers(activations, max_norm), _Sums(small, large), _Sums(small, large)
    rows = rows_per_block(batch_size, large.cfg.d_sae, device)
    for block in _with_progress(blocks(activations, rows, device), n_tokens, rows, progress):
        for sums, part in zip((near, far), outliers.split(block), strict=True):
            if part is not None and len(part):
                sums.add(part)
    outliers.require_some()
    if not far.n:
        return near.effects()
    ordinary = near.effects() if near.n else None
    near.add_sums(far)
    effects = replace(near.effects(), ordinary=ordinary)
    turned = 0 if ordinary is None else int(((effects.delta_mse < 0) != (ordinary.delta_mse < 0)).sum())
    outliers.tell("effects", f" (without them {turned:,} of {effects.n_latents:,} latents change sides)", tell)
    return effects


class _Sums:
    """Float64 sums over blocks, from which the effects follow."""

    def __init__(self, small: SAE[Any], large: SAE[Any]) -> None:
        self.small, self.large = small, large
        dtype = torch.promote_types(torch.promote_types(small.dtype, large.dtype), torch.float32)
        self.w_small, self.b_small = small.W_dec.to(dtype), small.b_dec.to(dtype)
        self.w_large, self.b_large = large.W_dec.to(dtype), large.b_dec.to(dtype)
        self.dtype, n, device = dtype, large.cfg.d_sae, large.W_dec.device
        self.projection = torch.zeros(n, dtype=torch.float64, device=device)
        self.squares = torch.zeros(n, dtype=torch.float64, device=device)
        self.fires = torch.zeros(n, dtype=torch.long, device=device)
        self.sse_small = torch.zeros((), dtype=torch.float64, device=device)
        self.sse_large = torch.zeros((), dtype=torch.float64, device=device)
        self.n = 0

    def add(self, block: torch.Tensor) -> None:
        x = block.to(self.dtype)
        self.n += len(block)
        f_small = active(encoded(self.small, block).to(self.dtype))
        f_large = active(encoded(self.large, block).to(self.dtype))
        residual = f_small.residual(x, self.w_small, self.b_small)
        self.projection += f_large.projection(residual, self.w_large)
        self.squares += f_large.sum_squares()
        self.fires += f_large.fires()
        self.sse_small += _sum_of_squares(residual)
        self.sse_large += _sum_of_squares(f_large.residual(x, self.w_large, self.b_large))

    def add_sums(self, other: _Sums) -> None:
        for name in ("projection", "squares", "fires", "sse_small", "sse_large", "n"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def effects(self) -> InsertionEffects:
        norms = self.w_large.double().square().sum(1)
        count = self.n * self.w_large.shape[1]
        require_sums(self.sse_small, self.sse_large, self.squares * norms, self.projection)
        return InsertionEffects(
            delta_mse=((self.squares * norms - 2 * self.projection) / count).cpu(),
            fires=self.fires.cpu(),
            mse_small=float(self.sse_small) / count,
            mse_large=float(self.sse_large) / count,
            n_tokens=self.n,
        )


def _sum_of_squares(rows: torch.Tensor) -> torch.Tensor:
    """Σ over all entries, float64 across tokens (a token's own few hundred squares are summed in its dtype)."""
    return torch.linalg.vector_norm(rows, dim=1).double().square().sum()


def _with_progress(stream: Iterator[torch.Tensor], n_tokens: int, rows: int, progress: bool) -> Iterator[torch.Tensor]:
    if not progress:
        return stream
    from tqdm.auto import tqdm

    return iter(tqdm(stream, total=-(-n_tokens // rows), desc="insertion effects", unit="block"))
