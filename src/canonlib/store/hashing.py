"""What an artefact's key is made of: canonical JSON of a whole configuration, and a hash of source files."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path, PurePath
from typing import Any

from canonlib import machine
from canonlib.errors import ConfigError

FORMAT = 1
"""Version of the store's layout and of the key's recipe; raising it makes every stored artefact unknown."""

SOURCE_SUFFIXES = (".py", ".csv")
"""Files of a package that count as its code: programs and the data tables that ship with them."""


def to_jsonable(value: Any, where: str = "config", *, class_names: bool = True) -> Any:
    """``value`` as plain dicts, lists, strings, numbers, booleans and None.

    Dataclasses become dicts (with ``class_names``, their class is recorded under ``"__class__"``, so that two
    configurations with the same fields but of different classes differ), tuples become lists, paths become strings
    with forward slashes, enums become their values.

    Raises ``ConfigError`` naming the field (``config.sae.lr``) for NaN, infinities, sets, keys that are not strings
    and any other object: what cannot be written down exactly cannot identify anything.
    """
    try:
        return _convert(value, where, class_names)
    except RecursionError:
        raise ConfigError(f"{where} contains itself or is nested too deeply: pass a finite structure.") from None


def _convert(value: Any, where: str, class_names: bool) -> Any:
    if isinstance(value, Enum):
        return _convert(value.value, where, class_names)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{where} is {value!r}, which JSON cannot hold: use None or a finite number.")
        return float(value)
    if isinstance(value, PurePath):
        return value.as_posix()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _convert_dataclass(value, where, class_names)
    if isinstance(value, Mapping):
        return _convert_mapping(value, where, class_names)
    if isinstance(value, (list, tuple)):
        return [_convert(v, f"{where}[{i}]", class_names) for i, v in enumerate(value)]
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise ConfigError(
        f"{where} is a {kind} ({_short(value)}), which cannot be written as JSON: "
        "write it as a string, a number, a list or a dict (sorted(...) for a set, str(...) for a dtype, "
        "float(...) or .tolist() for an array)."
    )


def _convert_dataclass(value: Any, where: str, class_names: bool) -> dict[str, Any]:
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    converted = {name: _convert(v, f"{where}.{name}", class_names) for name, v in fields.items()}
    return {"__class__": type(value).__qualname__, **converted} if class_names else converted


def _convert_mapping(value: Mapping[Any, Any], where: str, class_names: bool) -> dict[str, Any]:
    for name in value:
        if not isinstance(name, str):
            raise ConfigError(f"{where} has the key {name!r} of type {type(name).__name__}: keys must be strings.")
    return {str(name): _convert(v, f"{where}.{name}", class_names) for name, v in value.items()}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def canonical_json(obj: Any, where: str = "config") -> str:
    """One string per value: keys sorted, no spaces, ASCII, shortest exact floats. Raises as ``to_jsonable`` does.

    >>> canonical_json({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    return json.dumps(to_jsonable(obj, where), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def artefact_key(room: str, config: Any, code_version: str) -> str:
    """The key (64 hexadecimal digits) of the artefact that ``room`` makes from ``config`` with that code version.

    What is computed as other processors do (``machine.reproducible``) has keys of its own. Raises ``ConfigError`` when
    ``config`` cannot be written as JSON, and what ``machine.settle`` raises.
    """
    whole = {"format": FORMAT, "room": room, "config": to_jsonable(config), "code": code_version}
    if machine.reproducible():
        machine.settle()  # a key must not promise what this process does not do
        whole["arithmetic"] = "alike"
    return hashlib.sha256(canonical_json(whole).encode("ascii")).hexdigest()


def code_hash(code: Sequence[str] | str) -> str:
    """Hash (64 hexadecimal digits) of the source of the modules and packages named, without importing them.

    A module counts with its file; a package with every ``.py`` and ``.csv`` below it. Line endings do not count.
    Raises ``ConfigError`` for a name that has no source.
    """
    names = sorted({code} if isinstance(code, str) else set(code))
    digest = hashlib.sha256()
    for name in names:
        for label, path in source_files(name):
            content = path.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{label}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def source_files(name: str) -> list[tuple[str, Path]]:
    """``(label, path)`` of every source file of a module or package, labels independent of where it is installed.

    Raises ``ConfigError`` for a name that cannot be found or has no Python source.
    """
    spec = _find_spec(name)
    if spec.submodule_search_locations is not None:
        found = {}
        for location in spec.submodule_search_locations:
            for path in Path(location).rglob("*"):
                relative = path.relative_to(location)
                hidden = any(part.startswith((".", "__pycache__")) for part in relative.parts)
                if path.suffix in SOURCE_SUFFIXES and not hidden and path.is_file():
                    found[f"{name}/{relative.as_posix()}"] = path
        if found:
            return sorted(found.items())
    elif spec.origin is not None and spec.origin.endswith(".py") and Path(spec.origin).is_file():
        return [(f"{name}.py", Path(spec.origin))]
    raise ConfigError(f"code entry {name!r} has no Python source on disk: name a module or package with .py files.")


def _find_spec(name: str) -> ModuleSpec:
    # importlib.util.find_spec("a.b.c") would import a and a.b, which may be heavy: walk down through folders instead.
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    for i in range(len(rest)):
        if spec is None or spec.submodule_search_locations is None:
            break
        spec = PathFinder.find_spec(".".join([top, *rest[: i + 1]]), list(spec.submodule_search_locations))
    if spec is None or spec.name != name:
        raise ConfigError(f"code entry {name!r} is no importable module or package: check its dotted name.")
    return spec


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes (64 hexadecimal digits), read in blocks. Raises ``OSError`` when it cannot be read."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while n := file.readinto(buffer):
            digest.update(buffer[:n])
    return digest.hexdigest()
