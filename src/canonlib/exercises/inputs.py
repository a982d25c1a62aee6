"""What the checks ask of the numbers that a chapter, not the learner, hands them."""

from __future__ import annotations

import math

from canonlib.errors import ConfigError

__all__ = ["require_above_zero"]


def require_above_zero(field: str, value: float) -> float:
    """``value`` as a float; raises ``ConfigError`` naming ``field`` when it is not finite or not above zero."""
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{field} is {value!r}: give a finite number above zero.")
    return float(value)
