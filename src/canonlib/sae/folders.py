"""SAELens folders whose bytes depend on the SAE alone."""

from __future__ import annotations

import json
from pathlib import Path

from canonlib.store import write_json

CONFIG_FILE = "cfg.json"


def sort_configuration(folder: Path) -> None:
    """Sort the keys of a folder's ``cfg.json``: SAELens writes them in a set's order, which differs by process."""
    path = folder / CONFIG_FILE
    write_json(path, _sorted(json.loads(path.read_text(encoding="utf-8"))))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return value
