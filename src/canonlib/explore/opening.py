"""The model that an SAE belongs to, opened and read as the SAE's metadata say it was in training; or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, ModelError, note, one_line, unknown
from canonlib.sae.space import PROCESSING, VERSIONS, known, loading

if TYPE_CHECKING:
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

CONTEXT = 128
"""Tokens of a text that are read at once, where the SAE's metadata do not say."""
_OURS = ("embedded", "canonlib-world")
"""Names of the world's model: a tier's, and the one in the metadata of the SAEs trained on it."""
_HARMLESS = ("dtype", "torch_dtype", "device", "device_map", "n_devices", "default_padding_side", "default_prepend_bos",
             "local_files_only", "low_cpu_mem_usage", "token")  # fmt: skip
"""Arguments of a model's opening that change nothing in what it computes, as it is read here."""


@dataclass(frozen=True)
class Recipe:
    """How texts are cut and which of a model's tokens count."""

    context: int = CONTEXT
    """Tokens read at once, what stands in front included."""
    begins: int | None = None
    """Token that is put in front of each piece (``<bos>``); None for none."""
    left_out: frozenset[int] = frozenset()
    """Tokens that never count as text: special and padding ones, wherever they stand."""
    positions: tuple[int | None, ...] = (None,)
    """Slice of a piece's positions that count (SAELens's ``seqpos_slice``)."""

    @property
    def skip(self) -> int:
        """Tokens in front that are not text."""
        return int(self.begins is not None)

    def counts(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """bool ``[n_pieces, position]``: where the padded pieces ``ids`` of ``lengths`` ``[n_pieces]`` hold text."""
        at = torch.arange(ids.shape[1])
        there = (at >= self.skip) & (at < lengths[:, None])
        chosen = torch.zeros(self.context, dtype=torch.bool)
        chosen[slice(*self.positions)] = True
        special = torch.tensor(sorted(self.left_out), dtype=ids.dtype)
        return there & chosen[: ids.shape[1]] & ~torch.isin(ids, special)


def open_model(name: str, sae: SAE[Any] | None = None, tell: Callable[[str], None] | None = None) -> TransformerBridge:
    """The model of that name or folder as a bridge; "embedded" and "canonlib-world" are the world's own.

    What the metadata of ``sae`` say of its opening (``model_from_pretrained_kwargs``) is done: revision or checkpoint,
    writing weights centred, norms folded. Raises ``ConfigError`` for an argument there that would change the
    activations and that this cannot follow, and ``ModelError``, naming ``--model``, for a model that cannot be opened.
    """
    from transformer_lens.model_bridge import TransformerBridge

    from canonlib.world import model

    asked = known(sae, "model_from_pretrained_kwargs") if sae is not None else None
    given: dict[str, Any] = asked or {}
    which = {name: given[name] for name in VERSIONS if given.get(name) is not None}
    odd = sorted(k for k in given if k not in (*PROCESSING, *VERSIONS, *_HARMLESS) and given[k] not in (None, False))
    if odd:
        raise ConfigError(
            f"the SAE's model was opened with {odd[0]} = {given[odd[0]]!r} (model_from_pretrained_kwargs), which canonlib "
            "cannot follow: its activations would be others. Leave --texts out, or correct the SAE's metadata."
        )
    try:
        ours = name in _OURS or Path(name).resolve() == model.folder().resolve()
        boot = TransformerBridge.boot_transformers
        lm = model.load() if ours else boot(name, device="cpu", dtype=torch.float32, **which).eval()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as exc:
        raise ModelError(
            f"--model {name!r} cannot be opened ({one_line(exc)}): give a folder, or a hub name with a network."
        ) from exc
    if ours and which:
        raise ConfigError(f"the SAE's metadata ask for {which}, and the world's model has no versions: correct them.")
    _process(lm, {} if sae is None else loading(sae), tell)
    return lm


def _process(lm: TransformerBridge, wanted: dict[str, Any], tell: Callable[[str], None] | None) -> None:
    """Change the weights as the SAE's model had them: the same function, with other activations on the way."""
    steps = {name: bool(wanted.get(name)) for name in PROCESSING}
    if not any(steps.values()):
        return
    try:
        lm.process_weights(**steps)
    except Exception as exc:
        raise ModelError(
            f"the model's weights cannot be processed as the SAE's metadata say ({one_line(exc)})."
        ) from exc
    done = ", ".join(k for k, v in steps.items() if v)
    note(f"the model's weights are processed as the SAE's metadata say: {done}.", tell)


def recipe_for(
    sae: SAE[Any], lm: TransformerBridge, context: int | None = None, tell: Callable[[str], None] | None = None
) -> Recipe:
    """How the SAE's metadata say that texts were read: ``prepend_bos``, ``exclude_special_tokens``, ``seqpos_slice``
    and context size; ``context`` overrules the last.

    A tokenizer without a ``<bos>`` of its own gets none (TransformerLens puts its ``<eos>`` in that place). Special and
    padding tokens never count as text, whatever the metadata say. Raises ``ConfigError`` for metadata of a wrong type,
    and for more context than the model reads.
    """
    tokenizer: Any = lm.tokenizer
    bos, wanted = own_bos(tokenizer), known(sae, "prepend_bos")
    if wanted and bos is None:
        note("the SAE's metadata say prepend_bos, and the model's tokenizer has no <bos>: none is put in front.", tell)
    size = context_for(sae, lm, context)
    return Recipe(
        context=size,
        begins=None if wanted is False else bos,
        left_out=frozenset(tokenizer.all_special_ids) | _excluded(known(sae, "exclude_special_tokens")),
        positions=_positions(known(sae, "seqpos_slice"), size),
    )


def own_bos(tokenizer: Any) -> int | None:
    """The id of the tokenizer's own ``<bos>``; None where it has none.

    TransformerLens sets a missing one to ``<eos>``; what the tokenizer was made with tells.
    """
    made_with = getattr(tokenizer, "init_kwargs", {}).get("bos_token")
    return None if made_with is None or tokenizer.bos_token_id is None else int(tokenizer.bos_token_id)


def _excluded(value: Any) -> frozenset[int]:
    if value is None or isinstance(value, bool):
        return frozenset()
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(i, int) and not isinstance(i, bool) and 0 <= i < 2**31 for i in value
    ):
        raise ConfigError(
            f"the SAE's metadata have exclude_special_tokens = {value!r}: true, false or a list of token ids is expected."
        )
    return frozenset(value)


