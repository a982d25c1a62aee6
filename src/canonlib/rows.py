"""Activations row by row, wherever they lie: shards in memory or on disk, and a choice of their rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from canonlib.errors import ConfigError


def all_finite(values: torch.Tensor) -> bool:
    """Whether no value (of a tensor of any shape) is NaN or infinite; one pass in the usual case, for a sum is finite
    only if every term is.
    """
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


class Rows:
    """Rows of one or more shards ``[n, d_model]``, read only where they are asked for.

    Shards may be memory-mapped tensors; ``chosen`` (indices into all rows, ascending) keeps some of them. Raises
    ``ConfigError`` for no rows and for shards of different ``d_model``.

    >>> rows = Rows([torch.zeros(3, 2), torch.ones(2, 2)])
    >>> len(rows), rows.d_model, rows.read(torch.tensor([2, 3])).tolist()
    (5, 2, [[0.0, 0.0], [1.0, 1.0]])
    """

    def __init__(
        self, shards: Sequence[torch.Tensor], names: Sequence[str] | None = None, chosen: torch.Tensor | None = None
    ) -> None:
        self.shards = list(shards)
        self.names = list(names) if names is not None else [f"shard {i}" for i in range(len(self.shards))]
        widths = {int(s.shape[1]) for s in self.shards}
        if len(widths) > 1:
            raise ConfigError(f"shards have different d_model ({', '.join(map(str, sorted(widths)))}): harvest again.")
        self._starts = torch.tensor([0, *(len(s) for s in self.shards)]).cumsum(0)
        self._chosen = chosen
        if len(self) == 0:
            raise ConfigError("activations must hold at least one row, got none.")
        self.d_model = widths.pop()

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._chosen is None else len(self._chosen)

    def read(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of these numbers, ``[len(rows), d_model]``, in memory.

        Raises ``ConfigError`` naming shard, row and coordinate of the first value that is not finite.
        """
        place = rows if self._chosen is None else self._chosen[rows]
        if len(self.shards) == 1:
            out = self.shards[0][place]
        else:
            out = self.shards[0].new_empty(len(place), self.d_model)
            shard = torch.searchsorted(self._starts, place, right=True) - 1
            for i in shard.unique().tolist():
                here = (shard == i).nonzero()[:, 0]
                out[here] = self.shards[i][place[here] - self._starts[i]]
        if not all_finite(out):
            raise self._not_finite(place, out)
        return out

    def sample(self, n: int) -> torch.Tensor:
        """At most ``n`` rows, evenly spread, ``[n, d_model]``."""
        return self.read(torch.arange(0, len(self), max(1, -(-len(self) // n))))

    def _not_finite(self, place: torch.Tensor, values: torch.Tensor) -> ConfigError:
        row, coordinate = (~torch.isfinite(values)).nonzero()[0].tolist()
        where = int(place[row])
        shard = int(torch.searchsorted(self._starts, where, right=True)) - 1
        return ConfigError(
            f"activations are not finite: {self.names[shard]}, row {where - int(self._starts[shard])}, coordinate "
            f"{coordinate} is {values[row, coordinate].item()}. Drop that token or harvest again in float32."
        )


def as_rows(activations: Rows | torch.Tensor) -> Rows:
    """``activations`` as ``Rows``; a tensor must be ``[n_tokens, d_model]``: ``ConfigError`` for another shape.

    >>> len(as_rows(torch.zeros(4, 2)))
    4
    """
    if isinstance(activations, Rows):
        return activations
    if activations.ndim != 2:
        raise ConfigError(f"activations must be [n_tokens, d_model], got shape {list(activations.shape)}.")
    return Rows([activations], ["activations"])
