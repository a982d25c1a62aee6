"""Files of the user's own, read so that nothing waits, overflows or fails but with one line that says which and why."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from canonlib.errors import ConfigError

MOST_BYTES = 2**28
"""Bytes of a JSON file that are read at most (256 MiB)."""
_KINDS: dict[type, str] = {dict: "an object", list: "a list"}


def require_regular(path: Path, subject: str) -> os.stat_result:
    """What ``stat`` says of a regular file (links are followed).

    Raises ``ConfigError``, beginning with ``subject``, for one that is missing, and for a folder, a device or a pipe,
    which would be waited for.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as exc:
        told = "it is not there" if isinstance(exc, (FileNotFoundError, NotADirectoryError)) else f"{exc}"
        raise ConfigError(f"{subject} cannot be read ({told}).") from exc
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise ConfigError(f"{subject} is {kind}: give a file.")
    return found


def read_text(path: Path, subject: str, most: int | None = None) -> str:
    """The text of a regular file in UTF-8. Raises ``ConfigError``, beginning with ``subject``, for anything else."""
    size = require_regular(path, subject).st_size
    if most is not None and size > most:
        raise ConfigError(f"{subject} has {size:,} bytes, and {most:,} at most are read: give a part of it.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{subject} cannot be read ({exc}).") from exc


def read_json(path: Path, subject: str, kind: type | None = dict, most: int = MOST_BYTES) -> Any:
    """The content of a JSON file, an object unless ``kind`` says list, or None for either.

    Raises ``ConfigError``, beginning with ``subject``, for a file that cannot be read or holds something else.
    """
    text = read_text(path, subject, most)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        told = "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise ConfigError(f"{subject} cannot be read as JSON ({told}).") from exc
    if kind is not None and not isinstance(found, kind):
        raise ConfigError(f"{subject} holds {_told(found)}, and {_KINDS[kind]} is expected.")
    return found


def _told(value: object) -> str:
    """What JSON calls it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return {"dict": "an object", "list": "a list", "str": "a text"}.get(type(value).__name__, "a number")
