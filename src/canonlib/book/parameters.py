"""The ``parameters`` cell of a chapter: what may be set from the command line, and to which type."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from canonlib.errors import ConfigError, unknown

Value = int | float | bool | str
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def chapter_parameters(source: Path) -> dict[str, Value]:
    """Names and defaults in the ``parameters`` cell of a py:percent ``source``; empty when it has none."""
    import jupytext

    cells = [c for c in jupytext.read(source).cells if "parameters" in c.metadata.get("tags", [])]
    found: dict[str, Value] = {}
    for node in ast.parse("\n".join(c.source for c in cells)).body:
        target, value = _assignment(node)
        if target and isinstance(value, (int, float, str)):
            found[target] = value
    return found


def _assignment(node: ast.stmt) -> tuple[str, Any]:
    """Name and literal value of ``name = literal`` or ``name: type = literal``; ``("", None)`` for the rest."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if len(targets) != 1 or not isinstance(targets[0], ast.Name):
        return "", None
    try:
        return targets[0].id, ast.literal_eval(node.value)  # type: ignore[attr-defined]
    except ValueError:
        return "", None


def read_value(name: str, text: str, default: Value) -> Value:
    """``text`` as the type of ``default``; ``ConfigError`` names the parameter, the text and the type."""
    try:
        if isinstance(default, bool):
            return _BOOLS[text.lower()]
        return type(default)(text)
    except (KeyError, ValueError):
        kind = f"{type(default).__name__} like its default {default!r}"
        raise ConfigError(f"parameter {name} must be of type {kind}, got {text!r}.") from None


def check_parameters(source: Path, given: dict[str, str]) -> dict[str, Value]:
    """``given`` texts as values for this chapter; ``ConfigError`` lists the choices when one is not a parameter."""
    known = chapter_parameters(source) if given else {}
    for name in given:
        if not known:
            raise ConfigError(f"chapter {source.stem} has no parameters cell, so {name!r} cannot be set.")
        if name not in known:
            raise unknown(f"parameter of chapter {source.stem}", name, known)
    return {name: read_value(name, text, known[name]) for name, text in given.items()}


def run_name(stem: str, values: dict[str, Value]) -> str:
    """Folder name of a run: the stem, then ``-name-value`` for each parameter, safe for every file system."""
    pairs = "".join(f"-{name}-{value}" for name, value in sorted(values.items()))
    return re.sub(r"[^\w.-]+", "_", stem + pairs)[:120]
