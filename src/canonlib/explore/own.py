"""An explorer of one's own: an SAE and its meta-SAE from folders, and texts read by the model they belong to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, ModelError, require_positive
from canonlib.explore.site import seeded_start
from canonlib.explore.subject import Smaller, Subject, Texts

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

CONTEXT = 128
"""Tokens of a text that are read at once."""
_BATCH = 16


def own_subject(
    sae: Path, meta: Path, smaller: Sequence[Path] = (), *, texts: Path | None = None, model: str | None = None,
    hook: str | None = None, names: Path | None = None, meta_names: Path | None = None, context: int = CONTEXT,
    progress: bool = True,
) -> Subject:  # fmt: skip
    """What ``canonlib explore`` shows of SAELens folders ``sae`` and ``smaller`` and the meta-SAE folder ``meta``.

    texts: a file with one document a line, or ``.jsonl`` with a ``text`` each; without it there are no top texts, no
        output tokens and no classes.
    model, hook: read the texts; by default those that the SAE's own metadata name. A folder or a hub name.
    names, meta_names: JSON, ``{"12": "a name"}``; for ``meta_names`` also what ``canonlib interpret --out`` writes.

    Raises ``ConfigError`` naming the option that cannot be used, ``ModelError`` for a model that cannot be opened.
    """
    from canonlib.meta import MetaSAE

    base = _load(sae, "--sae")
    others = sorted((_load(folder, "--smaller") for folder in smaller), key=lambda s: int(s.cfg.d_sae))
    opened = MetaSAE.load(meta)
    _require_smaller(base, others)
    lm, read = None, None
    if texts is not None:
        lm = _open_model(model or _metadata(base, "model_name"), "--model")
        read = read_texts(lm, texts, hook or _metadata(base, "hook_name"), context, progress)
    n = int(base.cfg.d_sae)
    given = _names(names, n, "--names")
    return Subject(
        title=f"{sae.resolve().name}: {n:,} latents",
        sae=base, meta=opened, texts=read, lm=lm,
        smaller=[Smaller(s, f"{int(s.cfg.d_sae):,} latents") for s in others],
        names=given,
        meta_names=_names(meta_names, opened.n_latents, "--meta-names"),
        start=[j for j, name in enumerate(given) if name][:12] or seeded_start(n, min(8, n)),
    )  # fmt: skip


@torch.no_grad()
def read_texts(lm: TransformerBridge, path: Path, hook: str, context: int = CONTEXT, progress: bool = True) -> Texts:
    """The model's activations at ``hook`` on the documents of a file, in pieces of ``context`` tokens.

    Raises ``ConfigError`` for a file without text, a hook that the model lacks and a ``context`` below 2.
    """
    from tqdm.auto import tqdm

    from canonlib.activations import Split, residual_stream

    if require_positive("context", context) < 2:
        raise ConfigError(f"context is {context}: a piece needs at least 2 tokens.")
    tokenizer: Any = lm.tokenizer
    skip = int(tokenizer.bos_token_id is not None)
    pieces = _pieces(tokenizer, _documents(path), context, skip)
    width = max(map(len, pieces))
    documents = torch.zeros(len(pieces), width, dtype=torch.long)
    there = torch.zeros(len(pieces), width, dtype=torch.bool)
    for i, piece in enumerate(pieces):
        documents[i, : len(piece)] = torch.tensor(piece)
        there[i, skip : len(piece)] = True
    kept = []
    for start in tqdm(range(0, len(pieces), _BATCH), desc="read texts", unit="batch", disable=not progress):
        rows = slice(start, start + _BATCH)
        # What is padded stands at the end, where a causal model's earlier tokens cannot see it.
        kept.append(residual_stream(lm, documents[rows], hook)[there[rows]].float().cpu())
    document, position = there.nonzero(as_tuple=True)
    split = Split(torch.cat(kept), documents[there], document, position, torch.full_like(document, -1))
    words = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    return Texts(split, documents, words, _spaced(tokenizer, words, pieces), skip)


def _pieces(tokenizer: Any, texts: Sequence[str], context: int, skip: int) -> list[list[int]]:
    """Token ids of the documents, each piece with ``<bos>`` in front where the tokenizer has one."""
    room, pieces = context - skip, []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        pieces += [[tokenizer.bos_token_id] * skip + ids[i : i + room] for i in range(0, len(ids), room)]
    return pieces


def _spaced(tokenizer: Any, words: Sequence[str], pieces: Sequence[list[int]]) -> bool:
    """Whether tokens are words without their spaces: then text is right only when they are joined by some."""
    sample = max(pieces, key=len)[1:33]
    told = tokenizer.decode(sample).strip()
    return "".join(words[i] for i in sample).strip() != told and " ".join(words[i] for i in sample).strip() == told


def _documents(path: Path) -> list[str]:
    """The documents of a text file; ``ConfigError`` says which line cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"--texts {path} cannot be read ({exc}).") from exc
    found = [line for line in lines if line.strip()]
    if path.suffix == ".jsonl":
        found = [_jsonl(line, number, path) for number, line in enumerate(found, 1)]
    if not any(text.strip() for text in found):
        raise ConfigError(f"--texts {path} holds no text: put one document on each line.")
    return [text for text in found if text.strip()]


