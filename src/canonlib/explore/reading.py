"""Texts of one's own, read by the model that an SAE belongs to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, ModelError, require_positive, unknown
from canonlib.explore.subject import Texts
from canonlib.store.reading import read_text

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

CONTEXT = 128
"""Tokens of a text that are read at once, where the SAE's metadata do not say."""
_BATCH_TOKENS = 2048
_OURS = ("embedded", "canonlib-world")
"""Names of the world's model: a tier's, and the one in the metadata of the SAEs trained on it."""


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


def open_model(name: str) -> TransformerBridge:
    """The model of that name or folder as a bridge; "embedded" and "canonlib-world" are the world's own.

    Raises ``ModelError``, naming ``--model``, for one that cannot be opened.
    """
    from transformer_lens.model_bridge import TransformerBridge

    from canonlib.world import model

    if name in _OURS or Path(name).resolve() == model.folder().resolve():
        return model.load()
    try:
        return TransformerBridge.boot_transformers(name, device="cpu", dtype=torch.float32).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as exc:
        raise ModelError(
            f"--model {name!r} cannot be opened ({exc}): give a folder, or a hub name with a network."
        ) from exc


def context_for(sae: SAE[Any], lm: TransformerBridge, asked: int | None = None) -> int:
    """Tokens to read at once: those ``asked`` for, else those the SAE was trained on, else ``CONTEXT``.

    Raises ``ConfigError`` for more than the model can read; what is not asked for is cut down to that.
    """
    limit = getattr(lm.cfg, "n_ctx", None)
    if asked is not None:
        if limit and asked > limit:
            raise ConfigError(f"--context {asked} is more than the model's {limit:,} tokens: ask for {limit} at most.")
        return asked
    known = sae.cfg.metadata.get("context_size")
    wanted = known if isinstance(known, int) and not isinstance(known, bool) and known > 1 else CONTEXT
    return min(wanted, limit or wanted)


@torch.no_grad()
def require_hook(lm: TransformerBridge, hook: str, d_model: int) -> None:
    """``ConfigError``, naming ``--hook`` or ``--model``, unless the model has that hook, with ``d_model`` coordinates."""
    from canonlib.activations import residual_stream

    if hook not in lm.hook_dict:
        raise unknown("--hook", hook, sorted(h for h in lm.hook_dict if "resid" in h) or list(lm.hook_dict))
    width = residual_stream(lm, torch.zeros(1, 2, dtype=torch.long), hook).shape[-1]
    if width != d_model:
        raise ConfigError(
            f"the model has d_model {width} at {hook} and --sae {d_model}: give --model and --hook of that SAE."
        )


@torch.no_grad()
def read_texts(
    lm: TransformerBridge, documents: Sequence[str], hook: str, context: int = CONTEXT, progress: bool = True
) -> Texts:
    """The model's activations at ``hook`` on ``documents``, in pieces of ``context`` tokens.

    Raises ``ConfigError`` for documents without a token, a hook that the model lacks and a ``context`` below 2.
    """
    from tqdm.auto import tqdm

    from canonlib.activations import Split, residual_stream

    if require_positive("context", context) < 2:
        raise ConfigError(f"context is {context}: a piece needs at least 2 tokens.")
    tokenizer: Any = lm.tokenizer
    skip = int(tokenizer.bos_token_id is not None)
    pieces = _pieces(tokenizer, documents, context, skip)
    ids, lengths = _ragged(pieces)
    there = torch.arange(ids.shape[1]) < lengths[:, None]
    there[:, :skip] = False
    batch, kept = max(1, _BATCH_TOKENS // ids.shape[1]), []
    for start in tqdm(range(0, len(pieces), batch), desc="read texts", unit="batch", disable=not progress):
        rows = slice(start, start + batch)
        # What is padded stands at the end, where a causal model's earlier tokens cannot see it.
        kept.append(residual_stream(lm, ids[rows], hook)[there[rows]].float().cpu())
    document, position = there.nonzero(as_tuple=True)
    split = Split(torch.cat(kept), ids[there], document, position, torch.full_like(document, -1))
    return Texts(split, ids, *_words(tokenizer, pieces), skip, lengths)


def _ragged(pieces: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids ``[n_pieces, longest]``, padded with 0, and the length of each piece."""
    lengths = torch.tensor([len(piece) for piece in pieces])
    ids = torch.zeros(len(pieces), int(lengths.max()), dtype=torch.long)
    for i, piece in enumerate(pieces):
        ids[i, : len(piece)] = torch.tensor(piece)
    return ids, lengths


def _pieces(tokenizer: Any, texts: Sequence[str], context: int, skip: int) -> list[list[int]]:
    """Token ids of the documents, each piece with ``<bos>`` in front where the tokenizer has one."""
    room, pieces = context - skip, []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        pieces += [[tokenizer.bos_token_id] * skip + ids[i : i + room] for i in range(0, len(ids), room)]
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
