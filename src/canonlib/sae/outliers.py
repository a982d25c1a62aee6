"""Rows of a norm far above the others': they carry the sums, and ordinary tokens are not seen behind them.

Language models give some tokens, the first of a text before all, activations of a hundred times the usual norm. With 1%
of them, 99% of a squared error and of a variance are theirs. The rule is one number: a row is an outlier when its norm
is more than ``OUTLIER`` times the median norm; ``max_norm`` puts another number in its place, and leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from canonlib.errors import ConfigError, note, require_finite
from canonlib.rows import Rows, as_rows, row_norms

OUTLIER = 10.0
"""Multiple of the median norm above which a row is an outlier."""
OUTWEIGH = 0.1
"""Share of the squared norm that outliers carry when they are worth a note."""
_SAMPLE = 16_384
"""Rows from which the median norm is taken."""


def typical_norm(activations: Any) -> float:
    """The median norm of ``activations`` ``[n_tokens, d_model]`` (``Rows``, tensor or array), of 16,384 rows at most.

    >>> typical_norm(torch.tensor([[3.0, 4.0], [3.0, 4.0], [300.0, 400.0]]))
    5.0
    """
    return float(row_norms(as_rows(activations).scattered(_SAMPLE, finite=False)).nanmedian())


class Outliers:
    """Tells rows apart while they stream by, and says at the end what the outliers carried.

    max_norm: a multiple of the median norm above which rows are left out; None leaves none out. Raises ``ConfigError``
    for one that is no finite number of at least 1, and where the median is zero.
    """

    def __init__(self, activations: Any, max_norm: float | None = None) -> None:
        self.leaves_out = max_norm is not None
        self.multiple = OUTLIER if max_norm is None else require_finite("max_norm", max_norm, least=1)
        typical = typical_norm(activations)
        if max_norm is not None and typical == 0:
            raise ConfigError(
                "max_norm is a multiple of the median norm, which is 0: most rows of the activations are zero."
            )
        self.limit = self.multiple * typical
        self.n = self.n_far = 0
        self.squares = self.far_squares = 0.0

    def split(self, block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The ordinary rows of a block ``[n_tokens, d_model]``, and the others; None for none (or where they are left out)."""
        norms = row_norms(block)
        far = norms > self.limit if self.limit > 0 else torch.zeros_like(norms, dtype=torch.bool)
        self.n += len(block)
        self.squares += float(norms.square().sum())
        n_far = int(far.sum())
        if not n_far:
            return block, None
        self.n_far += n_far
        self.far_squares += float(norms[far].square().sum())
        return block[~far], None if self.leaves_out else block[far]

    @property
    def outweigh(self) -> bool:
        """Whether the outliers carry so much that a figure over all rows is theirs."""
        return not self.leaves_out and self.far_squares > OUTWEIGH * self.squares

    def require_some(self) -> None:
        """Raise ``ConfigError`` when every row was left out."""
        if self.leaves_out and self.n_far == self.n:
            raise ConfigError(f"max_norm = {self.multiple:g} leaves out all {self.n} rows: raise it.")

    def tell(self, what: str, beside: str = "", tell: Callable[[str], None] | None = None, looked_at: str = "") -> None:
        """Note outliers that outweigh the others. ``what`` follows them, ``beside`` is the robust figure."""
        if self.outweigh:
            note(
                f"{self.n_far:,} of {self.n:,} rows{looked_at} have more than {self.multiple:g} times the median norm and carry "
                f"{self.far_squares / self.squares:.0%} of all squared norms: they decide {what}"
                f"{beside}. A max_norm (--max-norm) of {OUTLIER:g} leaves them out.",
                tell,
            )


def ordinary_rows(
    activations: Any,
    max_norm: float | None = None,
    tell: Callable[[str], None] | None = None,
    what: str = "every figure",
) -> Rows:
    """``activations`` as ``Rows``, without those of more than ``max_norm`` times the median norm; None keeps all of them,
    with a note where outliers outweigh the others.

    Raises ``ConfigError`` as ``Outliers`` does.

    >>> tokens = torch.ones(100, 4)
    >>> tokens[0] *= 1000
    >>> len(ordinary_rows(tokens, max_norm=10))
    99
    """
    rows, found = as_rows(activations), Outliers(activations, max_norm)
    if max_norm is not None:
        return rows.within(found.limit)
    found.split(rows.scattered(_SAMPLE))
    found.tell(what, tell=tell, looked_at=" looked at" * (len(rows) > _SAMPLE))
    return rows
