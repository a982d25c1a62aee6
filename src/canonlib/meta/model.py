"""A trained meta-SAE: a SAELens SAE on decoder directions, with its configuration and report, kept in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from canonlib.compare import decoder_directions
from canonlib.errors import ConfigError
from canonlib.meta.config import MetaConfig, MetaReport, require_agreement
from canonlib.sae.folders import CONFIG_FILE, sort_configuration
from canonlib.sae.io import WEIGHTS_FILE, named_folder, open_sae, require_folder
from canonlib.sae.needs import Need, takes
from canonlib.sae.streaming import decoded, encoded
from canonlib.store import write_json
from canonlib.store.reading import read_json

if TYPE_CHECKING:
    from sae_lens import SAE

META_FILE = "meta.json"
"""What is kept beside the SAE's own files: configuration and report."""
_BLOCK = 8192


@dataclass(frozen=True, eq=False)
class MetaSAE:
    """``sae`` is a SAELens JumpReLU SAE with ``d_in`` = d_model and ``d_sae`` = number of meta-latents.

    Its decoder rows have unit length, and one threshold serves all meta-latents. It expects directions of unit length;
    the functions of this room normalise what they are given.
    """

    sae: SAE[Any]
    config: MetaConfig
    report: MetaReport

    @property
    def n_latents(self) -> int:
        """Number of meta-latents."""
        return int(self.sae.cfg.d_sae)

    def save(self, folder: str | Path) -> Path:
        """Write a SAELens folder (``SAE.load_from_disk`` opens it) with ``meta.json`` beside the weights.

        The folder is made when missing. Raises ``OSError`` when the disk refuses.
        """
        folder = Path(folder)
        self.sae.save_model(folder)
        sort_configuration(folder)
        write_json(folder / META_FILE, {"config": self.config.to_json(), "report": self.report.to_json()})
        return folder

    @classmethod
    def load(
        cls, folder: str | Path, device: str = "cpu", called: str = "the meta-SAE",
        tell: Callable[[str], None] | None = None,
    ) -> MetaSAE:  # fmt: skip
        """Open a folder that ``save`` has written; ``called`` names it in messages, such as ``--meta``, and ``tell`` hears
        what the reader should know (by default a ``UserWarning``).

        Raises ``ConfigError``, as ``canonlib.sae.open_sae`` does, and for a ``meta.json`` that is missing, cannot be read,
        or says what the weights do not.
        """
        folder, subject = named_folder(folder, called)
        require_folder(folder, (CONFIG_FILE, WEIGHTS_FILE, META_FILE), subject, "meta-SAE", "MetaSAE.save")
        saved = read_json(folder / META_FILE, f"{subject}: {META_FILE}")
        sae = open_sae(folder, called=called, need=Need.SUM, device=device, tell=tell)
        try:
            config = MetaConfig.from_json(_part(saved, "config"))
            report = MetaReport.from_json(_part(saved, "report"))
            require_agreement(config, report, sae)
        except ConfigError as exc:
            raise ConfigError(f"{subject}: {META_FILE}: {exc} Take another copy, or train it again.") from exc
        return cls(sae, config, report)


def _part(saved: dict[str, Any], name: str) -> dict[str, Any]:
    part = saved.get(name)
    if not isinstance(part, dict):
        raise ConfigError(f"{name} must be an object, got {type(part).__name__}.")
    return part


@torch.no_grad()
@takes(meta=Need.SUM, directions=Need.DIRECTIONS)
def meta_activations(meta: MetaSAE | SAE[Any], directions: SAE[Any] | torch.Tensor) -> torch.Tensor:
    """Activations ``[n_directions, n_meta_latents]`` of all meta-latents on decoder rows, scaled to unit length first.

    Raises ``ConfigError`` for rows without a direction (see ``decoder_directions``) and for another d_model.

    >>> from canonlib.meta import MetaConfig, train_meta_sae
    >>> parts = torch.eye(16)[:6]
    >>> rows = torch.stack([parts[i] + parts[j] for i in range(6) for j in range(i)])  # 15 latents of two parts each
    >>> meta = train_meta_sae(rows, MetaConfig(n_latents=6, k=2.0, steps=100, batch_size=15), progress=False)
    >>> meta_activations(meta, rows).shape
    torch.Size([15, 6])
    """
    sae = meta.sae if isinstance(meta, MetaSAE) else meta
    rows = unit_rows(directions, int(sae.cfg.d_in)).to(sae.W_dec.device)
    return torch.cat([encoded(sae, rows[i : i + _BLOCK]) for i in range(0, len(rows), _BLOCK)])


@torch.no_grad()
@takes(meta=Need.SUM, directions=Need.DIRECTIONS)
def variance_explained(meta: MetaSAE | SAE[Any], directions: SAE[Any] | torch.Tensor) -> float:
    """1 - Σ|d - d̂|² / Σ|d - d̄|² over the unit rows d of ``directions``, d̄ their own mean; sums in float64.

    ``directions`` is an SAE or a matrix ``[n_directions, d_model]``. Takes the directions of the training, held-out
    ones or a control's; can be below zero for those it does not fit. Raises ``ConfigError`` as ``meta_activations``
    does, and when all rows point the same way.

    >>> from canonlib.meta import MetaConfig, train_meta_sae
    >>> parts = torch.eye(16)[:6]
    >>> rows = torch.stack([parts[i] + parts[j] for i in range(6) for j in range(i)])  # 15 latents of two parts each
    >>> meta = train_meta_sae(rows, MetaConfig(n_latents=6, k=2.0, steps=100, batch_size=15), progress=False)
    >>> variance_explained(meta, rows) > variance_explained(meta, torch.randn(15, 16))
    True
    """
    sae = meta.sae if isinstance(meta, MetaSAE) else meta
    rows = unit_rows(directions, int(sae.cfg.d_in)).to(sae.W_dec.device)
    spread, error = variance_of(rows), 0.0
    for i in range(0, len(rows), _BLOCK):
        part = rows[i : i + _BLOCK]
        error += float((part.double() - decoded(sae, encoded(sae, part)).double()).square().sum())
    return 1.0 - error / spread


def variance_of(rows: torch.Tensor) -> float:
    """Σ|d - d̄|² over unit rows ``[n_directions, d_model]``, in float64; ``ConfigError`` when all point the same way."""
    spread = float((rows.double() - rows.double().mean(0)).square().sum())
    if spread <= 1e-12 * len(rows):
        raise ConfigError(f"all {len(rows)} directions are the same, so there is no variance to explain: give others.")
    return spread


def unit_rows(directions: SAE[Any] | torch.Tensor, d_model: int | None = None) -> torch.Tensor:
    """Unit rows ``[n_directions, d_model]`` in float32; ``ConfigError`` for a width that is not ``d_model``."""
    rows = decoder_directions(directions).to(torch.float32)
    if d_model is not None and rows.shape[1] != d_model:
        raise ConfigError(f"directions have d_model = {rows.shape[1]} and the meta-SAE {d_model}: not one space.")
    return rows
