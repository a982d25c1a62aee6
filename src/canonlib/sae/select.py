"""Which latents are active: the largest pre-activations of a batch or of each token, found without keeping all of them.

A TopK-like SAE uses k of n latents per token, so nearly all of the [n_tokens, n_latents] matrix of pre-activations is
made to be thrown away. Here it is made in blocks that stay in the processor's cache, in one buffer, and only entries
that can be among the largest leave the block. What comes out is exact; the running threshold only saves time, and so
does the search in bfloat16 on processors that are fast at it (``preselect``).
"""

from __future__ import annotations

import torch

from canonlib.sae.entries import Encoder, Entries, above, kth_largest, positions, row_offsets
from canonlib.sae.preselect import Preselector, exact, pays

_BLOCK_BYTES = 8 * 2**20
"""Pre-activations that are made at a time: the product is slower on fewer rows, the search on more than a cache holds."""
_GPU_BLOCK_BYTES = 2**28
"""The same on a GPU, where a block costs the launch of its kernels and a wait for the number of its entries."""
_MIN_ROWS = 256
_SAMPLED_ROWS = 64
_FIRST_DRIFT = 0.02
_LEAST_MARGIN = 0.005
_FORGET = 0.8
"""Of how much the threshold moved from batch to batch, the largest is remembered, and fades by this at each batch."""


class Selector:
    """Finds the active latents of batches; keeps its buffers and a running threshold from one batch to the next."""

    def __init__(self) -> None:
        self._threshold: float | None = None
        self._smallest: float | None = None
        self._drift = _FIRST_DRIFT
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None
        self._preselector = Preselector()

    def over_batch(self, x: torch.Tensor, encoder: Encoder, n_active: int) -> Entries:
        """The ``n_active`` largest positive scores of the batch (all positive ones if there are fewer): BatchTopK.

        x: [n_tokens, d_model], less the decoder bias where the SAE subtracts it.
        """
        if self._threshold is None:
            self._threshold = self._guess(x, encoder, n_active)
        search = self._candidates
        if pays(x, len(encoder.weight)):
            self._preselector.round(x, encoder)
            search = self._rounded_candidates
        while True:
            flat, value = search(x, encoder, self._threshold)
            if len(flat) >= n_active or self._threshold == 0.0:
                break
            # Too few: what was seen says little about how much too high it was.
            self._threshold = self._threshold * 0.8 if self._threshold > 1e-6 else 0.0
        latent = flat % len(encoder.weight)
        value = value.add_(encoder.bias.index_select(0, latent))
        score = value * encoder.scale.index_select(0, latent)
        if len(flat) > n_active:
            smallest = kth_largest(score, n_active)
            kept = positions(score >= smallest)[:n_active]  # ties: the first ones stay
            flat, latent, value, score = (part.index_select(0, kept) for part in (flat, latent, value, score))
            self._expect(float(smallest))
        return Entries(latent, value, row_offsets(flat, len(x), len(encoder.weight)), score)

    def _expect(self, smallest: float) -> None:
        """Set the next batch's threshold below this batch's smallest active score, by twice its recent movement."""
        if self._smallest:
            moved = abs(smallest / self._smallest - 1)
            self._drift = max(min(moved, 0.25), _FORGET * self._drift)
        self._smallest = smallest
        self._threshold = max(0.0, smallest * (1 - 2 * self._drift - _LEAST_MARGIN))

    def per_token(self, x: torch.Tensor, encoder: Encoder, k: int, negative: bool = False) -> Entries:
        """The k largest scores of every token of ``x`` ``[n_tokens, d_model]`` (TopK), those below zero only where
        ``negative`` asks for them.
        """
        found = [self._largest(rows, encoder, k, negative) for rows in x.split(self._rows(x, encoder))]
        latent, value, counts = (torch.cat(part) for part in zip(*found, strict=True))
        offsets = torch.zeros(len(x) + 1, dtype=torch.long, device=x.device)
        torch.cumsum(counts, 0, out=offsets[1:])
        return Entries(latent, value, offsets, value * encoder.scale[latent])

    def _largest(
        self, x: torch.Tensor, encoder: Encoder, k: int, negative: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pre, mask = self._block(x, encoder)
        pre += encoder.bias
        score = pre * encoder.scale
        torch.ge(score, kth_largest(score, k)[:, None], out=mask)
        if int(mask.sum()) > k * len(x):
            # Equal scores at the edge: which of them stays is torch\'s choice, as in SAELens.
            mask.zero_().scatter_(1, score.topk(k, dim=1).indices, True)
        if not negative:
            mask &= score > 0
        flat = positions(mask)
        return flat % len(encoder.weight), pre.reshape(-1)[flat], mask.sum(1)

    def _rows(self, x: torch.Tensor, encoder: Encoder) -> int:
        size = _BLOCK_BYTES if x.device.type == "cpu" else _GPU_BLOCK_BYTES
        return max(_MIN_ROWS, size // (len(encoder.weight) * encoder.weight.element_size()))

    def _block(self, x: torch.Tensor, encoder: Encoder) -> tuple[torch.Tensor, torch.Tensor]:
        """x·w for a block of tokens, and a mask to fill, both views of reused buffers."""
        shape, held = (len(x), len(encoder.weight)), self._buffers
        if held is None or len(held[0]) < len(x) or held[0].shape[1] != shape[1] or held[0].dtype != x.dtype:
            held = self._buffers = x.new_empty(shape), torch.empty(shape, dtype=torch.bool, device=x.device)
        pre, mask = held[0][: len(x)], held[1][: len(x)]
        return torch.mm(x, encoder.weight.T, out=pre), mask

    def _candidates(self, x: torch.Tensor, encoder: Encoder, threshold: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Flat positions and x·w of the entries whose score is above ``threshold``."""
        bound = threshold / encoder.scale - encoder.bias  # so that neither bias nor scale is applied to every entry
        flat, value, n = [], [], len(encoder.weight)
        n_rows = self._rows(x, encoder)
        for start in range(0, len(x), n_rows):
            pre, mask = self._block(x[start : start + n_rows], encoder)
            found = positions(above(pre, bound, mask))
            value.append(pre.reshape(-1).index_select(0, found))
            flat.append(found + start * n)
        return torch.cat(flat), torch.cat(value)

    def _rounded_candidates(
        self, x: torch.Tensor, encoder: Encoder, threshold: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same by way of bfloat16: a somewhat larger set is found there, and computed again in float32."""
        flat = self._preselector.above(threshold)
        value, latent = exact(x, encoder, flat), flat % len(encoder.weight)
        kept = positions(value > threshold / encoder.scale[latent] - encoder.bias[latent])
        return flat.index_select(0, kept), value.index_select(0, kept)

    def _guess(self, x: torch.Tensor, encoder: Encoder, n_active: int) -> float:
        """A threshold to begin with, from a few tokens spread over the batch."""
        sample = x[:: max(1, len(x) // _SAMPLED_ROWS)]
        score = ((sample @ encoder.weight.T + encoder.bias) * encoder.scale).relu().reshape(-1)
        wanted = min(len(score), int(1.3 * n_active * len(sample) / len(x)) + 1)
        return float(kth_largest(score, wanted))
