"""Architectures of SAEs: which are served, and the settings without which none of them encodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from canonlib.errors import ConfigError, is_finite

if TYPE_CHECKING:
    from sae_lens import SAE

INDEPENDENT_KINDS = ("standard", "jumprelu", "gated")
"""Architectures whose latents depend on the input alone."""
COMPETING_KINDS = ("topk", "abstopk", "matching_pursuit", "batchtopk", "matryoshka_batchtopk")
"""Architectures whose latents compete for places."""
TRAINING_KINDS = ("batchtopk", "matryoshka_batchtopk")
"""Those of them that SAELens has for training alone: what a token activates depends on its batch."""


def require_architecture(architecture: object, called: str = "the SAE") -> None:
    """Raise ``ConfigError`` unless dictionaries of that architecture reconstruct their own input from latents."""
    if architecture in INDEPENDENT_KINDS or architecture in COMPETING_KINDS:
        return
    if isinstance(architecture, str) and "transcoder" in architecture:
        raise ConfigError(
            f"{called} is a transcoder ({architecture}): it reads one hook point and writes to another, so it has no "
            "input to reconstruct and its rows lie in another space than the one it reads. Give an SAE."
        )
    if architecture == "temporal":
        raise ConfigError(
            f"{called} is a temporal SAE: what a token activates depends on the tokens before it, and every method "
            "here takes one token at a time. Give an SAE without attention over the context."
        )
    raise ConfigError(
        f"{called} has architecture {architecture!r}, which canonlib does not know. Known are: "
        f"{', '.join((*INDEPENDENT_KINDS, *COMPETING_KINDS))}."
    )


def require_settings(config: Mapping[str, Any], architecture: str, subject: str) -> None:
    """Raise ``ConfigError``, beginning with ``subject``, for settings with which an SAE of that architecture cannot encode.

    Looked at: k of a TopK SAE, and what ends a matching pursuit.
    """
    if architecture != "matching_pursuit":
        if architecture in COMPETING_KINDS:
            require_k(config.get("k"), int(config["d_sae"]), subject, whole=architecture not in TRAINING_KINDS)
        return
    steps, most = config.get("max_iterations"), 4 * max(int(config["d_in"]), int(config["d_sae"]))
    if steps is not None and not (isinstance(steps, int) and not isinstance(steps, bool) and 1 <= steps <= most):
        raise ConfigError(
            f"{subject} has max_iterations = {steps!r}: null or a whole number from 1 to {most} is expected."
        )
    left = config.get("residual_threshold", 0.0)
    if not is_finite(left) or left < 0:
        raise ConfigError(f"{subject} has residual_threshold = {left!r}: a finite number of at least 0 is expected.")
    if not isinstance(config.get("stop_on_duplicate_support", True), bool):
        raise ConfigError(
            f"{subject} has stop_on_duplicate_support = {config['stop_on_duplicate_support']!r}: true or false."
        )


def require_k(k: object, n_latents: int, subject: str, whole: bool = True) -> None:
    """Raise ``ConfigError``, beginning with ``subject``, for a number of active latents that cannot be.

    whole: in a TopK SAE k is a whole number; in BatchTopK, a mean over tokens, it need not be.
    """
    kinds = (int,) if whole else (int, float)
    if isinstance(k, kinds) and not isinstance(k, bool) and 0 < k <= n_latents:
        return
    number = "a whole number from 1" if whole else "a number above 0"
    raise ConfigError(f"{subject} has k = {k!r} and {n_latents:,} latents: k must be {number}, up to that many.")


def training_checkpoint(called: str, architecture: str) -> ConfigError:
    """What is said of a BatchTopK or Matryoshka SAE that is still in its training form."""
    return ConfigError(
        f"{called} is a training checkpoint of architecture {architecture!r}, in which a token's activations depend on its "
        "batch: save it with save_inference_model(folder) and open that folder, which gives a JumpReLU SAE."
    )


def require_independent(sae: SAE[Any], called: str = "the SAE") -> None:
    """Raise ``ConfigError`` unless each latent of ``sae`` depends on the input alone, not on the other latents.

    ReLU ('standard'), JumpReLU (which is also how SAELens saves BatchTopK) and gated SAEs pass. TopK-like SAEs do
    not: inserting a latent there displaces others, so reconstructions do not add up. ``called`` names the SAE in the
    message.
    """
    architecture = sae.cfg.architecture()
    if architecture in INDEPENDENT_KINDS:
        return
    require_architecture(architecture, called)
    raise ConfigError(
        f"{called} has architecture {architecture!r}, whose latents compete for places: inserting one displaces "
        "others, so its effect is not a sum over latents. Use the thresholded form: train as BatchTopK, save with "
        "save_inference_model(folder) and reload with SAE.load_from_disk(folder), which gives a JumpReLU SAE."
    )
