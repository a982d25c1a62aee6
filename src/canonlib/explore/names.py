"""Names from a file: of latents or meta-latents, typed by hand, or what a language model said of meta-latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from canonlib.errors import ConfigError
from canonlib.store.reading import read_json

OBJECT = '{"12": "a name"}'


class Names(NamedTuple):
    """A name for each, "" for none, and how far each can be trusted (None where the file does not say)."""

    names: list[str]
    scores: list[float | None]


def latent_names(path: Path, n: int) -> list[str]:
    """A name for each of ``n`` latents from a JSON object, "" for none.

    Raises ``ConfigError``, naming ``--names``, for a file that cannot be read and for numbers that no latent has.
    """
    told = read_json(path, f"--names {path}", kind=None)
    if isinstance(told, list):
        raise ConfigError(
            f"--names {path} holds a list, as `canonlib interpret --out` writes it of meta-latents: give it to "
            f"--meta-names, or write an object such as {OBJECT}."
        )
    return _numbered(told, path, n, "--names")


def meta_names(path: Path, n: int) -> Names:
    """A name for each of ``n`` meta-latents from a JSON object, or from what ``canonlib interpret --out`` wrote.

    The latter has a score, the accuracy of each explanation. Raises ``ConfigError``, naming ``--meta-names``, for a
    file that cannot be read, rows that are neither, and numbers that no meta-latent has.
    """
    told = read_json(path, f"--meta-names {path}", kind=None)
    if not isinstance(told, list):
        return Names(_numbered(told, path, n, "--meta-names"), [None] * n)
    rows = {_place(row, i, path): row for i, row in enumerate(told)}
    names = _numbered({str(m): row["explanation"] for m, row in rows.items()}, path, n, "--meta-names")
    scores: list[float | None] = [None] * n
    for m, row in rows.items():
        accuracy = row.get("accuracy")
        if names[m] and isinstance(accuracy, (int, float)) and 0 <= accuracy <= 1:
            scores[m] = float(accuracy)
    return Names(names, scores)


def _place(row: Any, i: int, path: Path) -> int:
    """The meta-latent that a row of ``canonlib interpret`` speaks of."""
    number = row.get("meta_latent") if isinstance(row, dict) else None
    if isinstance(number, bool) or not isinstance(number, int) or not isinstance(row.get("explanation"), str):
        raise ConfigError(
            f'--meta-names {path}: entry {i} has no "meta_latent" with an "explanation": give what `canonlib interpret '
            f"--out` wrote, or an object such as {OBJECT}."
        )
    return number


def _numbered(told: Any, path: Path, n: int, option: str) -> list[str]:
    if not isinstance(told, dict) or not all(isinstance(v, str) for v in told.values()):
        raise ConfigError(f"{option} {path} must hold an object such as {OBJECT}.")
    wrong = [key for key in told if not (key.isascii() and key.isdecimal() and len(key) < 10 and int(key) < n)]
    if wrong:
        raise ConfigError(f"{option} {path} names {wrong[0]!r}, and numbers go from 0 to {n - 1}.")
    found = {int(key): name for key, name in told.items()}
    return [found.get(i, "") for i in range(n)]
