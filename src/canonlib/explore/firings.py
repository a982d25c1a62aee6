"""Where each latent fires, in one pass over the data, and the texts around its strongest activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError

if TYPE_CHECKING:
    from sae_lens import SAE

    from canonlib.activations import Split

N_CONTEXTS = 6
"""Texts kept for a latent."""
BEFORE, AFTER = 12, 5
"""Tokens shown before and after the one on which the latent is strongest."""
_CANDIDATES = 128
"""Template text repeats: this many of the strongest tokens are looked through for texts that differ."""
_ELEMENTS = 2**25
"""Latent activations held at once."""


@dataclass(frozen=True, eq=False)
class Firings:
    """The active entries of a matrix ``[n_tokens, n_columns]``, column after column and in each by token."""

    starts: torch.Tensor
    """int64 [n_columns + 1] where each column's entries start."""
    token: torch.Tensor
    """int64 [n_active] row of the entry."""
    value: torch.Tensor
    """float32 [n_active] activation."""
    n_tokens: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, column: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows (ascending) and activations of one column."""
        span = slice(int(self.starts[column]), int(self.starts[column + 1]))
        return self.token[span], self.value[span]


@torch.no_grad()
def firings(sae: SAE[Any], activations: torch.Tensor, shares: torch.Tensor | None = None) -> Firings:
    """Where the latents of ``sae`` fire on ``activations`` ``[n_tokens, d_model]``.

    With ``shares`` ``[n_latents, n_meta]`` the columns are meta-latents, and an entry is what the token hands to one:
    Σ_j f_j(x) |d_j| a_m(d_j) (see ``meta.readings``). Raises ``ConfigError`` for activations that do not suit the SAE or are
    not finite.
    """
    from canonlib.sae.streaming import blocks, require_activations

    require_activations(activations, int(sae.cfg.d_in))
    weights = None if shares is None else sae.W_dec.norm(dim=1, keepdim=True) * shares
    n_columns = int(sae.cfg.d_sae) if shares is None else shares.shape[1]
    rows = max(1, _ELEMENTS // int(sae.cfg.d_sae))
    found, start = [], 0
    for block in blocks(activations, rows):
        latents = sae.encode(block)
        values = latents if weights is None else latents @ weights
        token, column = (values > 0).nonzero(as_tuple=True)
        found.append((column, token + start, values[token, column].float()))
        start += len(block)
    column, token, value = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = column.argsort(stable=True)
    starts = torch.zeros(n_columns + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(column, minlength=n_columns).cumsum(0)
    return Firings(starts, token[order], value[order], start)


@dataclass(frozen=True)
class Context:
    """A stretch of a document: its token ids, the activation on each, and the place of the strongest."""

    tokens: list[int]
    activations: list[float]
    peak: int
    document: int


def contexts(found: Firings, split: Split, documents: torch.Tensor, skip: int = 1) -> Iterator[list[Context]]:
    """For each column of ``found`` up to ``N_CONTEXTS`` different texts, one of each document, strongest first.

    ``split`` says which document and position each row is; ``documents`` ``[n_documents, context]`` are token ids,
    of which the first ``skip`` (``<bos>``) are not shown. Raises ``ConfigError`` when ``split`` has another number of
    rows.
    """
    if len(split) != found.n_tokens:
        raise ConfigError(f"split has {len(split)} rows and the firings are of {found.n_tokens} tokens: give the same.")
    where = torch.stack([split.document.long(), split.position.long()], dim=1)
    for column in range(len(found)):
        rows, values = found.of(column)
        yield _column(where[rows].tolist(), values, documents, skip)


def _column(places: list[list[int]], values: torch.Tensor, documents: torch.Tensor, skip: int) -> list[Context]:
    strongest = values.topk(min(_CANDIDATES, len(values))).indices.tolist()
    shown: dict[tuple[int, ...], Context] = {}
    used: set[int] = set()
    for i in strongest:
        document, position = places[i]
        if document in used:
            continue
        first = max(skip, position - BEFORE)
        tokens = documents[document, first : position + AFTER + 1].tolist()
        if tuple(tokens) not in shown:
            used.add(document)
            active = _window(places, values, i, first, len(tokens))
            shown[tuple(tokens)] = Context(tokens, active, position - first, document)
        if len(shown) == N_CONTEXTS:
            break
    return list(shown.values())


def _window(places: list[list[int]], values: torch.Tensor, i: int, first: int, length: int) -> list[float]:
    """Activations on the ``length`` tokens of the document from ``first`` on; entries beside ``i`` lie next to it."""
    active = [0.0] * length
    document = places[i][0]
    for way in (-1, 1):
        for step in count(0 if way == 1 else 1):
            k = i + way * step
            if not 0 <= k < len(places) or places[k][0] != document:
                break
            place = places[k][1] - first
            if not 0 <= place < length:
                break
            active[place] = float(values[k])
    return active
