"""What a meta-SAE is trained with, and what its training reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import torch

from canonlib.errors import ConfigError, is_finite, require_finite, require_positive, unknown

if TYPE_CHECKING:
    from sae_lens import SAE

DRIFT = 0.05
"""Relative distance of L0 from k above which the threshold is calibrated anew."""
LOSS_POINTS = 20
"""Points of the loss curve."""
Init = Literal["data", "random"]
INITS: tuple[str, ...] = ("data", "random")
Sampling = Literal["epochs", "replacement"]
SAMPLINGS: tuple[str, ...] = ("epochs", "replacement")


@dataclass(frozen=True)
class MetaConfig:
    """Everything that a meta-SAE depends on beside the directions. Raises ``ConfigError`` naming a field that fails.

    The defaults suit some thousand directions of 128 coordinates; ``recipes`` holds those of the authors and of
    SAEBench, and the module ``training`` says what the defaults were measured against.

    >>> MetaConfig(n_latents=64).rows_per_step(n_directions=560)
    512
    >>> MetaConfig(n_latents=2, k=4.0)
    Traceback (most recent call last):
        ...
    canonlib.errors.ConfigError: k (4.0) must not exceed n_latents (2): lower k or add meta-latents.
    """

    n_latents: int
    """Dictionary size of the meta-SAE (number of meta-latents)."""
    k: float = 4.0
    """Meta-latents active on one direction, on average over a batch (paper: 4)."""
    lr: float = 5e-3
    """Peak learning rate (Adam)."""
    decay: float = 0.2
    """Share of the steps, at the end, over which the learning rate falls to zero; 0 keeps it constant."""
    beta2: float = 0.999
    """Adam's second moment decays by this factor a step (the first moment's factor is 0.9)."""
    steps: int = 1000
    """Training steps."""
    batch_size: int = 512
    """Directions per step; with ``sampling="epochs"`` at most the number of directions."""
    sampling: Sampling = "epochs"
    """Whether every direction is seen once in each epoch, or batches are drawn with replacement."""
    seed: int = 0
    """Seed of the starting weights and of the order of the directions."""
    centred: bool = True
    """Whether the decoder bias starts at the mean direction (True) or at zero; it is trained in either case."""
    init: Init = "data"
    """Where meta-latents start: at directions drawn from the data, or at random ones of length 0.1 (SAELens's way)."""
    encoder_bias: bool = True
    """Whether the encoder bias is trained; False keeps it at zero (the authors' code has none)."""
    dead_after: int = 100
    """Steps without firing after which a meta-latent counts as dead and is trained by the auxiliary loss."""
    aux_coefficient: float = 1 / 16
    """Weight of the auxiliary loss, a fraction of the reconstruction loss; 0 turns it off."""

    def __post_init__(self) -> None:
        for field in ("n_latents", "steps", "batch_size", "dead_after"):
            require_positive(field, getattr(self, field))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed must be a whole number of at least 0, got {self.seed!r}.")
        for field in ("k", "lr"):
            _require_number(field, getattr(self, field), above=0.0)
        for field in ("decay", "beta2"):
            value = getattr(self, field)
            if not is_finite(value) or not 0 <= value < 1:
                raise ConfigError(f"{field} must be a number from 0 to below 1, got {value!r}.")
        if self.aux_coefficient != 0:
            _require_number("aux_coefficient", self.aux_coefficient, above=0.0)
        if self.k > self.n_latents:
            raise ConfigError(
                f"k ({self.k}) must not exceed n_latents ({self.n_latents}): lower k or add meta-latents."
            )
        for field in ("centred", "encoder_bias"):
            if not isinstance(getattr(self, field), bool):
                raise ConfigError(f"{field} must be True or False, got {getattr(self, field)!r}.")
        for field, known in (("init", INITS), ("sampling", SAMPLINGS)):
            if getattr(self, field) not in known:
                raise unknown(field, getattr(self, field), known)

    def rows_per_step(self, n_directions: int) -> int:
        """Directions that a step takes out of that many: all of them where an epoch has fewer than a batch."""
        return self.batch_size if self.sampling == "replacement" else min(self.batch_size, n_directions)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MetaConfig:
        """The inverse of ``to_json``; ``ConfigError`` for a field that is unknown or lacking."""
        return cls(**_checked(cls, values))


@dataclass(frozen=True)
class MetaReport:
    """What a trained meta-SAE does on the directions it was trained on (in sample)."""

    variance_explained: float
    """1 - Σ|d - d̂|² / Σ|d - d̄|² over unit directions d, in the saved inference form."""
    l0: float
    """Active meta-latents per direction at ``threshold``, mean over all directions."""
    dead_fraction: float
    """Share of meta-latents that fire on no direction at ``threshold``."""
    threshold: float
    """The one activation level that a meta-latent must pass to be active, in units of a unit direction."""
    trained_threshold: float
    """The threshold that training left behind (SAELens's running mean of the least active value in a batch)."""
    trained_l0: float
    """L0 at ``trained_threshold``; more than 5% off k, and the threshold is calibrated anew."""
    n_directions: int
    """Directions trained on."""
    loss: tuple[float, ...]
    """Training loss (squared error per direction, auxiliary loss included), mean over each twentieth of the steps."""

    @property
    def calibrated(self) -> bool:
        """Whether the threshold is not the one that training left behind."""
        return self.threshold != self.trained_threshold

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON-ready values."""
        return {**asdict(self), "loss": list(self.loss)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MetaReport:
        """The inverse of ``to_json``; ``ConfigError`` for a field that is unknown, lacking or out of its range."""
        known = _checked(cls, values)
        for field in ("l0", "trained_l0", "threshold", "trained_threshold", "dead_fraction"):
            require_finite(field, known[field], least=0)
        require_finite("variance_explained", known["variance_explained"])
        for field in ("variance_explained", "dead_fraction"):
            if known[field] > 1:
                raise ConfigError(f"{field} must be at most 1, got {known[field]!r}.")
        require_positive("n_directions", known["n_directions"])
        if not isinstance(known["loss"], list):
            raise ConfigError(f"loss must be a list, got a {type(known['loss']).__name__}.")
        for value in known["loss"]:
            require_finite("loss", value, least=0)
        return cls(**{**known, "loss": tuple(known["loss"])})


def _require_number(field: str, value: object, above: float) -> None:
    if not is_finite(value) or not isinstance(value, (int, float)) or value <= above:
        raise ConfigError(f"{field} must be a finite number above {above:g}, got {value!r}.")


def _checked(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` when they name every field of ``cls`` and no other."""
    names = [f.name for f in fields(cls)]
    for key in values:
        if key not in names:
            raise unknown(f"field of {cls.__name__}", key, names)
    lacking = [name for name in names if name not in values]
    if lacking:
        raise ConfigError(f"{cls.__name__} lacks {', '.join(lacking)}: it was saved by another version.")
    return dict(values)


def require_agreement(config: MetaConfig, report: MetaReport, sae: SAE[Any]) -> None:
    """Raise ``ConfigError`` unless configuration, report and weights can be of one training, naming what cannot."""
    n, rows = config.n_latents, report.n_directions
    thresholds = getattr(sae, "threshold", None)
    if thresholds is None:
        raise ConfigError(
            f"the weights are those of a {sae.cfg.architecture()!r} SAE: a meta-SAE is saved as 'jumprelu'."
        )
    if n != int(sae.cfg.d_sae):
        raise ConfigError(f"n_latents is {n}, and the weights are of {int(sae.cfg.d_sae)} meta-latents.")
    kept = {float(torch.tensor(report.threshold).to(dtype)) for dtype in (torch.float32, torch.bfloat16, torch.float16)}
    if not bool((thresholds == thresholds[0]).all()) or float(thresholds[0]) not in kept:
        raise ConfigError(f"threshold is {report.threshold!r}, and the weights have {float(thresholds[0])!r}.")
    lengths = sae.W_dec.detach().norm(dim=1)
    if bool((lengths - 1).abs().max() > 1e-2):  # bfloat16 keeps three digits
        raise ConfigError("the decoder rows of a meta-SAE have length 1, and these have not.")
    if rows < n:
        raise ConfigError(f"n_directions is {rows}, and a meta-SAE of {n} meta-latents takes at least as many.")
    for field, value, of in (("l0", report.l0, rows), ("trained_l0", report.trained_l0, rows),
                             ("dead_fraction", report.dead_fraction, n)):  # fmt: skip
        if value > n or abs(value * of - round(value * of)) > 1e-6 * max(1.0, value * of):
            raise ConfigError(f"{field} is {value!r}, which is no count over {of}.")
    if len(report.loss) != min(LOSS_POINTS, config.steps):
        raise ConfigError(f"loss has {len(report.loss)} points, and {config.steps} steps give another number.")
    drifted = abs(report.trained_l0 - config.k) > DRIFT * config.k
    if report.calibrated:
        wanted = round(config.k * rows)  # fewer where fewer are above zero, or where some are tied
        possible = (
            drifted and (report.threshold == 0 or 0.9 * wanted <= report.l0 * rows) and report.l0 * rows < wanted + 0.5
        )
    else:
        possible = report.l0 == report.trained_l0 and (not drifted or report.threshold == 0)
    if not possible:
        raise ConfigError(
            f"k = {config.k:g}, l0 = {report.l0:g} and trained_l0 = {report.trained_l0:g} cannot be of one training."
        )
