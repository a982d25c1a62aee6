"""Which SAEs can be stitched exactly, and a reason and a remedy for those that cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from canonlib.errors import ConfigError

if TYPE_CHECKING:
    from sae_lens import SAE

INDEPENDENT = ("standard", "jumprelu", "gated")

_COMPETING = ("topk", "batchtopk", "matryoshka_batchtopk", "abstopk", "matching_pursuit")


def require_independent(sae: SAE[Any], role: str = "SAE") -> None:
    """Raise ``ConfigError`` unless each latent of ``sae`` depends on the input alone, not on the other latents.

    ReLU ('standard'), JumpReLU (which is also how SAELens saves BatchTopK) and gated SAEs pass. TopK-like SAEs do
    not: inserting a latent there displaces others, so reconstructions do not add up. ``role`` names the SAE in the
    message.
    """
    architecture = sae.cfg.architecture()
    if architecture in INDEPENDENT:
        return
    if architecture in _COMPETING:
        raise ConfigError(
            f"the {role} has architecture {architecture!r}, whose latents compete for places: inserting one displaces "
            "others, so its effect is not a sum over latents. Use the thresholded form: train as BatchTopK, save with "
            "save_inference_model(folder) and reload with SAE.load_from_disk(folder), which gives a JumpReLU SAE."
        )
    raise ConfigError(
        f"the {role} has architecture {architecture!r}; stitching works on SAEs that reconstruct their own input from "
        f"independent latents: {', '.join(INDEPENDENT)}."
    )


def require_plain_input(sae: SAE[Any], role: str = "SAE") -> None:
    """Raise ``ConfigError`` when ``sae`` rescales or reshapes its input at run time, so that it is no longer a sum."""
    scaling = sae.cfg.normalize_activations
    if scaling == "expected_average_only_in":
        raise ConfigError(
            f"the {role} expects activations scaled by a constant (normalize_activations = {scaling!r}) that SAELens "
            "does not apply at run time: fold it first with fold_activation_norm_scaling_factor(factor)."
        )
    if scaling == "covariance_whitening":
        raise ConfigError(
            f"the {role} expects whitened activations (normalize_activations = {scaling!r}): fold the whitening first "
            "with fold_activation_whitening(mean, matrix, inverse)."
        )
    if scaling != "none":
        raise ConfigError(
            f"the {role} scales every token by its own factor (normalize_activations = {scaling!r}), which no fold can "
            "undo: two such SAEs share no linear space. Use SAEs with normalize_activations = 'none'."
        )
    if sae.hook_z_reshaping_mode:
        raise ConfigError(
            f"the {role} reshapes attention heads (reshape_activations = 'hook_z'): flatten the activations to "
            "[n_tokens, d_in] and call turn_off_forward_pass_hook_z_reshaping() on it first."
        )


def require_same_space(small: SAE[Any], large: SAE[Any]) -> None:
    """Raise ``ConfigError`` unless both SAEs read and write one activation space.

    Compared: ``d_in``, input scaling, and, where both SAEs know them, the model's name, the hook point and the head.
    """
    if small.cfg.d_in != large.cfg.d_in:
        raise ConfigError(
            f"the small SAE has d_in = {small.cfg.d_in} and the large SAE {large.cfg.d_in}: not one activation space."
        )
    for field in ("model_name", "hook_name", "hook_head_index"):
        ours, theirs = small.cfg.metadata.get(field), large.cfg.metadata.get(field)
        if ours is not None and theirs is not None and ours != theirs:
            raise ConfigError(
                f"the small SAE has {field} = {ours!r} and the large SAE {theirs!r}: their activations are different "
                "things. Stitch SAEs of one model and one hook point."
            )
    require_plain_input(small, "small SAE")
    require_plain_input(large, "large SAE")


def require_stitchable(small: SAE[Any], large: SAE[Any]) -> None:
    """Raise ``ConfigError`` unless both SAEs have independent latents and share one activation space.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> small, large = toy.planted_sae(truth, range(6)), toy.planted_sae(truth, range(12))
    >>> require_stitchable(small, large)  # two ReLU SAEs in one space: nothing to complain of
    """
    require_independent(small, "small SAE")
    require_independent(large, "large SAE")
    require_same_space(small, large)
