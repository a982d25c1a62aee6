"""Shuffled batches of activations whose n-th batch depends on the seed and n alone, so that training can resume."""

from __future__ import annotations

import torch

from canonlib.errors import require_positive
from canonlib.rows import Rows, as_rows

BUFFER_BYTES = 2**29
"""Activations held in memory at a time, when they are not all in memory anyway."""
BLOCK_ROWS = 256
"""Neighbouring rows that are read together from disk."""


class Batches:
    """Endless batches of rows, each epoch in a new order.

    ``rows``: ``Rows`` or a tensor [n_tokens, d_model]. What fits ``buffer_bytes`` is shuffled as a whole. More is
    shuffled in two steps: blocks of ``BLOCK_ROWS`` neighbouring rows are drawn in a random order, and the rows of as
    many blocks as fill the buffer are mixed, so that a batch mixes rows of thousands of places and no more than the
    buffer is in memory. ``batch(step)`` is the same for the same seed and step, whatever came before.
    Raises ``ConfigError`` for a ``size``, ``buffer_bytes`` or ``block`` below 1.
    """

    def __init__(
        self, rows: Rows | torch.Tensor, size: int, seed: int, buffer_bytes: int = BUFFER_BYTES, block: int = BLOCK_ROWS
    ) -> None:
        self.rows, self.size, self.seed = as_rows(rows), require_positive("batch", size), seed
        self._block = require_positive("block", block)
        held = require_positive("buffer_bytes", buffer_bytes) // (self.rows.d_model * 4)
        self._streams = held < len(self.rows)
        self._per_buffer = max(1, held // block)
        self._epoch, self._buffer = -1, -1
        self._order = self._starts = self._held = torch.empty(0)

    def batch(self, step: int) -> torch.Tensor:
        """[size, d_model], the batch of one step (counted from 0); it may span the end of an epoch.

        Raises ``ConfigError`` naming shard and row of a value that is not finite.
        """
        start, parts, wanted = step * self.size, [], self.size
        while wanted:
            epoch, offset = divmod(start, len(self.rows))
            part = self._streamed(epoch, offset, wanted) if self._streams else self._drawn(epoch, offset, wanted)
            parts.append(part)
            start, wanted = start + len(part), wanted - len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _generator(self, *numbers: int) -> torch.Generator:
        seed = self.seed
        for number in numbers:
            seed = seed * 1_000_003 + number
        return torch.Generator().manual_seed(seed % 2**63)

    def _drawn(self, epoch: int, offset: int, wanted: int) -> torch.Tensor:
        """Rows of one permutation of everything."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, torch.randperm(len(self.rows), generator=self._generator(epoch))
        return self.rows.read(self._order[offset : offset + wanted])

    def _streamed(self, epoch: int, offset: int, wanted: int) -> torch.Tensor:
        """Rows of the buffer that ``offset`` falls into, which is filled when it is another than before."""
        if epoch != self._epoch:
            self._epoch, self._buffer = epoch, -1
            n_blocks = -(-len(self.rows) // self._block)
            self._order = torch.randperm(n_blocks, generator=self._generator(epoch))
            lengths = (len(self.rows) - self._order * self._block).clamp(max=self._block)
            ends = lengths.cumsum(0)[self._per_buffer - 1 :: self._per_buffer]
            self._starts = torch.cat([torch.tensor([0]), ends])
        number = int(torch.searchsorted(self._starts, offset, right=True)) - 1
        if number != self._buffer:
            self._held = torch.empty(0)  # gone before the next one is read
            self._buffer, self._held = number, self._filled(epoch, number)
        inside = offset - int(self._starts[number])
        return self._held[inside : inside + wanted]

    def _filled(self, epoch: int, number: int) -> torch.Tensor:
        blocks = self._order[number * self._per_buffer : (number + 1) * self._per_buffer].sort().values
        places = (blocks[:, None] * self._block + torch.arange(self._block)).flatten()
        places = places[places < len(self.rows)]
        held = self.rows.read(places)
        return held[torch.randperm(len(held), generator=self._generator(epoch, number + 1))]
