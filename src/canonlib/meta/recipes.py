"""Named recipes: how the authors and SAEBench trained their meta-SAEs, as far as each says.

The paper, the post and the released weights disagree, so each is a recipe of its own. All train BatchTopK with four
active meta-latents. What the paper and the post leave out (start, encoder bias, second moment, auxiliary loss) is taken
from the configuration of the released weights; the post names no learning rate, and gets the paper's. The released
configuration's k_aux of 512 cannot be kept: SAELens's auxiliary loss uses half of d_model (384 on GPT-2 small).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canonlib.errors import require_positive, unknown
from canonlib.meta.config import MetaConfig

_AUTHORS: dict[str, Any] = {
    "k": 4.0, "decay": 0.0, "beta2": 0.99, "centred": False, "init": "random", "encoder_bias": False,
    "dead_after": 100, "aux_coefficient": 1 / 16,
}  # fmt: skip


def _paper(n: int) -> dict[str, Any]:
    """2,000 epochs, lr 1e-4, batch 4,096 (Leask et al. 2025)."""
    return {**_AUTHORS, "lr": 1e-4, "batch_size": 4096, "steps": 2000 * max(n // 4096, 1)}


def _post(n: int) -> dict[str, Any]:
    """2,000 batches of 16,384 (the meta-SAE post, 2024)."""
    return {**_AUTHORS, "lr": 1e-4, "batch_size": 16_384, "steps": 2000}


def _released(n: int) -> dict[str, Any]:
    """lr 1e-3, 2,000 batches of 16,384 (configuration of the released weights)."""
    return {**_AUTHORS, "lr": 1e-3, "batch_size": 16_384, "steps": 2000}


def _saebench(n: int) -> dict[str, Any]:
    """1,500 batches of 1,024 drawn with replacement, lr 5e-4, no auxiliary loss in time (SAEBench, meta_structure)."""
    return {"k": 4.0, "lr": 5e-4, "decay": 0.0, "steps": 1500, "batch_size": 1024, "sampling": "replacement",
            "centred": False, "init": "random", "dead_after": 2000, "aux_coefficient": 1.0}  # fmt: skip


_RECIPES: dict[str, Callable[[int], dict[str, Any]]] = {
    "canonlib": lambda n: {},
    "paper": _paper,
    "post": _post,
    "released": _released,
    "saebench": _saebench,
}
RECIPES = tuple(_RECIPES)
"""Names of the recipes."""


def recipe(name: str, n_latents: int, n_directions: int, **overrides: Any) -> MetaConfig:
    """The recipe ``name`` for ``n_latents`` meta-latents on ``n_directions`` decoder directions, fields overridden.

    "canonlib" is ``MetaConfig``'s defaults; "paper", "post", "released" and "saebench" are as their sources say (see
    the module). The authors use 2,304 meta-latents on 49,152 latents, SAEBench a quarter as many meta-latents as
    latents. Where an epoch has fewer directions than a batch, a step takes them all (``MetaConfig.rows_per_step``).
    Raises ``ConfigError`` for an unknown name or field.

    >>> recipe("released", n_latents=2304, n_directions=49_152).lr
    0.001
    >>> recipe("paper", n_latents=2304, n_directions=49_152).steps
    24000
    """
    require_positive("n_directions", n_directions)
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    for field in overrides:
        if field not in MetaConfig.__dataclass_fields__:
            raise unknown("field of MetaConfig", field, list(MetaConfig.__dataclass_fields__))
    return MetaConfig(**{"n_latents": n_latents, **_RECIPES[name](n_directions), **overrides})
