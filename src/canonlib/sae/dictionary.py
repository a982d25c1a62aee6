"""What is a dictionary that the methods may use? One check for every SAE, from a folder, a release or memory.

Four needs, each with all those before it:

* ``DIRECTIONS``: decoder rows, in the space that the SAE reads
* ``ACTIVATIONS``: a row of activations at a time, encoded as it stands; a latent is active where it is above zero
* ``SUM``: reconstructions that are sums, x̂ = b + Σ_j f_j(x) d_j, in that space
* ``INDEPENDENT``: latents that depend on the input alone, not on one another
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError
from canonlib.rows import FLOATS, all_finite
from canonlib.sae.kinds import (
    INDEPENDENT_KINDS,
    TRAINING_KINDS,
    require_architecture,
    require_independent,
    require_settings,
    training_checkpoint,
)

if TYPE_CHECKING:
    from sae_lens import SAE


class Need(Enum):
    """What a function needs of an SAE; the values are what the API reference calls it."""

    DIRECTIONS = "decoder directions"
    ACTIVATIONS = "activations"
    SUM = "reconstructions that are sums"
    INDEPENDENT = "independent latents"

    def covers(self, other: Need) -> bool:
        """Whether whoever needs this needs ``other`` too."""
        order = list(Need)
        return order.index(self) >= order.index(other)


NEVER_FIRES = {"threshold": math.inf, "b_enc": -math.inf, "b_gate": -math.inf, "b_mag": -math.inf}
"""Infinite values that mean "this latent never fires"; any other is an error, and so is every NaN."""
_WEIGHTS = {
    "gated": ("W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"), "matching_pursuit": ("W_dec", "b_dec"),
    "jumprelu": ("W_enc", "W_dec", "b_enc", "b_dec", "threshold"),
}  # fmt: skip
"""What an SAE of each architecture computes with; others as in a ReLU SAE."""
_SHAPES = {
    "W_enc": ("d_in", "d_sae"), "W_dec": ("d_sae", "d_in"), "b_dec": ("d_in",), "b_enc": ("d_sae",),
    "threshold": ("d_sae",), "b_gate": ("d_sae",), "b_mag": ("d_sae",), "r_mag": ("d_sae",),
}  # fmt: skip


def require_dictionary(sae: SAE[Any], need: Need, called: str = "the SAE") -> None:
    """Raise ``ConfigError`` unless ``sae`` is what ``need`` says, naming what is wrong with it and what to do.

    ``called`` names the SAE in the message, with its article. Looked at: what kind of object it is, its architecture, the
    shape of each weight and that it is finite, and, where activations are needed, input scaling, the shape of the input,
    and whether activations can be negative.

    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> sae = toy.planted_sae(truth, range(6))
    >>> sae.b_enc.data[2] = float("nan")
    >>> require_dictionary(sae, Need.DIRECTIONS)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    canonlib.errors.ConfigError: the SAE holds 1 value that is no number in b_enc, the first at [2] (nan): ...
    """
    _require_kind(sae, called)
    _require_weights(sae, called)
    if need.covers(Need.ACTIVATIONS):
        _require_encodes(sae, called)
    if need.covers(Need.SUM):
        _require_sum(sae, called)
    if need.covers(Need.INDEPENDENT):
        require_independent(sae, called)


def _require_kind(sae: Any, called: str) -> None:
    from sae_lens import SAE, TrainingSAE

    if not isinstance(sae, (SAE, TrainingSAE)):
        raise ConfigError(
            f"{called} must be an SAE of SAELens, got a {type(sae).__name__}: open it first, with "
            "canonlib.sae.open_sae."
        )
    require_architecture(sae.cfg.architecture(), called)


def _require_weights(sae: SAE[Any], called: str) -> None:
    """Every tensor has the shape that the configuration says, and no value that is no number."""
    sizes = {"d_in": sae.cfg.d_in, "d_sae": sae.cfg.d_sae}
    architecture = sae.cfg.architecture()
    found: dict[str, Any] = dict(sae.state_dict())
    for name in _WEIGHTS.get(architecture, ("W_enc", "W_dec", "b_enc", "b_dec")):
        found[name] = getattr(sae, name, None)
        if not isinstance(found[name], torch.Tensor):
            raise ConfigError(f"{called} has no {name}, which an SAE of architecture {architecture!r} computes with.")
    for name, tensor in found.items():
        if tensor.is_meta or tensor.layout != torch.strided:
            kind = "lies on the meta device, without numbers" if tensor.is_meta else "is sparse"
            raise ConfigError(
                f"{name} of {called.removeprefix('the ')} {kind}: load the weights first, as dense tensors."
            )
        wanted = [sizes[axis] for axis in _SHAPES.get(name, ())]
        if wanted and list(tensor.shape) != wanted:
            raise ConfigError(
                f"{called} has {name} of shape {list(tensor.shape)}, and by its configuration (d_in = {sizes['d_in']}, "
                f"d_sae = {sizes['d_sae']}) it should be {wanted}."
            )
        if wanted and tensor.dtype not in FLOATS:
            raise ConfigError(f"{called} keeps {name} in {tensor.dtype}: weights must be floating-point numbers.")
        require_numbers(name, tensor, called)
    require_settings(vars(sae.cfg), architecture, called)


def require_numbers(name: str, tensor: torch.Tensor, subject: str) -> None:
    """Raise ``ConfigError``, beginning with ``subject``, for NaN and for infinities but those of ``NEVER_FIRES``.

    ``name`` is the weight's in the SAE, which says what it may hold; ``tensor`` has any shape, such as ``[n_latents]``.
    """
    if not tensor.dtype.is_floating_point or all_finite(tensor):
        return
    odd = ~torch.isfinite(tensor)
    if name in NEVER_FIRES:
        odd &= tensor != NEVER_FIRES[name]
    n = int(odd.sum())
    if n == 0:
        return
    place = odd.nonzero()[0].tolist()
    value = tensor[tuple(place)].item()
    are = "value that is no number" if n == 1 else "values that are no numbers"
    raise ConfigError(
        f"{subject} holds {n:,} {are} in {name}, the first at {place} ({value}): it was damaged, or its training "
        "diverged. Take another copy, or train it again at a lower learning rate."
    )


def _require_encodes(sae: SAE[Any], called: str) -> None:
    architecture, scaling = sae.cfg.architecture(), sae.cfg.normalize_activations
    if architecture in TRAINING_KINDS:
        raise training_checkpoint(called, architecture)
    if architecture == "abstopk":
        raise ConfigError(
            f"{called} has architecture 'abstopk', whose activations can be negative: here a latent is active where "
            "it is above zero. Its decoder directions can be compared, its activations cannot be counted."
        )
    if scaling == "expected_average_only_in":
        raise ConfigError(
            f"{called} expects activations scaled by a constant (normalize_activations = {scaling!r}) that SAELens "
            "does not apply at run time: fold it first with fold_activation_norm_scaling_factor(factor)."
        )
    if scaling == "covariance_whitening":
        raise ConfigError(
            f"{called} expects whitened activations (normalize_activations = {scaling!r}): fold the whitening first "
            "with fold_activation_whitening(mean, matrix, inverse)."
        )
    if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False) and not bool(sae.W_dec.detach().norm(dim=1).all()):
        raise ConfigError(f"{called} divides by decoder norms, and some are zero: leave those latents out.")
    if architecture in INDEPENDENT_KINDS and not isinstance(sae.activation_fn, torch.nn.ReLU):
        raise ConfigError(
            f"{called} has architecture {architecture!r} and the activation function {type(sae.activation_fn).__name__}: "
            "SAELens's has ReLU, and that is what is computed with here."
        )
    hooked = [name for name, hook in sae.named_modules() if getattr(hook, "fwd_hooks", None)]
    if hooked:
        raise ConfigError(
            f"{called} has a hook attached to {hooked[0]}, which may change what it computes: reset_hooks() first."
        )
    if sae.hook_z_reshaping_mode:
        raise ConfigError(
            f"{called} reshapes attention heads (reshape_activations = 'hook_z'): flatten the activations to "
            "[n_tokens, d_in] and call turn_off_forward_pass_hook_z_reshaping() on it first."
        )


def _require_sum(sae: SAE[Any], called: str) -> None:
    scaling = sae.cfg.normalize_activations
    if scaling != "none":
        raise ConfigError(
            f"{called} scales every token by its own factor (normalize_activations = {scaling!r}), which no fold can "
            "undo: two such SAEs share no linear space. Use SAEs with normalize_activations = 'none'."
        )


def output_lengths(sae: SAE[Any]) -> torch.Tensor:
    """``[n_latents]``: the length of what each latent adds to a reconstruction when its activation is 1.

    |d_j|, or 1 where the SAE divides activations by it while decoding (``rescale_acts_by_decoder_norm``). Two SAEs that
    compute the same function give the same products of activation and length.
    """
    lengths = sae.W_dec.detach().norm(dim=1)
    return torch.ones_like(lengths) if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False) else lengths