def _positions(value: Any, context: int) -> tuple[int | None, ...]:
    if value is None:
        return (None,)
    listed = list(value) if isinstance(value, (list, tuple)) else [value]
    whole = all(i is None or (isinstance(i, int) and not isinstance(i, bool)) for i in listed)
    if (
        not isinstance(value, (list, tuple))
        or not 1 <= len(listed) <= 3
        or not whole
        or (len(listed) == 3 and listed[2] is not None and listed[2] < 1)
    ):
        raise ConfigError(
            f"the SAE's metadata have seqpos_slice = {value!r}: the one to three numbers of a slice are expected."
        )
    if not range(context)[slice(*listed)]:
        raise ConfigError(
            f"the SAE was trained on the positions {value!r} of its texts (seqpos_slice), and a context of {context} tokens "
            "has none of them: give a longer --context."
        )
    return tuple(listed)


def context_for(sae: SAE[Any], lm: TransformerBridge, asked: int | None = None) -> int:
    """Tokens to read at once: those ``asked`` for, else those the SAE was trained on, else ``CONTEXT``.

    Raises ``ConfigError`` for more than the model can read; what is not asked for is cut down to that.
    """
    limit = getattr(lm.cfg, "n_ctx", None)
    if asked is not None:
        if limit and asked > limit:
            raise ConfigError(f"--context {asked} is more than the model's {limit:,} tokens: ask for {limit} at most.")
        return asked
    said = known(sae, "context_size")
    wanted = said if isinstance(said, int) and not isinstance(said, bool) and said > 1 else CONTEXT
    return min(wanted, limit or wanted)


@torch.no_grad()
def require_hook(lm: TransformerBridge, hook: str, d_model: int) -> None:
    """``ConfigError``, naming ``--hook`` or ``--model``, unless the model has that hook, with ``d_model`` coordinates."""
    from canonlib.activations import residual_stream

    if hook not in lm.hook_dict:
        raise unknown("--hook", hook, sorted(h for h in lm.hook_dict if "resid" in h) or list(lm.hook_dict))
    found = residual_stream(lm, torch.zeros(1, 2, dtype=torch.long), hook)
    if found.ndim == 4:
        raise ConfigError(
            f"--hook {hook} has a vector for each of {found.shape[2]} attention heads: the explorer reads one vector a "
            "token. Leave --texts out, or give an SAE of another hook point."
        )
    if found.shape[-1] != d_model:
        raise ConfigError(
            f"the model has d_model {found.shape[-1]} at {hook} and --sae {d_model}: give --model and --hook of that SAE."
        )
