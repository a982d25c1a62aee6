"""Errors that name the field, the value and the fix."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class CanonlibError(Exception):
    """Base of every error that canonlib raises on purpose; the command line prints it without a traceback."""


class ConfigError(CanonlibError, ValueError):
    """A field of a configuration has a value that cannot work."""


class StoreError(CanonlibError):
    """The artefact store cannot be read or written (read-only, full, locked)."""


class CorruptArtefactError(StoreError):
    """A stored file does not match its checksum; the message names the file."""


class ModelError(CanonlibError):
    """A model folder is missing, incomplete, or not what the tier says."""


class HubError(CanonlibError):
    """A tier needs a file from the hub and the hub cannot be reached."""


def one_line(exc: BaseException) -> str:
    """An error's text on one line, no longer than can be read."""
    return _cut(str(exc), 300)


def shown(value: object) -> str:
    """``value`` as it stands in a message: on one line, and cut where it is long.

    >>> shown("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
    """
    return _cut(repr(value), 80)


def _cut(text: str, most: int) -> str:
    told = " ".join(text.split())
    return told if len(told) <= most else told[: most - 3] + "..."


def unknown(field: str, value: object, choices: Iterable[str]) -> ConfigError:
    """A ``ConfigError`` for a name that is not one of ``choices``, with the nearest one suggested.

    >>> unknown("tier", "wrld", ["world", "gpt2-small"])
    ConfigError("unknown tier 'wrld'. Did you mean 'world'? Choose from: world, gpt2-small.")
    """
    names = [str(c) for c in choices]
    near = get_close_matches(str(value), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"unknown {field} {value!r}.{hint} Choose from: {', '.join(names)}.")


def require_positive(field: str, value: object) -> int:
    """Return ``value`` as an int, or raise ``ConfigError`` naming the field when it is not a whole number above zero.

    >>> require_positive("steps", 100)
    100
    >>> require_positive("steps", 0)
    Traceback (most recent call last):
        ...
    canonlib.errors.ConfigError: steps must be a whole number of at least 1, got 0.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ConfigError(f"{field} must be a whole number of at least 1, got {value!r}.")
    if value >= 2**62:
        raise ConfigError(f"{field} must be a whole number below {2**62}, got one of {value.bit_length()} bits.")
    return value


MOST_SEED = 2**62
"""Seeds lie below it: what is added to them stays below what PyTorch and NumPy take, 2**63."""


def require_seed(field: str, value: object) -> int:
    """Return ``value`` as an int, or raise ``ConfigError`` naming the field when it can seed nothing.

    >>> require_seed("seed", 2**63)
    Traceback (most recent call last):
        ...
    canonlib.errors.ConfigError: seed must be a whole number below 4611686018427387904, got 9223372036854775808.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{field} must be a whole number of at least 0, got {value!r}.")
    if value >= MOST_SEED:
        raise ConfigError(f"{field} must be a whole number below {MOST_SEED}, got {value}.")
    return value


def is_finite(value: object) -> bool:
    """Whether ``value`` is a number, and one that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def require_finite(field: str, value: float, above: float | None = None, least: float | None = None) -> float:
    """Return ``value``, or raise ``ConfigError`` naming the field when it is NaN, infinite, or out of bounds.

    >>> require_finite("timeout", float("inf"), above=0)
    Traceback (most recent call last):
        ...
    canonlib.errors.ConfigError: timeout must be a finite number above 0, got inf.
    """
    low = f" above {above:g}" if above is not None else f" of at least {least:g}" if least is not None else ""
    good = is_finite(value)
    if not good or (above is not None and not value > above) or (least is not None and not value >= least):
        raise ConfigError(f"{field} must be a finite number{low}, got {value!r}.")
    return value


_OURS = ("canonlib", "torch")
"""Packages whose lines a note does not point at: PyTorch's decorators stand between ours."""


def note(told: str, tell: Callable[[str], None] | None = None) -> None:
    """Say what the reader should know and is no error: to ``tell``, or as a ``UserWarning`` of the line that called us.

    >>> heard = []
    >>> note("the second SAE does not say its model_name", heard.append)
    >>> heard
    ['the second SAE does not say its model_name']
    """
    if tell is not None:
        tell(told)
        return
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OURS:
        frame, depth = frame.f_back, depth + 1
    warnings.warn(told, UserWarning, stacklevel=depth)
