"""A finished artefact on disk: a folder, its manifest, and files that are checked before they are used."""

from __future__ import annotations

import errno
import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from canonlib.errors import ConfigError, CorruptArtefactError, StoreError
from canonlib.store.files import explained, store_error
from canonlib.store.hashing import FORMAT, canonical_json, sha256_file

if TYPE_CHECKING:
    import torch

MANIFEST = "manifest.json"
REPAIR = "`canonlib store gc --corrupt` drops damaged artefacts, and the next run builds them again."
FIX = f"See all damage with `canonlib store verify`; {REPAIR}"
_ODD = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
"""What the system says of a folder, a file or a ring of links where something else should be."""
_REQUIRED = ("key", "room", "config", "code", "created", "seconds", "files", "notes", "versions")

# Files whose bytes this process has already compared with the manifest: (path, mtime_ns, size, inode, sha256).
_checked: set[tuple[str, int, int, int, str]] = set()


@dataclass(frozen=True)
class Artefact:
    """One artefact of the store. ``reused`` is False when the call that returned it has just built it."""

    folder: Path
    room: str
    key: str
    manifest: dict[str, Any] = field(repr=False, compare=False)
    reused: bool = field(default=True, compare=False)

    @property
    def notes(self) -> dict[str, Any]:
        """Facts the builder left with ``Build.note``."""
        return dict(self.manifest["notes"])

    @property
    def config(self) -> Any:
        """The whole configuration, as JSON values."""
        return self.manifest["config"]

    @property
    def files(self) -> list[str]:
        """Names of its files, with forward slashes, relative to ``folder``."""
        return list(self.manifest["files"])

    @property
    def nbytes(self) -> int:
        """Bytes of its files (the manifest not counted)."""
        return sum(int(facts["bytes"]) for facts in self.manifest["files"].values())

    @property
    def created(self) -> datetime:
        """When it was finished, in UTC."""
        return datetime.fromisoformat(self.manifest["created"])

    @property
    def seconds(self) -> float:
        """Seconds the (last run of the) build took."""
        return float(self.manifest["seconds"])

    def path(self, name: str) -> Path:
        """The path of a file, checked against its size and checksum.

        Raises ``StoreError`` when the artefact has no such file, ``CorruptArtefactError`` when it is damaged.
        """
        if name not in self.manifest["files"]:
            near = get_close_matches(name, self.files, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise StoreError(
                f"artefact {self.room}/{self.key[:12]} has no file {name!r}.{hint} It has: {', '.join(self.files)}."
            )
        self._check_file(name, afresh=False)
        return self.folder / name

    def tensors(self, name: str, device: str = "cpu") -> dict[str, torch.Tensor]:
        """The tensors of a safetensors file by name, of the shapes they were written with; on the CPU they are
        memory-mapped, so only what is touched is read.

        Raises as ``path`` does, and ``StoreError`` for a file of another kind.
        """
        path = self.path(name)
        if path.suffix != ".safetensors":
            raise StoreError(f"{name!r} of {self.room}/{self.key[:12]} holds no tensors: ask for a .safetensors file.")
        from safetensors.torch import load_file

        return load_file(path, device=device)

    def json(self, name: str) -> Any:
        """The content of a JSON file. Raises as ``path`` does, and ``StoreError`` for a file that is not JSON."""
        path = self.path(name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as exc:
            raise StoreError(f"{name!r} of {self.room}/{self.key[:12]} is not JSON: {exc}.") from exc

    def check(self, *, afresh: bool = False) -> None:
        """Check every file; those this process has checked before only by size and times, unless ``afresh``.

        Raises ``CorruptArtefactError`` naming the first damaged file.
        """
        for name in self.files:
            self._check_file(name, afresh)

    def problems(self) -> Iterator[tuple[str, str]]:
        """``(file name, what is wrong)`` for every damaged file, all bytes read afresh."""
        for name in self.files:
            try:
                self._check_file(name, afresh=True)
            except StoreError as exc:  # also what the disk refuses: the other files are looked at all the same
                yield name, str(exc)

    def _check_file(self, name: str, afresh: bool) -> None:
        path, expected = self.folder / name, self.manifest["files"][name]
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):  # a pipe would keep its reader waiting for ever
                raise CorruptArtefactError(f"{path} is no regular file. {FIX}")
            if found.st_size != expected["bytes"]:
                raise CorruptArtefactError(
                    f"{path} has {found.st_size:,} bytes where {expected['bytes']:,} were written. {FIX}"
                )
            seen = (str(path), found.st_mtime_ns, found.st_size, found.st_ino, expected["sha256"])
            if seen in _checked and not afresh:
                return
            if sha256_file(path) != expected["sha256"]:
                _checked.discard(seen)
                raise CorruptArtefactError(f"{path} does not match its checksum: its bytes were changed. {FIX}")
        except FileNotFoundError:
            raise CorruptArtefactError(f"{path} is missing. {FIX}") from None
        except OSError as exc:
            if exc.errno in _ODD:
                raise CorruptArtefactError(f"{path} is no file ({exc.strerror}). {FIX}") from exc
            raise store_error(path, exc, "read") from exc
        _checked.add(seen)

    def trust(self) -> None:
        """Record that this process has just computed the checksums itself, so the files need no second reading."""
        for name, facts in self.manifest["files"].items():
            path = self.folder / name
            with explained(path, "read"):
                found = path.stat()
            _checked.add((str(path), found.st_mtime_ns, found.st_size, found.st_ino, facts["sha256"]))


def manifest_checksum(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest's content without its ``checksum`` field."""
    rest = {name: value for name, value in manifest.items() if name != "checksum"}
    return hashlib.sha256(canonical_json(rest, "manifest").encode("ascii")).hexdigest()


def _checksum_holds(manifest: dict[str, Any]) -> bool:
    try:
        return bool(manifest["checksum"] == manifest_checksum(manifest))
    except ConfigError:  # a damaged number can read as infinity
        return False


def open_artefact(folder: Path, *, reused: bool = True) -> Artefact:
    """Open the artefact in ``folder`` after checking its manifest (its files are checked by ``Artefact.check``).

    Raises ``CorruptArtefactError`` when the manifest is missing, garbled, changed, or another artefact's.
    """
    path = folder / MANIFEST
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CorruptArtefactError(f"{path} is no regular file. {FIX}")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CorruptArtefactError(f"{path} is missing. {FIX}") from None
    except OSError as exc:
        if exc.errno in _ODD:
            raise CorruptArtefactError(f"{path} is no file ({exc.strerror}). {FIX}") from exc
        raise store_error(path, exc, "read") from exc
    except (ValueError, RecursionError) as exc:
        raise CorruptArtefactError(f"{path} is garbled ({exc}). {FIX}") from exc
    reason = _manifest_fault(manifest, folder)
    if reason:
        raise CorruptArtefactError(f"{path} {reason}. {FIX}")
    return Artefact(folder, manifest["room"], manifest["key"], manifest, reused)


def _manifest_fault(manifest: Any, folder: Path) -> str | None:
    if not isinstance(manifest, dict):
        return "does not hold a manifest"
    if manifest.get("format") != FORMAT:
        return f"has the format {manifest.get('format')!r}, this version of canonlib reads {FORMAT}"
    missing = [name for name in (*_REQUIRED, "checksum") if name not in manifest]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not _checksum_holds(manifest):
        return "does not match its own checksum: it was changed after it was written"
    if (manifest["room"], manifest["key"]) != (folder.parent.name, folder.name):
        return f"belongs to {manifest['room']}/{manifest['key'][:12]}, its folder was moved or renamed"
    if any(PurePosixPath(n).is_absolute() or ".." in PurePosixPath(n).parts for n in manifest["files"]):
        return "names a file outside its folder"
    return None
