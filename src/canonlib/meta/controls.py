"""Controls: how much of their variance would a meta-SAE explain if the directions had no structure to find?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError
from canonlib.meta.config import MetaConfig, MetaReport
from canonlib.meta.model import MetaSAE, unit_rows
from canonlib.meta.training import train_meta_sae
from canonlib.sae.needs import Need, takes

if TYPE_CHECKING:
    from sae_lens import SAE

_STREAM = 0x5EED_C0DE
CONTROLS = ("untrained", "shuffled", "gaussian")


@takes(directions=Need.DIRECTIONS)
def random_directions(directions: SAE[Any] | torch.Tensor, seed: int) -> torch.Tensor:
    """As many directions as there are rows in ``directions`` ``[n_latents, d_model]``, uniform on the unit sphere.

    Gaussian rows scaled to unit length: what any direction has in common with another by chance.

    >>> drawn = random_directions(torch.eye(16), seed=0)
    >>> drawn.shape, round(float(drawn[0].norm()), 5)
    (torch.Size([16, 16]), 1.0)
    """
    rows = unit_rows(directions)
    drawn = torch.randn(rows.shape, generator=_generator(seed), dtype=torch.float64)
    return unit_rows(drawn).to(rows.device)


@takes(directions=Need.DIRECTIONS)
def untrained_directions(directions: SAE[Any] | torch.Tensor, seed: int) -> torch.Tensor:
    """The decoder of an SAE of that many latents before its first training step, as SAELens makes it, at unit length.

    As many rows as ``directions`` ``[n_latents, d_model]`` (an SAE or a matrix), and as wide. What a meta-SAE explains
    of it is owed to size and k alone. The global random state is left as it was.
    """
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig

    rows = unit_rows(directions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed((seed + _STREAM) % 2**63)
        fresh = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=rows.shape[1], d_sae=len(rows), k=1))
    return unit_rows(fresh.W_dec).to(rows.device)


@takes(directions=Need.DIRECTIONS)
def shuffled_coordinates(directions: SAE[Any] | torch.Tensor, seed: int) -> torch.Tensor:
    """The same numbers in other company: each coordinate permuted among the latents, then rows scaled to unit length.

    ``directions`` is an SAE or a matrix ``[n_latents, d_model]``, and so is what comes back. Each coordinate keeps its
    distribution over the latents (mean, spread, outliers; up to the rescaling), so this control has the mean direction
    and the privileged coordinates of the real rows, but none of their combinations.

    >>> shuffled_coordinates(torch.ones(4, 2), seed=0)[0]  # all rows are alike, and stay so
    tensor([0.7071, 0.7071])
    """
    rows = unit_rows(directions)
    order = torch.rand(rows.shape, generator=_generator(seed), dtype=torch.float64).argsort(dim=0)
    return unit_rows(rows.gather(0, order.to(rows.device)))


@takes(directions=Need.DIRECTIONS)
def gaussian_directions(directions: SAE[Any] | torch.Tensor, seed: int) -> torch.Tensor:
    """As many rows, drawn from the Gaussian with the mean and the covariance of the unit rows, scaled to unit length.

    ``directions`` is an SAE or a matrix ``[n_latents, d_model]``, and so is what comes back. They lie near the same few
    dimensions, as strongly, and have no other structure: what a meta-SAE explains of them is owed to dimensions that
    the rows share, not to particular parts that some rows share and others lack.

    >>> drawn = gaussian_directions(torch.eye(16)[:4], seed=0)  # rows that lie in four dimensions
    >>> int(torch.linalg.matrix_rank(drawn)), drawn.shape
    (4, torch.Size([4, 16]))
    """
    rows = unit_rows(directions)
    mean, centred = rows.double().mean(0), rows.double() - rows.double().mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / max(len(rows) - 1, 1))
    noise = torch.randn(rows.shape, generator=_generator(seed), dtype=torch.float64).to(rows.device)
    return unit_rows(mean + noise * values.clamp(min=0).sqrt() @ vectors.T)


@takes(directions=Need.DIRECTIONS, real=Need.SUM)
def with_controls(
    directions: SAE[Any] | torch.Tensor, config: MetaConfig, progress: bool = True, real: MetaSAE | None = None
) -> dict[str, MetaReport]:
    """Reports of one recipe on four sets of directions: "real", "untrained", "shuffled" and "gaussian".

    ``directions`` is an SAE or a matrix ``[n_latents, d_model]``. Controls are drawn by ``config.seed``. Give the
    meta-SAE already trained on ``directions`` as ``real`` to save its training; ``ConfigError`` when it was trained
    with another configuration. Other errors as in ``train_meta_sae``.
    """
    if real is not None and real.config != config:
        raise ConfigError(f"real was trained with {real.config}, not with {config}: the controls need the same recipe.")
    if real is None:
        real = train_meta_sae(directions, config, progress)
    reports = {"real": real.report}
    for name, make in zip(CONTROLS, (untrained_directions, shuffled_coordinates, gaussian_directions), strict=True):
        reports[name] = train_meta_sae(make(directions, config.seed), config, progress).report
    return reports


def _generator(seed: int) -> torch.Generator:
    """A generator of its own stream: training draws from the seed itself, and must not see the same numbers."""
    return torch.Generator().manual_seed((seed + _STREAM) % 2**63)
