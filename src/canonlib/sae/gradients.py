"""Loss and gradients of a TopK-like SAE, by hand, on the active entries alone.

With a_j = x·w_j + b_j on the selected entries (zero elsewhere), SAELens's TopK-like SAEs reconstruct x̂ = Σ_j a_j d_j +
b_dec: where activations are rescaled by the decoder norms, the decoder divides by them again, so norms matter for the
selection alone. For a squared error with G = ∂L/∂x̂ [n_tokens, d_model] the chain rule gives, over active entries,

    ∂L/∂a_j(t) = G(t)·d_j     ∂L/∂d_j = Σ_t a_j(t) G(t)     ∂L/∂w_j = Σ_t ∂L/∂a_j(t) x(t)     ∂L/∂b_j = Σ_t ∂L/∂a_j(t)

Both weight gradients are sums over the tokens of each latent: sparse matrices times narrow dense ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from canonlib.sae.entries import Entries, compressed_rows


@dataclass
class Gradients:
    """Gradients of one step; rows of latents that no entry touches are zero."""

    w_enc: torch.Tensor
    """[n_latents, d_model]"""
    b_enc: torch.Tensor
    """[n_latents]"""
    w_dec: torch.Tensor
    """[n_latents, d_model]"""

    @classmethod
    def zeros(cls, n_latents: int, like: torch.Tensor) -> Gradients:
        """Zeros for ``n_latents`` latents in the dtype, width and device of ``like`` ``[_, d_model]``."""
        shape = (n_latents, like.shape[1])
        return cls(like.new_zeros(shape), like.new_zeros(n_latents), like.new_zeros(shape))

    def part(self, first: int, last: int) -> Gradients:
        """The rows of latents ``first`` to ``last`` (exclusive), as views."""
        return Gradients(self.w_enc[first:last], self.b_enc[first:last], self.w_dec[first:last])


class ByLatent(NamedTuple):
    """The entries in the order of latents, and in each latent by token."""

    order: torch.Tensor
    """[n_active]: place in the token order."""
    token: torch.Tensor
    """[n_active]"""
    offsets: torch.Tensor
    """[n_latents + 1] where each latent's entries start."""


def by_latent(entries: Entries, n_latents: int) -> ByLatent:
    """Transpose the sparse matrix of entries (a counting sort on a CPU: SciPy's, linear in the entries)."""
    if entries.latent.device.type == "cpu":
        from scipy.sparse import csr_matrix

        place = np.arange(len(entries.latent), dtype=np.int32)
        index = (place, entries.latent.numpy().astype(np.int32), entries.offsets.numpy().astype(np.int32))
        columns = csr_matrix(index, shape=(len(entries.offsets) - 1, n_latents)).tocsc()
        return ByLatent(*(torch.from_numpy(a) for a in (columns.data, columns.indices, columns.indptr)))
    order = torch.argsort(entries.latent, stable=True)
    counts = torch.bincount(entries.latent, minlength=n_latents)
    return ByLatent(order, entries.token[order], F.pad(counts.cumsum(0), (1, 0)))


def weighted_sums(
    rows: torch.Tensor,
    index: torch.Tensor,
    offsets: torch.Tensor,
    weight: torch.Tensor,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """For each group of entries Σ weight · rows[index], ``[n_groups, d_model]``; into ``out`` where that saves time.

    Fresh pages for a large result can cost as much as the sums: MKL's product of a sparse with a dense matrix is the
    one kernel here that writes where it is told.
    """
    if out is not None and rows.device.type == "cpu" and torch.backends.mkl.is_available():
        shape = (len(offsets) - 1, len(rows))
        return torch.addmm(out, compressed_rows(offsets, index, weight, shape), rows, beta=0, out=out)
    return F.embedding_bag(index, rows, offsets[:-1].to(index.dtype), mode="sum", per_sample_weights=weight)


class Decoded:
    """Σ_j a_j d_j of each token, ``out`` ``[n_tokens, d_model]``, and the way back to the activations."""

    def __init__(self, entries: Entries, w_dec: torch.Tensor) -> None:
        with torch.enable_grad():
            self._value = entries.value.detach().requires_grad_()
            self._graph = F.embedding_bag(
                entries.latent, w_dec.detach(), entries.offsets[:-1], mode="sum", per_sample_weights=self._value
            )
        self.out = self._graph.detach()

    def dot(self, upstream: torch.Tensor) -> torch.Tensor:
        """∂L/∂a ``[n_active]``: G(t)·d_j at every entry, for ``upstream`` G ``[n_tokens, d_model]``."""
        # embedding_bag's own backward is the one kernel that does this without making [n_active, d_model].
        return torch.autograd.grad(self._graph, self._value, upstream)[0]


def backward(
    entries: Entries, decoded: Decoded, x: torch.Tensor, difference: torch.Tensor, weight: float, out: Gradients
) -> None:
    """Write the gradients of encoder and decoder over what ``out`` holds, for G = ``weight`` · ``difference``.

    x: [n_tokens, d_model], the encoder's input; difference: [n_tokens, d_model]. The weight is applied to the active
    entries, so that no scaled copy of the difference is made.
    """
    columns = by_latent(entries, len(out.b_enc))
    value, grad = entries.value * weight, decoded.dot(difference) * weight
    for rows, factor, target in ((difference, value, out.w_dec), (x, grad, out.w_enc)):
        sums = weighted_sums(rows, columns.token, columns.offsets, factor.index_select(0, columns.order), target)
        if sums is not target:
            target.copy_(sums)
    out.b_enc.zero_().index_add_(0, entries.latent, grad)
