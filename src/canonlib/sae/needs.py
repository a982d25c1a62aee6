"""Every function that takes an SAE says what it needs of it, and its SAEs are checked before it begins.

An SAE in float16 or bfloat16 is brought to float32 before it encodes, which changes no weight: in its own precision the
sums over latents would be off in the third digit, and float16 ends at 65,504. float64 stays float64.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import torch

from canonlib.sae.dictionary import Need, require_dictionary

if TYPE_CHECKING:
    from sae_lens import SAE

__all__ = ["Need", "ready", "takes"]

P = ParamSpec("P")
R = TypeVar("R")
_HALVES = (torch.float16, torch.bfloat16)
_CALLED = {
    "sae": "SAE", "saes": "SAE", "parts": "SAE", "directions": "SAE", "decoder": "SAE", "pool": "SAE",
    "meta": "meta-SAE", "real": "meta-SAE", "a": "first SAE", "b": "second SAE",
}  # fmt: skip
"""What an SAE is called in messages, by the parameter that holds it; others are "the <parameter> SAE"."""


def takes(**needs: Need) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function with what it needs of its SAEs, by parameter; each is checked before the function begins.

    A parameter may hold an SAE, a ``MetaSAE``, something with an ``sae``, or a list or mapping of these; a NumPy matrix
    becomes a tensor, and tensors and None pass as they are. The function then raises ``ConfigError`` as ``require_dictionary`` does. What was declared is
    in the function's ``__takes__``.

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
                    given.arguments[name] = _fit(given.arguments[name], need, _CALLED.get(name, f"{name} SAE"))
            return function(*given.args, **given.kwargs)

        checked.__dict__["__takes__"] = needs
        return checked

    return mark


def _fit(value: Any, need: Need, called: str) -> Any:
    """``value`` with every SAE in it checked, and brought to float32 where the need asks for it."""
    if value is None or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray):
        return torch.as_tensor(value)
    if isinstance(value, Mapping):
        return {key: _fit(one, need, f"{called} of {key} latents") for key, one in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "sae"):
        return type(value)(_fit(one, need, called) for one in value)
    inner = getattr(value, "sae", None)  # of a MetaSAE, or of a part of a stitched SAE
    if inner is None or (callable(inner) and not isinstance(inner, torch.nn.Module)):
        return ready(value, need, called)
    fitted = ready(inner, need, called)
    if fitted is inner:
        return value
    if hasattr(value, "_replace"):
        return value._replace(sae=fitted)
    changed = copy.copy(value)
    object.__setattr__(changed, "sae", fitted)
    return changed


def ready(sae: SAE[Any], need: Need, called: str = "SAE") -> SAE[Any]:
    """``sae`` once it has passed ``require_dictionary``: itself, or where ``need`` asks for more than directions and it
    is in half precision, a copy in float32. Raises ``ConfigError`` as that does.
    """
    require_dictionary(sae, need, called)
    if need.covers(Need.ACTIVATIONS) and any(p.dtype in _HALVES for p in sae.parameters()):
        return copy.deepcopy(sae).to(dtype=torch.float32)
    return sae
