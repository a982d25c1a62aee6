"""Texts of one's own, read by the model that an SAE belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, require_positive
from canonlib.explore.opening import Recipe, own_bos
from canonlib.explore.subject import Texts
from canonlib.rows import row_norms
from canonlib.sae.outliers import Outliers
from canonlib.store.reading import read_text

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

_BATCH_TOKENS = 2048


def read_documents(path: Path) -> list[str]:
    """The documents of a file: one a line, or ``.jsonl`` with a ``text`` each.

    Raises ``ConfigError``, naming ``--texts`` and the line that cannot be read.
    """
    lines = read_text(path, f"--texts {path}").split("\n")  # not splitlines, to which some characters are lines' ends
    found = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    jsonl = path.suffix == ".jsonl"
    texts = [_jsonl(line, number, path) if jsonl else line for number, line in found]
    if not any(text.strip() for text in texts):
        raise ConfigError(f"--texts {path} holds no text: put one document on each line.")
    return [text for text in texts if text.strip()]


def _jsonl(line: str, number: int, path: Path) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise ConfigError(f'--texts {path}, line {number}: each line must be an object with a "text".')
    return text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold half of a pair, which is no character


@torch.no_grad()
def read_texts(
    lm: TransformerBridge, documents: Sequence[str], hook: str, recipe: Recipe | None = None, progress: bool = True,
    max_norm: float | None = None,
) -> Texts:  # fmt: skip
    """The model's activations at ``hook`` on ``documents``, cut and chosen as ``recipe`` says (see ``opening``).

    recipe: without one, ``<bos>`` stands in front where the tokenizer has one of its own, and pieces have ``CONTEXT``
    tokens. max_norm: tokens whose norm is more than this many times the median are left out.

    Raises ``ConfigError`` for documents without a token that counts, a hook that the model lacks and a context below 2.
    """
    from tqdm.auto import tqdm

    from canonlib.activations import Split, residual_stream

    tokenizer: Any = lm.tokenizer
    recipe = recipe or Recipe(begins=own_bos(tokenizer), left_out=frozenset(tokenizer.all_special_ids))
    if require_positive("context", recipe.context) < 2:
        raise ConfigError(f"context is {recipe.context}: a piece needs at least 2 tokens.")
    pieces = _pieces(tokenizer, documents, recipe)
    ids, lengths = _ragged(pieces)
    there = recipe.counts(ids, lengths)
    if not there.any():
        raise ConfigError(
            "no token of the documents counts as text: they are all special ones, or left out by position."
        )
    batch, kept = max(1, _BATCH_TOKENS // ids.shape[1]), []
    for start in tqdm(range(0, len(pieces), batch), desc="read texts", unit="batch", disable=not progress):
        rows = slice(start, start + batch)
        # What is padded stands at the end, where a causal model's earlier tokens cannot see it.
        kept.append(residual_stream(lm, ids[rows], hook)[there[rows]].float().cpu())
    document, position = there.nonzero(as_tuple=True)
    split = Split(torch.cat(kept), ids[there], document, position, torch.full_like(document, -1))
    if max_norm is not None:
        split = split.take(row_norms(split.activations) <= Outliers(split.activations, max_norm).limit)
    return Texts(split, ids, *_words(tokenizer, pieces), recipe.skip, lengths)


def _ragged(pieces: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids ``[n_pieces, longest]``, padded with 0, and the length of each piece."""
    lengths = torch.tensor([len(piece) for piece in pieces])
    ids = torch.zeros(len(pieces), int(lengths.max()), dtype=torch.long)
    for i, piece in enumerate(pieces):
        ids[i, : len(piece)] = torch.tensor(piece)
    return ids, lengths


def _pieces(tokenizer: Any, texts: Sequence[str], recipe: Recipe) -> list[list[int]]:
    """Token ids of the documents, each piece with what stands in front."""
    front = [] if recipe.begins is None else [recipe.begins]
    room, pieces = recipe.context - len(front), []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        pieces += [front + ids[i : i + room] for i in range(0, len(ids), room)]
    if not pieces:
        raise ConfigError("the model's tokenizer finds no token in the documents: give texts that it can read.")
    return pieces


def _words(tokenizer: Any, pieces: Sequence[list[int]]) -> tuple[list[str], bool]:
    """The text of every token, and whether spaces must be put between them for a text to read as it did.

    Some tokenizers tell a token alone without the space before it, or with a mark that it goes on a word: there a
    token's text is what it adds behind a letter.
    """
    alone = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    sample = max(pieces, key=len)[1:513]
    told = tokenizer.decode(sample).strip()
    for between in ("", " "):
        if between.join(alone[i] for i in sample).strip() == told:
            return alone, bool(between)
    letter = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]
    before = tokenizer.decode(letter)
    both = [tokenizer.decode([*letter, i]) for i in range(len(tokenizer))]
    return [two[len(before) :] if two.startswith(before) else one for one, two in zip(alone, both, strict=True)], False
