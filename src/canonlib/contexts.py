"""Where does a latent fire? The texts around its strongest activations, as short strings for hovers and tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import torch

from canonlib.errors import ConfigError, require_positive

if TYPE_CHECKING:
    from canonlib.activations import Split

# Template text repeats: this many of the strongest tokens are looked through for texts that differ.
_CANDIDATES = 64


def top_contexts(latents: torch.Tensor, split: Split, documents: torch.Tensor, words: Sequence[str], k: int = 3,
                 width: int = 4, distinct: bool = False) -> list[list[str]]:  # fmt: skip
    """For each latent up to ``k`` different texts that activate it most, strongest first; empty if it never fires.

    ``latents`` are activations ``[n_tokens, n_latents]`` on the rows of ``split``; ``documents`` ``[n_documents,
    context]`` are the token ids that the split was harvested from, and ``words[id]`` their text. A text is the token in
    bold (``<b>``, which Plotly and Markdown both show) after ``width`` tokens before it. The first token of all
    documents is left out where it is the same in each and no row stands on it: that is a ``<bos>``, and no word. With
    ``distinct`` no two texts end in the same token. Raises ``ConfigError`` when ``latents`` and ``split`` differ in
    length, or ``k`` or ``width`` is below 1.

    >>> from canonlib.activations import Split
    >>> words, documents = ["<bos>", "Einstein", "was", "born"], torch.tensor([[0, 1, 2, 3]])
    >>> three = torch.arange(1, 4)
    >>> split = Split(torch.zeros(3, 2), token=three, document=torch.zeros(3), position=three, entity=three)
    >>> top_contexts(torch.tensor([[0.0], [0.2], [0.9]]), split, documents, words)
    [['Einstein was <b>born</b>', 'Einstein <b>was</b>']]
    """
    require_positive("k", k)
    require_positive("width", width)
    if latents.ndim != 2 or len(latents) != len(split):
        raise ConfigError(f"latents must be [{len(split)}, n_latents], a row per token, got {list(latents.shape)}.")
    skip = int(not bool((split.position == 0).any()) and bool((documents[:, 0] == documents[0, 0]).all()))
    top = latents.topk(min(_CANDIDATES * (8 if distinct else 1), len(latents)), dim=0)
    found = []
    for values, rows in zip(top.values.T, top.indices.T, strict=True):
        texts: dict[str, str] = {}
        for row in rows[values > 0].tolist():
            text = _text(documents[int(split.document[row])], int(split.position[row]), words, width, skip)
            texts.setdefault(text.rpartition("<b>")[2] if distinct else text, text)
            if len(texts) == k:
                break
        found.append(list(texts.values()))
    return found


def _text(document: torch.Tensor, position: int, words: Sequence[str], width: int, skip: int) -> str:
    before = [escape(words[t], quote=False) for t in document[max(skip, position - width) : position].tolist()]
    return " ".join([*before, f"<b>{escape(words[int(document[position])], quote=False)}</b>"])
