"""Shuffled batches of activations whose n-th batch depends on the seed and n alone, so that training can resume."""

from __future__ import annotations

import torch

from canonlib.errors import ConfigError, require_positive


class Batches:
    """Endless batches of rows, each epoch a new permutation.

    ``rows``: [n_tokens, d_model]. ``batch(step)`` is the same for the same seed and step, whatever came before.
    """

    def __init__(self, rows: torch.Tensor, size: int, seed: int) -> None:
        if len(rows) == 0:
            raise ConfigError("activations must hold at least one row, got none.")
        self.rows, self.size, self.seed = rows, require_positive("batch", size), seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def _permutation(self, epoch: int) -> torch.Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(len(self.rows), generator=generator)
        return self._order

    def batch(self, step: int) -> torch.Tensor:
        """[size, d_model], the batch of one step (counted from 0); it may span the end of an epoch."""
        start, parts, wanted = step * self.size, [], self.size
        while wanted:
            epoch, offset = divmod(start, len(self.rows))
            chosen = self._permutation(epoch)[offset : offset + wanted]
            parts.append(self.rows[chosen])
            start, wanted = start + len(chosen), wanted - len(chosen)
        return torch.cat(parts)
