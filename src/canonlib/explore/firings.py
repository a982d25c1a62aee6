"""Where each latent fires, in one pass over the data, and the texts around its strongest activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError
from canonlib.sae.needs import Need, takes

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
_COLUMNS = 128
"""Meta-latents that are handed their activations at once."""


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
        """Rows (ascending) and activations of one column, both ``[n_active]``."""
        span = slice(int(self.starts[column]), int(self.starts[column + 1]))
        return self.token[span], self.value[span]


@torch.no_grad()
@takes(sae=Need.ACTIVATIONS)
def firings(sae: SAE[Any], activations: torch.Tensor, progress: bool = False) -> Firings:
    """Where the latents of ``sae`` fire on ``activations`` ``[n_tokens, d_model]``, a column for each.

    Raises ``ConfigError`` for activations that do not suit the SAE or are not finite.
    """
    from tqdm.auto import tqdm

    from canonlib.sae.entries import positions
    from canonlib.sae.streaming import blocks, encoded, require_activations

    n_tokens, n_latents = require_activations(activations, int(sae.cfg.d_in)), int(sae.cfg.d_sae)
    found, start = [], 0
    bar = tqdm(total=n_tokens, desc="firings", unit="token", unit_scale=True, disable=not progress)
    for block in blocks(activations, max(1, _ELEMENTS // n_latents)):
        latents = encoded(sae, block)
        flat = positions(latents > 0)
        found.append((flat % n_latents, flat // n_latents + start, latents.reshape(-1)[flat].float()))
        start += len(block)
        bar.update(len(block))
    bar.close()
    column, token, value = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = column.argsort(stable=True)
    starts = torch.zeros(n_latents + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(column, minlength=n_latents).cumsum(0)
    return Firings(starts, token[order], value[order], n_tokens)


def handed_on(fired: Firings, shares: torch.Tensor, progress: bool = False) -> Firings:
    """What each token hands to each of ``n_meta`` meta-latents: Σ_j f_j(x) s_jm, where that is not zero.

    ``fired`` are the latents' firings f, ``shares`` ``[n_latents, n_meta]`` what of each goes on (a_m(d_j) |d_j| for
    meta-latents: see ``meta.readings``). Few of either are above zero, so both are kept sparse (scipy).
    """
    from scipy import sparse
    from tqdm.auto import tqdm

    f = sparse.csc_matrix(
        (fired.value.numpy(), fired.token.numpy(), fired.starts.numpy()), shape=(fired.n_tokens, len(fired))
    )
    counts, tokens, values = [torch.zeros(1, dtype=torch.int64)], [], []
    for part in tqdm(shares.split(_COLUMNS, dim=1), desc="meta-firings", unit="block", disable=not progress):
        found = (f @ sparse.csr_matrix(part.detach().cpu().numpy())).tocsc()
        found.eliminate_zeros()
        found.sort_indices()
        counts.append(torch.from_numpy(found.indptr).long().diff())
        tokens.append(torch.from_numpy(found.indices).long())
        values.append(torch.from_numpy(found.data).float())
    return Firings(torch.cat(counts).cumsum(0), torch.cat(tokens), torch.cat(values), fired.n_tokens)


@dataclass(frozen=True)
class Context:
    """A stretch of a document: its token ids, the activation on each, and the place of the strongest."""

    tokens: list[int]
    activations: list[float]
    peak: int
    document: int


def contexts(
    found: Firings, split: Split, documents: torch.Tensor, skip: int = 1, lengths: torch.Tensor | None = None
) -> Iterator[list[Context]]:
    """For each column of ``found`` up to ``N_CONTEXTS`` different texts, one of each document, strongest first.

    ``split`` says which document and position each row is; ``documents`` ``[n_documents, context]`` are token ids,
    of which the first ``skip`` (``<bos>``) are not shown, nor those from ``lengths`` ``[n_documents]`` on, which are
    padding (None: all documents are full). Raises ``ConfigError`` when ``split`` has another number of rows.
    """
    if len(split) != found.n_tokens:
        raise ConfigError(f"split has {len(split)} rows and the firings are of {found.n_tokens} tokens: give the same.")
    where = torch.stack([split.document.long(), split.position.long()], dim=1)
    ends = [documents.shape[1]] * len(documents) if lengths is None else lengths.tolist()
    for column in range(len(found)):
        rows, values = found.of(column)
        yield _column(where[rows].tolist(), values, documents, skip, ends)


def _column(
    places: list[list[int]], values: torch.Tensor, documents: torch.Tensor, skip: int, ends: list[int]
) -> list[Context]:
    strongest = values.topk(min(_CANDIDATES, len(values))).indices.tolist()
    shown: dict[tuple[int, ...], Context] = {}
    used: set[int] = set()
    for i in strongest:
        document, position = places[i]
        if document in used:
            continue
        first = max(skip, position - BEFORE)
        tokens = documents[document, first : min(position + AFTER + 1, ends[document])].tolist()
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