def _jsonl(line: str, number: int, path: Path) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ConfigError(f'--texts {path}, line {number}: each line must be an object with a "text".')
    return text


def _load(folder: Path, option: str) -> SAE[Any]:
    from sae_lens import SAE
    from safetensors import SafetensorError

    if not (folder / "cfg.json").is_file():
        raise ConfigError(f"{option} {folder} holds no SAE (cfg.json missing): give a folder that SAELens has saved.")
    try:
        sae: SAE[Any] = SAE.load_from_disk(folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as exc:
        raise ConfigError(f"{option} {folder} cannot be opened by SAELens ({exc}).") from exc
    sae.eval()
    return sae.requires_grad_(False)


def _require_smaller(base: SAE[Any], others: Sequence[SAE[Any]]) -> None:
    n = int(base.cfg.d_sae)
    for other in others:
        if int(other.cfg.d_sae) >= n:
            raise ConfigError(
                f"--smaller holds an SAE of {int(other.cfg.d_sae):,} latents, and --sae has {n:,}: give smaller ones."
            )


def _metadata(sae: SAE[Any], name: str) -> str:
    found = getattr(sae.cfg.metadata, name, None)
    if not found:
        option = {"model_name": "--model", "hook_name": "--hook"}[name]
        raise ConfigError(f"the SAE does not say its {name}: give {option}.")
    return str(found)


def _open_model(name: str, option: str) -> TransformerBridge:
    """The model of that name or folder as a bridge; "embedded" is the world's own."""
    from transformer_lens.model_bridge import TransformerBridge

    from canonlib.world import model

    if name == "embedded" or Path(name).resolve() == model.folder().resolve():
        return model.load()
    try:
        return TransformerBridge.boot_transformers(name, device="cpu", dtype=torch.float32).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as exc:
        raise ModelError(
            f"{option} {name!r} cannot be opened ({exc}): give a folder, or a hub name with a network."
        ) from exc


def _names(path: Path | None, n: int, option: str) -> list[str]:
    if path is None:
        return []
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{option} {path} cannot be read as JSON ({exc}).") from exc
    if isinstance(told, list):  # canonlib interpret --out
        told = {
            str(row["meta_latent"]): row["explanation"]
            for row in told
            if isinstance(row, dict) and row.get("explanation")
        }
    if not isinstance(told, dict) or not all(isinstance(v, str) for v in told.values()):
        raise ConfigError(f'{option} {path} must hold an object such as {{"12": "a name"}}.')
    wrong = [key for key in told if not key.isdecimal() or int(key) >= n]
    if wrong:
        raise ConfigError(f"{option} {path} names {wrong[0]!r}, and numbers go from 0 to {n - 1}.")
    return [told.get(str(i), "") for i in range(n)]
