"""The one door for dictionaries on disk and in releases: what comes in is whole, finite and of a known kind, or refused.

Nothing is taken from a folder before it has been looked at: that its files are regular ones, that the configuration
says what SAELens reads in it, and that the weights have the shapes that follow. Then SAELens opens it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canonlib.errors import ConfigError, HubError, note, one_line
from canonlib.sae.configuration import PRECISION, checked_configuration
from canonlib.sae.dictionary import Need, require_dictionary
from canonlib.sae.folders import CONFIG_FILE
from canonlib.store.reading import read_json, require_regular

if TYPE_CHECKING:
    import torch
    from sae_lens import SAE

WEIGHTS_FILE = "sae_weights.safetensors"
"""What a SAELens folder holds beside its configuration."""
_MOST_JSON = 2**24
_STORED = {"F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16"}


def open_sae(
    source: str | Path, sae_id: str | None = None, *, called: str | None = None, need: Need = Need.DIRECTIONS,
    device: str = "cpu", tell: Callable[[str], None] | None = None,
) -> SAE[Any]:  # fmt: skip
    """The SAE in a SAELens folder, or with ``sae_id`` that of a release, ready for every function that takes one.

    called: names it in messages, such as ``--sae``; by default the SAE. need: what it will be used for, checked at once.
    tell: is called with what the reader should know and is no error (by default a ``UserWarning``).

    It is in evaluation mode, and its parameters are out of reach of gradients. Half precisions are brought to float32,
    which changes no weight; float64 stays (releases come in float32, as SAELens gives them). Raises ``ConfigError``,
    one line that names folder, file, field or tensor, value and what to do, for a folder that is damaged or holds
    something else, and ``HubError`` for a release that cannot be fetched.

    >>> import tempfile
    >>> from canonlib import toy
    >>> truth = toy.planted(n_tokens=2_000, n_features=12, d_model=32, l0=2.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = toy.planted_sae(truth, range(6)).save_model(folder)
    ...     open_sae(folder).cfg.d_sae
    6
    """
    if sae_id is not None:
        sae, subject = _from_release(str(source), sae_id, str(device)), called or f"the SAE {sae_id!r} of {source}"
    else:
        folder, subject = named_folder(source, called or "the SAE")
        sae = _from_folder(folder, subject, str(device), tell)
    require_dictionary(sae, need, subject)
    sae.eval()
    return sae.requires_grad_(False)


def _from_folder(folder: Path, subject: str, device: str, tell: Callable[[str], None] | None) -> SAE[Any]:
    from sae_lens import SAE

    require_folder(folder, (CONFIG_FILE, WEIGHTS_FILE), subject)
    raw = read_json(folder / CONFIG_FILE, f"{subject}: {CONFIG_FILE}", most=_MOST_JSON)
    config = checked_configuration(raw, subject)
    require_memory(require_regular(folder / WEIGHTS_FILE, f"{subject}: {WEIGHTS_FILE}").st_size, subject)
    stored = _stored(folder / WEIGHTS_FILE, config, subject)
    dtype = "float64" if stored == "float64" else "float32"
    if stored in ("float16", "bfloat16"):
        note(f"{subject} is kept in {stored}: it is brought to float32, which changes no weight.", tell)
    try:
        return SAE.load_from_disk(folder, device=device, dtype=dtype)
    except Exception as exc:  # whatever SAELens, safetensors or PyTorch raise of a folder: it is somebody else's
        raise ConfigError(f"{subject} cannot be opened by SAELens ({type(exc).__name__}: {one_line(exc)}).") from exc


def named_folder(folder: object, called: str) -> tuple[Path, str]:
    """A folder, and how messages about it begin: its name stands as it is, or quoted where it holds what does not print.

    Raises ``ConfigError`` for what is no name.
    """
    if not isinstance(folder, (str, Path)):
        raise ConfigError(f"{called} must be a folder's name, got a {type(folder).__name__}.")
    name = str(folder)
    return Path(folder), f"{called} {name if name.isprintable() else repr(name)}"


def require_folder(folder: Path, names: tuple[str, ...], subject: str, what: str = "SAE", by: str = "SAELens") -> None:
    """Raise ``ConfigError``, beginning with ``subject``, for a folder that lacks one of the files ``names``."""
    try:
        missing = [name for name in names if not os.path.lexists(folder / name)]
    except ValueError as exc:
        raise ConfigError(f"{subject} is no name of a folder ({exc}).") from exc
    if missing:
        raise ConfigError(
            f"{subject} holds no {what} ({' and '.join(missing)} missing): give a folder that {by} has saved."
        )


def _from_release(release: str, sae_id: str, device: str) -> SAE[Any]:
    from sae_lens import SAE

    try:
        return SAE.from_pretrained(release, sae_id, device=device)
    except (OSError, ConnectionError) as exc:
        raise HubError(
            f"release {release!r}, SAE {sae_id!r} cannot be fetched ({one_line(exc)}): it takes a network, or a copy in a "
            "folder."
        ) from exc
    except Exception as exc:
        raise ConfigError(f"release {release!r}, SAE {sae_id!r} cannot be opened ({one_line(exc)}).") from exc


def require_memory(n_bytes: int, subject: str) -> None:
    """``ConfigError`` for what this machine cannot hold: it would be at work for minutes before it is killed."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else n_bytes
    if n_bytes > there:
        raise ConfigError(
            f"{subject} takes {n_bytes / 2**30:,.0f} GiB, and this machine has {there / 2**30:,.0f} GiB of memory."
        )


def require_device(device: object) -> str:
    """The name of a device that is there; ``ConfigError`` for another."""
    import torch

    try:
        torch.empty(0, device=str(device))
    except (RuntimeError, AssertionError) as exc:
        raise ConfigError(f"device {device!r} is not there ({one_line(exc)}): 'cpu' always is.") from exc
    return str(device)


def _stored(path: Path, config: dict[str, Any], subject: str) -> str:
    """The precision in which all weights are kept, once their names and shapes are those of the configuration."""
    from safetensors import SafetensorError, safe_open

    subject = f"{subject}: {path.name}"
    try:
        with safe_open(path, framework="pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (the file is no mapping)
            found = {name: (part.get_shape(), part.get_dtype()) for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError) as exc:
        raise ConfigError(f"{subject} cannot be read ({one_line(exc)}). Take another copy of the folder.") from exc
    wanted = _shapes(config, subject)
    lacking = sorted(wanted.keys() - found.keys())
    if lacking:
        raise ConfigError(
            f"{subject} holds no {' and no '.join(lacking)}, which an SAE of architecture {config['architecture']!r} has: "
            "it was saved by another version, or is of another architecture."
        )
    odd = sorted(found.keys() - wanted.keys())
    if odd:
        raise ConfigError(
            f"{subject} holds {odd[0]!r}, which an SAE of architecture {config['architecture']!r} has not: correct the "
            f"architecture in {CONFIG_FILE}, or save the SAE with save_inference_model(folder)."
        )
    for name, shape in wanted.items():
        if list(found[name][0]) != shape:
            raise ConfigError(
                f"{subject} holds {name} of shape {list(found[name][0])}, and {CONFIG_FILE} (d_in = {config['d_in']}, "
                f"d_sae = {config['d_sae']}) asks for {shape}: one of the two is of another SAE."
            )
        if found[name][1] not in _STORED:
            raise ConfigError(f"{subject} keeps {name} in {found[name][1]}: weights must be floating-point numbers.")
    kept = {_STORED[dtype] for name, (_, dtype) in found.items() if name in wanted}
    return max(kept, key=PRECISION.index)


def _shapes(config: dict[str, Any], subject: str) -> dict[str, list[int]]:
    """Name and shape of every weight, from SAELens's own class, without the memory for them."""
    from sae_lens.registry import get_sae_class

    kind, kind_config = get_sae_class(config["architecture"])
    try:
        empty = kind(kind_config.from_dict({**config, "device": "meta", "metadata": {}}))
        state: dict[str, torch.Tensor] = empty.state_dict()
    except Exception as exc:
        raise ConfigError(f"{subject}: no SAE can be made as {CONFIG_FILE} says ({one_line(exc)}).") from exc
    return {name: list(tensor.shape) for name, tensor in state.items()}
