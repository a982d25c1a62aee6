"""What ``cfg.json`` says of an SAE: every field that the methods rest on is of its type and in its range, or named."""

from __future__ import annotations

from typing import Any

from canonlib.errors import ConfigError, one_line, shown, unknown
from canonlib.sae.folders import CONFIG_FILE
from canonlib.sae.kinds import (
    COMPETING_KINDS,
    TRAINING_KINDS,
    require_architecture,
    require_settings,
    training_checkpoint,
)

PRECISION = ("float16", "bfloat16", "float32", "float64")
"""What weights are kept in, from the narrowest to the widest."""
_SCALINGS = ("none", "expected_average_only_in", "constant_norm_rescale", "layer_norm", "covariance_whitening")
_METADATA = {
    "model_name": "a text", "hook_name": "a text", "hook_head_index": "a whole number", "prepend_bos": "true or false",
    "context_size": "a whole number", "model_from_pretrained_kwargs": "an object",
}  # fmt: skip
_TYPES: dict[str, type] = {"a text": str, "a whole number": int, "true or false": bool, "an object": dict}


def checked_configuration(raw: dict[str, Any], subject: str) -> dict[str, Any]:
    """What SAELens makes of ``cfg.json``, once every field that the methods rest on is of its type and in its range.

    Raises ``ConfigError``, beginning with ``subject``, naming the field, its value and what is expected.
    """
    from sae_lens.loading.pretrained_sae_loaders import handle_config_defaulting

    subject = f"{subject}: {CONFIG_FILE}"
    architecture, metadata = raw.get("architecture", "standard"), raw.get("metadata", {})
    _require_type(subject, "architecture", architecture, "a text")
    _require_type(subject, "metadata", metadata, "an object")
    _require_opens(architecture, subject.removesuffix(f": {CONFIG_FILE}"))
    try:
        config = handle_config_defaulting({"device": "cpu", **raw})
    except Exception as exc:
        raise ConfigError(f"{subject} cannot be read by SAELens ({type(exc).__name__}: {one_line(exc)}).") from exc
    if "architecture" not in config:
        raise ConfigError(f'{subject} names no architecture: add the field, such as "architecture": "standard".')
    for name in ("d_in", "d_sae"):
        value = config.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
            raise ConfigError(f"{subject} has {name} = {shown(value)}: a whole number of at least 1 is expected.")
    _require_one_of(subject, "normalize_activations", config.get("normalize_activations", "none"), _SCALINGS)
    _require_one_of(subject, "reshape_activations", config.get("reshape_activations", "none"), ("none", "hook_z"))
    for name in ("apply_b_dec_to_input", "rescale_acts_by_decoder_norm"):
        _require_type(subject, name, config.get(name, True), "true or false")
    for name, kind in _METADATA.items():
        if config.get("metadata", {}).get(name) is not None:
            _require_type(f"{subject}: metadata", name, config["metadata"][name], kind)
    require_settings(config, config["architecture"], subject)
    _require_relu({**raw, **config}, subject)
    dtype = config.get("dtype", "float32")
    _require_one_of(subject, "dtype", dtype.removeprefix("torch.") if isinstance(dtype, str) else dtype, PRECISION)
    return config


def _require_relu(config: dict[str, Any], subject: str) -> None:
    """Refuse what SAELens leaves out without a word: other activation functions, and a k or a scaling beside them."""
    architecture = config["architecture"]
    for name in ("activation_fn", "activation_fn_str"):
        said = config.get(name)
        if said not in (None, "relu") and not (said == "topk" and architecture == "topk"):
            raise ConfigError(
                f"{subject} has {name} = {shown(said)} and architecture = {architecture!r}: SAELens would compute with ReLU. "
                "Correct the architecture, or save the SAE with a current SAELens."
            )
    if config.get("k") is not None and architecture not in COMPETING_KINDS:
        raise ConfigError(
            f"{subject} has k = {shown(config['k'])}, and an SAE of architecture {architecture!r} has none."
        )
    if config.get("finetuning_scaling_factor"):
        raise ConfigError(
            f"{subject} has finetuning_scaling_factor, which SAELens no longer computes: fold it into W_dec."
        )


def _require_type(subject: str, name: str, value: object, kind: str) -> None:
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind == "a whole number"):
        raise ConfigError(f"{subject} has {name} = {shown(value)}: {kind} is expected.")


def _require_opens(architecture: str, subject: str) -> None:
    if architecture in TRAINING_KINDS:
        raise training_checkpoint(subject, architecture)
    require_architecture(architecture, subject)


def _require_one_of(subject: str, name: str, value: object, choices: tuple[str, ...]) -> None:
    # Older configurations have true or false for scaling, and SAELens translates them.
    if not isinstance(value, str) or value not in choices:
        told = unknown(name, value if isinstance(value, str) else shown(value), choices)
        raise ConfigError(f"{subject}: {told}")
