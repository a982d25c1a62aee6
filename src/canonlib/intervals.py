"""Intervals for means over few repetitions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from canonlib.errors import ConfigError


class Interval(NamedTuple):
    """A mean with its confidence interval; the bounds are NaN for fewer than two values."""

    mean: float
    low: float
    high: float
    n: int
    """Values that it rests on."""

    def __format__(self, spec: str) -> str:
        """As ``0.91 (0.88 to 0.94)``, every number in the format ``spec``; the mean alone where there is no interval."""
        mean, low, high = (format(value, spec or ".2f") for value in self[:3])
        return f"{mean} ({low} to {high})" if self.n > 1 else mean

    @property
    def floor(self) -> float:
        """What a claim "at least" rests on: the lower bound, or the mean of a single value."""
        return self.low if self.n > 1 else self.mean

    @property
    def ceiling(self) -> float:
        """What a claim "at most" rests on: the upper bound, or the mean of a single value."""
        return self.high if self.n > 1 else self.mean

    @property
    def points(self) -> str:
        """A difference of shares in percentage points, as ``24 (20 to 27)``."""
        return f"{Interval(100 * self.mean, 100 * self.low, 100 * self.high, self.n):.0f}"


def mean_interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """The mean of ``values`` (one for each seed, say) with Student's t interval; NaN values are left out.

    Raises ``ConfigError`` for a confidence outside 0 ... 1.

    >>> found = mean_interval([0.90, 0.92, 0.91])
    >>> print(f"{found:.2f}, {found.n} seeds")
    0.91 (0.89 to 0.93), 3 seeds
    """
    from scipy.stats import t

    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must lie between 0 and 1, got {confidence!r}.")
    found = np.array([v for v in values if v == v], dtype=np.float64)
    n = len(found)
    if n < 2:
        return Interval(float(found[0]) if n else float("nan"), float("nan"), float("nan"), n)
    half = float(t.ppf((1 + confidence) / 2, n - 1) * found.std(ddof=1) / n**0.5)
    mean = float(found.mean())
    return Interval(mean, mean - half, mean + half, n)
