"""The ``parameters`` cell of a chapter: what may be set from the command line, and to which type."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from canonlib.errors import ConfigError, unknown

Value = int | float | bool | str | None
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
"""In the order in which a text is tried, where several fit."""


class Parameter(NamedTuple):
    """A name in the ``parameters`` cell."""

    default: Value
    kinds: tuple[type, ...]
    """Types that a value may have, of its annotation, or else of its default."""
    optional: bool
    """Whether it may be None."""


def chapter_parameters(source: Path) -> dict[str, Parameter]:
    """The ``parameters`` cell of a py:percent ``source``; empty when it has none."""
    import jupytext

    cells = [c for c in jupytext.read(source).cells if "parameters" in c.metadata.get("tags", [])]
    found: dict[str, Parameter] = {}
    for node in ast.parse("\n".join(c.source for c in cells)).body:
        target, value = _assignment(node)
        if target and isinstance(value, (int, float, str, type(None))):
            said = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            words = set(re.findall(r"\w+", said))
            kinds = tuple(kind for name, kind in _KINDS.items() if name in words)
            own = () if value is None else (type(value),)
            found[target] = Parameter(
                value, kinds or own or tuple(_KINDS.values()), value is None or bool(words & {"None", "Optional"})
            )
    return found


def _assignment(node: ast.stmt) -> tuple[str, Any]:
    """Name and literal value of ``name = literal`` or ``name: type = literal``; ``("", ())`` for the rest."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if len(targets) != 1 or not isinstance(targets[0], ast.Name) or node.value is None:  # type: ignore[attr-defined]
        return "", ()
    try:
        return targets[0].id, ast.literal_eval(node.value)  # type: ignore[attr-defined]
    except ValueError:
        return "", ()


def read_value(name: str, text: str, parameter: Parameter) -> Value:
    """``text`` as a type that the parameter may have; ``ConfigError`` names the parameter, the text and the types."""
    if parameter.optional and text.lower() in ("none", ""):
        return None
    for kind in parameter.kinds:
        try:
            if kind is not bool:
                value: Value = kind(text)
                return value
            if len(parameter.kinds) == 1 or text.lower() in ("true", "false"):
                return _BOOLS[text.lower()]
        except (KeyError, ValueError):
            continue
    kinds = " or ".join([kind.__name__ for kind in parameter.kinds] + ["None"] * parameter.optional)
    raise ConfigError(f"parameter {name} must be of type {kinds} like its default {parameter.default!r}, got {text!r}.")


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
    """Folder name of a run: the stem, then ``-name-value`` for each parameter, safe for every file system.

    Where a value loses signs by that, a hash of what it was follows, so that two runs never share a folder.
    """
    whole = stem + "".join(f"-{name}-{value}" for name, value in sorted(values.items()))
    safe = re.sub(r"[^\w.-]+", "_", whole)[:120]
    return safe if safe == whole else f"{safe}-{hashlib.sha256(whole.encode('utf-8', 'replace')).hexdigest()[:8]}"
