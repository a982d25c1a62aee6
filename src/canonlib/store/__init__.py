"""The artefact store: anything slow is computed once, checked on every reading, and never left half-written."""

from __future__ import annotations

from canonlib.store.artefact import Artefact
from canonlib.store.build import Build
from canonlib.store.files import none_for_nan, write_json, write_tensors
from canonlib.store.hashing import artefact_key, canonical_json, code_hash, sha256_file, to_jsonable
from canonlib.store.housekeeping import Problem, Removal
from canonlib.store.store import Store, default_root

__all__ = [
    "Artefact",
    "Build",
    "Problem",
    "Removal",
    "Store",
    "artefact_key",
    "canonical_json",
    "code_hash",
    "default_root",
    "none_for_nan",
    "sha256_file",
    "to_jsonable",
    "write_json",
    "write_tensors",
]
