"""Get an artefact or build it: same configuration and same code, same artefact, built once."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from canonlib.errors import ConfigError, StoreError
from canonlib.store import housekeeping
from canonlib.store.artefact import Artefact, open_artefact
from canonlib.store.build import Build, run_build
from canonlib.store.files import explained
from canonlib.store.hashing import artefact_key, code_hash
from canonlib.store.locks import locked

log = logging.getLogger("canonlib.store")

_ROOM = re.compile(r"[a-z0-9][a-z0-9_-]*")
_KEY = re.compile(r"[0-9a-f]{64}")


def default_root() -> Path:
    """The environment variable ``CANONLIB_STORE``, or ``store`` in the user's cache folder for canonlib.

    Raises ``ConfigError`` for a home folder (``~name``) that is not there.
    """
    chosen = os.environ.get("CANONLIB_STORE")
    if chosen:
        try:
            return Path(chosen).expanduser()
        except RuntimeError as exc:
            raise ConfigError(
                f"CANONLIB_STORE is {chosen!r}, and there is no such home folder: correct or unset it."
            ) from exc
    import platformdirs

    return Path(platformdirs.user_cache_dir("canonlib", appauthor=False)) / "store"


class Store:
    """A folder of artefacts, ``root/room/key/``; several processes and machines may share it.

    ``root``: where it is; by default ``default_root()``. Nothing is created before the first build. Raises ``ConfigError``
    for a home folder (``~name``) that is not there.

    >>> import tempfile
    >>> from canonlib.store import write_json
    >>> def count(build):
    ...     write_json(build.folder / "n.json", {"n": 3})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store(folder)
    ...     made = store.get_or_build("demo", {"seed": 0}, count)
    ...     again = store.get_or_build("demo", {"seed": 0}, count)  # read, not built
    ...     found = made.json("n.json"), again.reused, store.find("demo", {"seed": 1})
    >>> found
    ({'n': 3}, True, None)
    """

    def __init__(self, root: str | Path | None = None) -> None:
        try:
            self.root = Path(root if root is not None else default_root()).expanduser().absolute()
        except RuntimeError as exc:
            raise ConfigError(
                f"the store {str(root)!r} lies in a home folder that is not there: give another."
            ) from exc

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def key(self, room: str, config: Any, code: Sequence[str] | str = ()) -> str:
        """The key (64 hexadecimal digits): a hash of the room, the whole configuration and the source of ``code``.

        Raises ``ConfigError`` naming the field of ``config`` or the entry of ``code`` that cannot be used.
        """
        return artefact_key(_valid_room(room), _valid_config(config), code_hash(code))

    def find(self, room: str, config: Any, code: Sequence[str] | str = ()) -> Artefact | None:
        """The artefact, with its files checked, or None when it has not been built.

        Raises ``CorruptArtefactError`` naming the damaged file, ``StoreError`` when the store cannot be read.
        """
        return self._existing(room, self.key(room, config, code))

    def get_or_build(
        self, room: str, config: Any, build: Callable[[Build], None], code: Sequence[str] | str = ()
    ) -> Artefact:
        """The artefact of ``config``; when there is none, ``build`` is called to write it.

        room: short name of what makes it, such as ``"sae"``.
        config: dict or dataclass of everything the result depends on (upstream artefacts by their keys).
        build: writes ``.safetensors``, ``.json``, ``.jsonl`` or ``.txt`` files into ``Build.folder``; a long one
            keeps its progress in ``Build.checkpoint``, which a killed build leaves for the next.
        code: modules and packages whose source the result depends on; editing one makes a new artefact.

        Several processes that ask together build it once. Raises ``ConfigError`` for a configuration that is not
        JSON-able, ``CorruptArtefactError`` for a damaged artefact (nothing is rebuilt silently), ``StoreError`` when
        the store cannot be written to, and what ``build`` raises.
        """
        code_version = code_hash(code)
        key = artefact_key(_valid_room(room), _valid_config(config), code_version)
        found = self._existing(room, key)  # before locking: a read-only store can still be read
        if found is not None:
            return found
        folder = self.root / room
        with explained(self.root, "write to"):
            folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, key):
            found = self._existing(room, key)
            if found is not None:
                return found
            log.info("building %s/%s in %s", room, key[:12], self.root)
            artefact = run_build(folder, key, config, code_version, build)
        log.info("built %s/%s in %.1f s", room, key[:12], artefact.seconds)
        return artefact

    def artefacts(self, rooms: Iterable[str] | None = None) -> list[Artefact]:
        """Every artefact with a sound manifest, by room and age; their files are not read. Others are logged.

        Raises ``StoreError`` when the store cannot be read.
        """
        found = []
        for folder in self.folders(rooms):
            try:
                found.append(open_artefact(folder))
            except StoreError as exc:
                log.warning("%s", exc)
        return sorted(found, key=lambda a: (a.room, a.created, a.key))

    def folders(self, rooms: Iterable[str] | None = None) -> list[Path]:
        """Folders of all artefacts, sound or not, of all rooms or the given ones. Raises ``StoreError``."""
        with explained(self.root, "read"):
            return [f for room in self.room_folders(rooms) for f in sorted(room.iterdir()) if _KEY.fullmatch(f.name)]

    def room_folders(self, rooms: Iterable[str] | None = None) -> list[Path]:
        """Folders of all rooms, or of the given ones that exist. Raises ``StoreError``, ``ConfigError``."""
        chosen = None if rooms is None else {_valid_room(room) for room in rooms}
        with explained(self.root, "read"):
            if not self.root.exists():
                return []
            found = [f for f in sorted(self.root.iterdir()) if _ROOM.fullmatch(f.name) and f.is_dir()]
        return [f for f in found if chosen is None or f.name in chosen]

    def verify(self, rooms: Iterable[str] | None = None) -> list[housekeeping.Problem]:
        """Read every byte of every artefact and list what is damaged. Raises ``StoreError`` if it cannot be read."""
        return housekeeping.verify(self, rooms)

    def gc(
        self,
        dry_run: bool = False,
        older_than: timedelta | None = None,
        rooms: Iterable[str] | None = None,
        *,
        corrupt: bool = False,
        everything: bool = False,
        stale_checkpoints: timedelta = timedelta(days=7),
    ) -> list[housekeeping.Removal]:
        """Remove (or with ``dry_run`` only list) what is not needed, in all rooms or the given ones.

        Always: folders of builds that died, and checkpoints untouched for ``stale_checkpoints``. On request:
        artefacts finished longer ago than ``older_than``, damaged ones (``corrupt``), or all (``everything``).
        What another process is building is left alone. Raises ``StoreError`` when something cannot be removed.
        """
        wanted = housekeeping.Wanted(older_than, corrupt, everything, stale_checkpoints)
        return housekeeping.gc(self, wanted, rooms, dry_run)

    def _existing(self, room: str, key: str) -> Artefact | None:
        folder = self.root / room / key
        with explained(self.root, "read"):
            if self.root.exists() and not self.root.is_dir():
                raise StoreError(
                    f"cannot use the store at {self.root}: a file stands where a folder should be. "
                    "To fix it, set CANONLIB_STORE to a folder you can write to."
                )
            if not folder.is_dir():
                return None
        artefact = open_artefact(folder)
        artefact.check()
        return artefact


def _valid_room(room: Any) -> str:
    if not isinstance(room, str) or not _ROOM.fullmatch(room):
        raise ConfigError(f"room must be a short name of lower-case letters, digits, - and _, got {room!r}.")
    return room


def _valid_config(config: Any) -> Any:
    if not isinstance(config, Mapping) and (isinstance(config, type) or not is_dataclass(config)):
        raise ConfigError(f"config must be a dict or a dataclass instance, got {type(config).__name__}.")
    return config
