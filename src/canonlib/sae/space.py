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
PROCESSING = (
    "center_writing_weights", "fold_ln", "center_unembed", "fold_value_biases", "refactor_factored_attn_matrices",
)  # fmt: skip
"""Arguments of ``model_from_pretrained_kwargs`` that change a model's weights and not what it answers."""
VERSIONS = ("revision", "checkpoint_index", "checkpoint_value")
"""Those that choose among a model's versions."""
_STREAM = re.compile(r".*\bblocks\.\d+\.hook_resid_(pre|mid)")
_FIELDS = ("model_name", "hook_name", "hook_head_index", "prepend_bos")


def same_model(a: str, b: str) -> bool:
    """Whether two names are of one model: ``gpt2``, ``gpt2-small`` and ``openai-community/gpt2`` are.

    TransformerLens's aliases are followed. A name without an organisation is the model of that name under any: the hub
    moved its oldest models under one, and both names are in use.

    >>> same_model("gpt2-small", "openai-community/gpt2"), same_model("gpt2", "gpt2-xl")
    (True, False)
    """
    if a == b or any(name.count("/") > 1 or name.startswith((".", "/", "~")) for name in (a, b)):
        return a.rstrip("/") == b.rstrip("/")  # a folder's last part says nothing of what lies in it
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
    """What the SAE's ``model_from_pretrained_kwargs`` say of ``PROCESSING`` (False where nothing) and ``VERSIONS``.

    Raises ``ConfigError`` for one of a wrong type: the text "False" is not false.
    """
    given = known(sae, "model_from_pretrained_kwargs")
    given = given if isinstance(given, dict) else {}
    for name, kind, told in (*((p, bool, "true or false") for p in PROCESSING), ("revision", str, "a text")):
        if given.get(name) is not None and not isinstance(given[name], kind):
            raise ConfigError(
                f"the SAE's metadata have {name} = {given[name]!r} in model_from_pretrained_kwargs: {told} is expected."
            )
    versions: dict[str, Any] = {name: given.get(name) for name in VERSIONS}
    if versions["revision"] == "main":
        versions["revision"] = None
    return {name: bool(given.get(name)) for name in PROCESSING} | versions


def _read_alike(hook: Any) -> tuple[str, ...]:
    """What of ``loading`` must be the same for activations at that hook point to be.

    In the residual stream that is centring alone: all other processing moves factors from one weight to the next.
    """
    stream = isinstance(hook, str) and _STREAM.fullmatch(hook_identity(hook))
    return (*(("center_writing_weights",) if stream else PROCESSING), *VERSIONS)


def known(sae: SAE[Any], field: str) -> Any:
    """What the SAE's metadata say of ``field``; None where they are empty."""
    value = getattr(sae.cfg.metadata, "__dict__", {}).get(field)  # not by name: a field may hide a method
    return None if value is None or value in ("", {}, []) else value


def require_one_space(
    a: SAE[Any] | torch.Tensor, b: SAE[Any] | torch.Tensor, called: tuple[str, str], purpose: str = "To compare them,",
    tell: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Raise ``ConfigError`` unless two SAEs read one activation space, by width and by what both metadata say.

    Names for one model or one hook point are followed (``same_model``, ``hook_identity``). Different are also another
    head, ``prepend_bos``, version, or processing of the weights that changes what is read there. What only one of them
    says is unknown of the other: allowed, with a note to ``tell`` (by default a ``UserWarning``). ``called`` names
    both; ``purpose`` begins the message's last sentence. A matrix ``[n_latents, d_model]`` says nothing of where it is
    from, and passes.
    """
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return
    ours, theirs = called
    if a.cfg.d_in != b.cfg.d_in:
        raise ConfigError(f"{ours} has d_in = {a.cfg.d_in} and {theirs} {b.cfg.d_in}: not one activation space.")
    unknown: dict[str, list[str]] = {}
    for field in _FIELDS:
        one, other = known(a, field), known(b, field)
        if one is not None and other is not None:
            if _differ(field, one, other):
                raise _different(field, one, other, called, purpose)
        elif (one is None) != (other is None) and field in ("model_name", "hook_name"):
            unknown.setdefault(ours if one is None else theirs, []).append(field)
    if known(a, "model_name") is not None and known(b, "model_name") is not None:
        for field in _read_alike(known(a, "hook_name")):
            one, other = loading(a)[field], loading(b)[field]
            if one != other:
                raise _different(field, one, other, called, purpose)
    for whose, fields in unknown.items():
        note(f"{whose} does not say its {' and its '.join(fields)}: taken to be as in the other.", tell)


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
        f"{called[0]} has {field} = {one!r} and {called[1]} {other!r}: their activations are different things. "
        f"{purpose} take SAEs of one model and one hook point, read alike."
    )
