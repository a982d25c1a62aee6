"""Do two SAEs read one activation space? By what their metadata say: model, hook point, head, and how it was read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from canonlib.errors import ConfigError, note

if TYPE_CHECKING:
    from sae_lens import SAE

_BLOCK = re.compile(r"(.*\bblocks\.)(\d+)\.(hook_resid_pre|hook_in|hook_resid_post|hook_out)")
_LATER = ("hook_resid_post", "hook_out")
LOADING = {
    "center_writing_weights": False, "fold_ln": False, "center_unembed": False, "fold_value_biases": False,
    "refactor_factored_attn_matrices": False, "revision": None,
}  # fmt: skip
"""``model_from_pretrained_kwargs`` that change what a model computes, and what they are where they are not given."""
_FIELDS = ("model_name", "hook_name", "hook_head_index", "prepend_bos")


def same_model(a: str, b: str) -> bool:
    """Whether two names are of one model: ``gpt2``, ``gpt2-small`` and ``openai-community/gpt2`` are.

    TransformerLens's aliases are followed. A name without an organisation is the model of that name under any: the hub
    moved its oldest models under one, and both names are in use.

    >>> same_model("gpt2-small", "openai-community/gpt2"), same_model("gpt2", "gpt2-xl")
    (True, False)
    """
    if a == b:
        return True
    (owner, one), (other_owner, other) = (_official(name).rstrip("/").lower().rpartition("/")[::2] for name in (a, b))
    return one == other and (owner == other_owner or not (owner and other_owner))


def _official(name: str) -> str:
    from transformer_lens.supported_models import MODEL_ALIASES

    return next((official for official, aliases in MODEL_ALIASES.items() if name in aliases), name)


def hook_identity(hook: str) -> str:
    """One name for all names of a place in the residual stream: what a block puts out, the next one takes in.

    >>> hook_identity("blocks.7.hook_resid_post"), hook_identity("blocks.8.hook_in")
    ('blocks.8.hook_resid_pre', 'blocks.8.hook_resid_pre')
    """
    found = _BLOCK.fullmatch(hook)
    if not found:
        return hook
    return f"{found[1]}{int(found[2]) + (found[3] in _LATER)}.hook_resid_pre"


def loading(sae: SAE[Any]) -> dict[str, Any]:
    """How the SAE's model is to be opened: those of its ``model_from_pretrained_kwargs`` that are in ``LOADING``."""
    given = sae.cfg.metadata.get("model_from_pretrained_kwargs")
    return LOADING | {k: v for k, v in (given if isinstance(given, dict) else {}).items() if k in LOADING}


def known(sae: SAE[Any], field: str) -> Any:
    """What the SAE's metadata say of ``field``; None where they are empty."""
    value = sae.cfg.metadata.get(field)
    return None if value is None or value in ("", {}, []) else value


def require_one_space(
    a: SAE[Any] | torch.Tensor, b: SAE[Any] | torch.Tensor, called: tuple[str, str], purpose: str = "To compare them,",
    tell: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Raise ``ConfigError`` unless two SAEs read one activation space, by width and by what both metadata say.

    Names for one model or one hook point are followed (``same_model``, ``hook_identity``). Different are also
    another head, ``prepend_bos``, revision or processing of the weights. What only one of them says is unknown of the
    other: allowed, with a note to ``tell`` (by default a ``UserWarning``). ``called`` names both; ``purpose`` begins
    the message's last sentence. A matrix ``[n_latents, d_model]`` says nothing of where it is
    from, and passes.
    """
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return
    ours, theirs = called
    if a.cfg.d_in != b.cfg.d_in:
        raise ConfigError(
            f"the {ours} has d_in = {a.cfg.d_in} and the {theirs} {b.cfg.d_in}: not one activation space."
        )
    unknown = []
    for field in _FIELDS:
        one, other = known(a, field), known(b, field)
        if one is not None and other is not None:
            if _differ(field, one, other):
                raise _different(field, one, other, called, purpose)
        elif (one is None) != (other is None) and field in ("model_name", "hook_name"):
            unknown.append((field, ours if one is None else theirs))
    if known(a, "model_name") is not None and known(b, "model_name") is not None:
        for field in LOADING:
            one, other = loading(a)[field], loading(b)[field]
            if one != other:
                raise _different(field, one, other, called, purpose)
    if unknown:
        fields = " and its ".join(field for field, _ in unknown)
        note(f"the {unknown[0][1]} does not say its {fields}: they are taken to be the other's.", tell)


def _differ(field: str, one: Any, other: Any) -> bool:
    if one == other:
        return False
    if isinstance(one, str) and isinstance(other, str):
        if field == "hook_name":
            return hook_identity(one) != hook_identity(other)
        if field == "model_name":
            return not same_model(one, other)
    return True


def _different(field: str, one: Any, other: Any, called: tuple[str, str], purpose: str) -> ConfigError:
    return ConfigError(
        f"the {called[0]} has {field} = {one!r} and the {called[1]} {other!r}: their activations are different things. "
        f"{purpose} take SAEs of one model and one hook point, read alike."
    )
