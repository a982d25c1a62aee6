"""Activations row by row, wherever they lie: shards in memory or on disk, and a choice of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from canonlib.errors import ConfigError

_READ = 65_536
"""Rows read together where all of them are looked at."""


def all_finite(values: torch.Tensor) -> bool:
    """Whether no value (of a tensor of any shape) is NaN or infinite; one pass in the usual case, for a sum is finite
    only if every term is.
    """
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def row_norms(rows: torch.Tensor) -> torch.Tensor:
    """Length of each row of ``[n_tokens, d_model]``, float64 ``[n_tokens]``: what every rule about norms looks at."""
    return torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)


FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
"""Types of numbers that activations, directions and weights may have."""


def require_matrix(values: Any, name: str = "activations") -> tuple[int, int]:
    """The shape of a floating-point matrix ``[n_tokens, d_model]``: a tensor or a NumPy array, memory-mapped or not.

    Raises ``ConfigError``, naming ``name``, for anything else, with what to write for other shapes and types.

    >>> require_matrix(torch.zeros(2, 3, 4))
    Traceback (most recent call last):
        ...
    canonlib.errors.ConfigError: activations must be [n_tokens, d_model], got shape [2, 3, 4]: write activations.reshape(-1, 4).
    """
    if not isinstance(values, (torch.Tensor, np.ndarray)):
        raise ConfigError(f"{name} must be a tensor or a NumPy array, got a {type(values).__name__}.")
    if isinstance(values, torch.Tensor):
        _require_dense(values, name)
    elif isinstance(values, np.ma.MaskedArray):
        raise ConfigError(f"{name} are a masked array, and what is masked would count: write the rows that shall.")
    shape = list(values.shape)
    if len(shape) != 2:
        fix = f": write {name}.reshape(-1, {shape[-1]})" if len(shape) > 2 else ""
        raise ConfigError(f"{name} must be [n_tokens, d_model], got shape {shape}{fix}.")
    if values.dtype not in FLOATS and getattr(values.dtype, "kind", "") != "f":
        raise ConfigError(
            f"{name} are {str(values.dtype).removeprefix('torch.')}: real numbers are expected, as a model gives them; for "
            "others write .astype('float32') or .float() yourself."
        )
    return shape[0], shape[1]


def _require_dense(values: torch.Tensor, name: str) -> None:
    kind = (
        "nested" if values.is_nested else "quantized" if values.is_quantized else "on the meta device, without numbers"
        if values.is_meta else "sparse" if values.layout != torch.strided else ""
    )  # fmt: skip
    if kind:
        raise ConfigError(f"{name} are {kind}: give a dense tensor of numbers.")


def native(values: np.ndarray[Any, Any]) -> torch.Tensor:
    """A copy of an array of real numbers ``[n_tokens, d_model]`` as a tensor, whatever its byte order and strides; long
    doubles become float64.
    """
    kind = np.float64 if values.dtype.itemsize > 8 else values.dtype.newbyteorder("=")
    return torch.from_numpy(np.array(values, dtype=kind, order="C"))


def as_matrix(values: Any, name: str) -> torch.Tensor:
    """A matrix of directions ``[n_latents, d_model]`` as a plain tensor; whole numbers become float32.

    Raises ``ConfigError``, naming ``name``, for what is no dense matrix of real numbers.
    """
    if isinstance(values, np.ndarray):
        whole = values.dtype.kind in "iub" and not isinstance(values, np.ma.MaskedArray)
        values = torch.from_numpy(values.astype(np.float32)) if whole else values
    elif isinstance(values, torch.Tensor) and values.layout == torch.strided and not values.is_quantized:
        whole = not values.is_floating_point() and not values.is_complex()
        values = values.float() if whole and not values.is_meta else values
    require_matrix(values, name)
    if isinstance(values, np.ndarray):
        return native(values)
    return values if type(values) in (torch.Tensor, torch.nn.Parameter) else values.as_subclass(torch.Tensor)


class Rows:
    """Rows of one or more shards ``[n, d_model]``, read only where they are asked for, and always as float32.

    Shards may be tensors and NumPy arrays of any floating-point type, memory-mapped or not, and of different types;
    ``chosen`` (indices into all rows, ascending) keeps some of them. Raises ``ConfigError`` for no rows, and for shards
    of other types and shapes or of different ``d_model``.

    >>> rows = Rows([torch.zeros(3, 2), torch.ones(2, 2)])
    >>> len(rows), rows.d_model, rows.read(torch.tensor([2, 3])).tolist()
    (5, 2, [[0.0, 0.0], [1.0, 1.0]])
    """

    def __init__(
        self, shards: Sequence[Any], names: Sequence[str] | None = None, chosen: torch.Tensor | None = None
    ) -> None:
        self.shards = list(shards)
        self.names = list(names) if names is not None else [f"shard {i}" for i in range(len(self.shards))]
        widths = {require_matrix(s, name)[1] for s, name in zip(self.shards, self.names, strict=True)}
        if len(widths) > 1:
            raise ConfigError(f"shards have different d_model ({', '.join(map(str, sorted(widths)))}): harvest again.")
        self._starts = torch.tensor([0, *(len(s) for s in self.shards)]).cumsum(0)
        self._chosen = chosen
        if len(self) == 0:
            raise ConfigError("activations must hold at least one row, got none.")
        self.d_model = widths.pop()

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._chosen is None else len(self._chosen)

    def read(self, rows: torch.Tensor, finite: bool = True) -> torch.Tensor:
        """The rows of these numbers, float32 ``[len(rows), d_model]``, in memory.

        Raises ``ConfigError`` naming shard, row and coordinate of the first value that is not finite (``finite``).
        """
        place = rows if self._chosen is None else self._chosen[rows]
        if len(self.shards) == 1:
            out = _take(self.shards[0], place)
        else:
            shard = torch.searchsorted(self._starts, place, right=True) - 1
            first = self.shards[0]
            out = torch.empty(
                len(place), self.d_model, device=first.device if isinstance(first, torch.Tensor) else "cpu"
            )
            for i in shard.unique().tolist():
                here = (shard == i).nonzero()[:, 0]
                out[here] = _take(self.shards[i], place[here] - self._starts[i])
        if finite and not all_finite(out):
            raise self._not_finite(place, out)
        return out

    def sample(self, n: int) -> torch.Tensor:
        """At most ``n`` rows at an even stride, ``[n, d_model]``; errors as in ``read``."""
        return self.read(torch.arange(0, len(self), max(1, -(-len(self) // n))))

    def scattered(self, n: int, finite: bool = True) -> torch.Tensor:
        """At most ``n`` rows, one from a chance place in each of ``n`` equal stretches, ``[n, d_model]``; always the same.

        For figures about all rows: an even stride can fall into step with texts of one length, and see one position of
        them alone. Errors as in ``read``.
        """
        if len(self) <= n:
            return self.read(torch.arange(len(self)), finite)
        chance = torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return self.read(((torch.arange(n) + chance) * (len(self) / n)).long().clamp_max(len(self) - 1), finite)

    def within(self, limit: float) -> Rows:
        """Those rows whose norm is at most ``limit``. Raises ``ConfigError`` when there are none."""
        every = torch.arange(len(self))
        kept = torch.cat([part[row_norms(self.read(part)).cpu() <= limit] for part in every.split(_READ)])
        return Rows(self.shards, self.names, kept if self._chosen is None else self._chosen[kept])

    def _not_finite(self, place: torch.Tensor, values: torch.Tensor) -> ConfigError:
        row, coordinate = (~torch.isfinite(values)).nonzero()[0].tolist()
        where = int(place[row])
        shard = int(torch.searchsorted(self._starts, where, right=True)) - 1
        return ConfigError(
            f"activations are not finite: {self.names[shard]}, row {where - int(self._starts[shard])}, coordinate "
            f"{coordinate} is {values[row, coordinate].item()}. Drop that token or harvest again in float32."
        )


def _take(shard: Any, place: torch.Tensor) -> torch.Tensor:
    if isinstance(shard, torch.Tensor):
        return shard.detach()[place.to(shard.device)].float()
    return torch.from_numpy(np.asarray(shard[place.numpy()], dtype=np.float32))


def as_rows(activations: Any) -> Rows:
    """``activations`` as ``Rows``: a matrix ``[n_tokens, d_model]`` (tensor or array), or a list of them, one a shard.

    Raises ``ConfigError`` for other shapes and types.

    >>> len(as_rows(torch.zeros(4, 2))), len(as_rows([torch.zeros(4, 2), np.zeros((1, 2))]))
    (4, 5)
    """
    if isinstance(activations, Rows):
        return activations
    if isinstance(activations, (list, tuple)):
        return Rows(activations)
    return Rows([activations], ["activations"])
