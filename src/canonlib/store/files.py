"""Files that are whole or absent: temporary name, fsync, rename; and operating-system errors put into words."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from canonlib.errors import ConfigError, StoreError
from canonlib.store.hashing import to_jsonable

_ELSEWHERE = "set CANONLIB_STORE to a folder you can write to"
_ROOM = "free some space (`canonlib store gc` shows the way) or set CANONLIB_STORE to a folder on another disk"
_REASONS = {
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EFBIG: ("the file is larger than the disk or a limit of this account allows (`ulimit -f`)", _ROOM),
    errno.EIO: ("the disk reports an error", "look after the disk, or set CANONLIB_STORE to a folder on another one"),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.EACCES: ("permission denied", _ELSEWHERE),
    errno.EPERM: ("permission denied", _ELSEWHERE),
    errno.ENOTDIR: ("a file stands where a folder should be", _ELSEWHERE),
    errno.EEXIST: ("a file stands where a folder should be", _ELSEWHERE),
}
if hasattr(errno, "EDQUOT"):  # Windows has no quota error
    _REASONS[errno.EDQUOT] = ("the disk quota is used up", _ROOM)

DISK_ERRORS = frozenset(_REASONS) - {errno.EEXIST, errno.ENOTDIR}
"""Errors that say the disk refuses, whoever was writing."""


def store_error(folder: Path, exc: BaseException, doing: str = "use") -> StoreError:
    """The ``StoreError`` that says which folder, why, and what to do about it."""
    number = errno_of(exc)
    reason, fix = _REASONS.get(number or 0, (str(exc), _ELSEWHERE))
    return StoreError(f"cannot {doing} the store at {folder}: {reason} ({exc}). To fix it, {fix}.")


def errno_of(exc: BaseException) -> int | None:
    """The operating system's error number behind an exception, also when safetensors has put it into its text."""
    if isinstance(exc, OSError):
        return exc.errno
    if type(exc).__module__.split(".")[0] in ("safetensors", "safetensors_rust"):
        found = re.search(r"os error (\d+)", str(exc))
        return int(found.group(1)) if found else None
    return None


@contextmanager
def explained(folder: Path, doing: str = "use") -> Iterator[None]:
    """Turn any ``OSError`` inside the block into a ``StoreError`` that names ``folder``."""
    try:
        yield
    except OSError as exc:
        raise store_error(folder, exc, doing) from exc


def fsync_path(path: Path) -> None:
    """Ask the disk to keep a file, or a folder's list of names. Raises ``OSError``."""
    if path.is_dir():
        if os.name == "nt":  # Windows cannot open folders
            return
        fd = os.open(path, os.O_RDONLY)
    else:
        fd = os.open(path, os.O_RDWR)  # Windows flushes only what is open for writing
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def require_writable(option: str, path: Path, folder: bool = False) -> None:
    """Raise ``ConfigError``, naming ``option``, unless a file (or a folder's files) can be written at ``path``.

    Nothing is made: the nearest folder that is there is asked. Only a regular file may stand in the place of a file.
    """
    try:
        there = True
        try:
            path.lstat()  # a name that is too long, or holds a zero, is an error of its own
        except FileNotFoundError:
            there = False
        if there and folder and not path.is_dir():
            raise ConfigError(f"{option} {path} is no folder: give another.")
        if there and not folder and not path.is_file():
            kind = "a folder" if path.is_dir() else "no regular file"
            raise ConfigError(f"{option} {path} is {kind}: give the name of a file.")
        place = path if folder else path.parent
        while not os.path.lexists(place) and place != place.parent:
            place = place.parent
        probe = place / f".canonlib-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{option} {path} cannot be written ({exc}): give another place.") from exc


def replace_atomically(path: Path, write: Callable[[Path], None]) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place: readers see the old or the new one.

    The folder is made when missing. Raises ``OSError``, also where something stands that is no regular file (a device, a
    pipe, a folder); the temporary file never stays.
    """
    if os.path.lexists(path) and not path.is_file():
        raise FileExistsError(errno.EEXIST, "what stands there is no regular file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        write(temporary)
        fsync_path(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_path(path.parent)
    return path


def write_json(path: str | Path, obj: Any) -> Path:
    """Write ``obj`` (dicts, lists, dataclasses, paths, finite numbers...) as JSON at ``path``, whole or not at all.

    Same object, same bytes; keys keep their order. Raises ``ConfigError`` naming the field that JSON cannot hold,
    ``OSError`` when the disk refuses.
    """
    plain = to_jsonable(obj, "json", class_names=False)
    text = json.dumps(plain, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    return replace_atomically(Path(path), lambda temporary: _write_bytes(temporary, text.encode("ascii")))


def none_for_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with None in place of NaN, which JSON has no word for.

    >>> none_for_nan({"precision": float("nan"), "n_pairs": 0})
    {'precision': None, 'n_pairs': 0}
    """
    return {key: None if value != value else value for key, value in values.items()}


def _write_bytes(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)


def write_tensors(path: str | Path, tensors: Mapping[str, Any]) -> Path:
    """Write named tensors (torch, any device; numpy arrays too) as safetensors at ``path``, whole or not at all.

    Raises ``ConfigError`` for a value that is no tensor, ``OSError`` when the disk refuses.
    """
    import numpy as np
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    ready: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if not isinstance(value, (torch.Tensor, np.ndarray)):
            raise ConfigError(f"tensors[{name!r}] is a {type(value).__name__}: pass a torch tensor or a numpy array.")
        ready[name] = torch.as_tensor(value).detach().cpu().contiguous()

    def write(temporary: Path) -> None:
        try:
            save_file(ready, str(temporary))
        except SafetensorError as exc:
            number = errno_of(exc)
            if number is None:
                raise
            raise OSError(number, os.strerror(number), str(path)) from exc

    return replace_atomically(Path(path), write)


def files_below(folder: Path) -> list[Path]:
    """Every file and link below ``folder``, in the order of their names; folders that vanish meanwhile are empty."""
    found = []
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        found += [Path(parent, name) for name in (*names, *links)]
    return sorted(found)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below ``folder`` (links not followed; what vanishes meanwhile counts nothing)."""
    total = 0
    for path in files_below(folder):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total


def remove_folder(folder: Path, key: str) -> None:
    """Remove a folder of the artefact ``key`` so that no one ever meets half of it.

    It is renamed to a name nobody reads, then emptied; a file or a link in its place goes too, and not what a link leads
    to. Raises ``OSError``.
    """
    doomed = folder.with_name(f".deleting-{key}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    os.rename(folder, doomed)
    if doomed.is_dir() and not doomed.is_symlink():
        shutil.rmtree(doomed)
    else:
        doomed.unlink()
