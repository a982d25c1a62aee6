"""Errors that name the field, the value and the fix."""

from __future__ import annotations

from collections.abc import Iterable
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
    return value
