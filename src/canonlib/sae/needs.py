"""Every function that takes an SAE says what it needs of it, and its SAEs are checked before it begins.

An SAE in float16 or bfloat16 is brought to float32 before it encodes, which changes no weight: in its own precision the
sums over latents would be off in the third digit, and float16 ends at 65,504. float64 stays float64.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import torch

from canonlib.errors import ConfigError
from canonlib.rows import as_matrix
from canonlib.sae.dictionary import Need, require_dictionary

if TYPE_CHECKING:
    from sae_lens import SAE

__all__ = ["Need", "ready", "takes"]

P = ParamSpec("P")
R = TypeVar("R")
_CALLED = {
    "sae": "the SAE", "directions": "the SAE", "decoder": "the SAE", "pool": "the SAE of the pool",
    "parts": "the SAE of the parts", "meta": "the meta-SAE", "real": "the meta-SAE", "a": "the first SAE",
    "b": "the second SAE",
}  # fmt: skip
"""What an SAE is called in messages, by the parameter that holds it; others are "the <parameter> SAE"."""
_SAE = re.compile(r"(?<!Meta)SAE\[")


def takes(**needs: Need) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function with what it needs of its SAEs, by parameter; each is checked before the function begins.

    What a parameter may hold beside an SAE its annotation says: a ``MetaSAE``, a matrix (a NumPy one becomes a tensor),
    None, a sequence or a mapping of these, or ``Part``s. The function then raises ``ConfigError`` for anything else, and
    as ``require_dictionary`` does. What was declared is in the function's ``__takes__``. A check reads every weight once,
    which takes as long as encoding a few tokens does.

    >>> @takes(sae=Need.ACTIVATIONS)
    ... def n_latents(sae):
    ...     return sae.cfg.d_sae
    >>> n_latents("my-sae")
    Traceback (most recent call last):
        ...
    canonlib.errors.ConfigError: the SAE must be an SAE of SAELens, got a str: open it first, with canonlib.sae.open_sae.
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        names = signature(function)

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            given = names.bind(*args, **kwargs)
            for name, need in needs.items():
                if name in given.arguments:
                    annotation = str(names.parameters[name].annotation)
                    given.arguments[name] = _fit_all(given.arguments[name], annotation, need, name)
            return function(*given.args, **given.kwargs)

        checked.__dict__["__takes__"] = needs
        return checked

    return mark


def _fit_all(value: Any, annotation: str, need: Need, name: str) -> Any:
    """What a parameter holds, with every SAE in it checked, and brought to float32 where the need asks for it."""
    if "Mapping[" in annotation:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} must be a mapping such as {{512: sae}}, got a {type(value).__name__}.")
        return {key: _fit(one, annotation, need, f"the SAE of {key} latents") for key, one in value.items()}
    if "Sequence[" in annotation:
        if not isinstance(value, (list, tuple)) or hasattr(value, "sae"):
            raise ConfigError(f"{name} must be a list, got a {type(value).__name__}: write [one, other].")
        return [_fit(one, annotation, need, f"SAE {i} of {len(value)}") for i, one in enumerate(value, 1)]
    if value is None and "None" in annotation:
        return None
    return _fit(value, annotation, need, _CALLED.get(name, f"the {name} SAE"))


def _fit(value: Any, annotation: str, need: Need, called: str) -> Any:
    if "Tensor" in annotation and isinstance(value, (torch.Tensor, np.ndarray)):
        return as_matrix(value, "directions")
    inner = getattr(value, "sae", None)  # of a MetaSAE, or of a part of a stitched SAE
    if "Part" in annotation:
        if not hasattr(value, "latents"):
            raise ConfigError(
                f"{called} is a {type(value).__name__}: say which latents are wanted, Part(sae, latents)."
            )
        return value._replace(sae=ready(inner, need, called))
    if not isinstance(inner, torch.nn.Module):
        if "MetaSAE" in annotation and not _SAE.search(annotation):
            raise ConfigError(
                f"{called} must be a MetaSAE, got a {type(value).__name__}: MetaSAE.load(folder) opens one, and "
                "train_meta_sae(sae, config) trains one."
            )
        return ready(value if inner is None or callable(inner) else inner, need, called)
    fitted = ready(inner, need, called)
    if "MetaSAE" not in annotation:
        return fitted  # the SAE of a MetaSAE, where an SAE is asked for
    if fitted is inner:
        return value
    changed = copy.copy(value)
    object.__setattr__(changed, "sae", fitted)
    return changed


def ready(sae: SAE[Any], need: Need, called: str = "the SAE") -> SAE[Any]:
    """``sae`` once it has passed ``require_dictionary``: itself, or where ``need`` asks for more than directions and its
    weights are in half precision or in several, a copy in float32 (float64 where some are). Raises ``ConfigError`` as
    that does.
    """
    require_dictionary(sae, need, called)
    kept = {parameter.dtype for parameter in sae.parameters()}
    if need.covers(Need.ACTIVATIONS) and (len(kept) > 1 or kept & {torch.float16, torch.bfloat16}):
        return copy.deepcopy(sae).to(dtype=torch.float64 if torch.float64 in kept else torch.float32)
    return sae
