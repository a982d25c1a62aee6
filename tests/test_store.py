"""The store's promises: same configuration and code, same artefact; whole or absent; checked on every reading."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canonlib.errors import ConfigError, CorruptArtefactError, StoreError
from canonlib.store import Artefact, Build, Store, canonical_json, code_hash, write_json, write_tensors
from canonlib.store import artefact as artefact_module
from canonlib.store import files as files_module
from canonlib.store import locks as locks_module


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def write_one(b: Build) -> None:
    write_json(b.folder / "out.json", {"answer": 42})


def build_one(store: Store, **config: Any) -> Artefact:
    return store.get_or_build("sae", config, write_one)


def names(folder: Path) -> list[str]:
    """What lies in a room's folder, the locks aside."""
    return sorted(p.name for p in folder.iterdir() if p.name != ".locks")


def flip_byte(path: Path, position: int) -> None:
    """Change one byte and leave size and times as they were, as a failing disk would."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def start(code: str, *args: object) -> subprocess.Popen[str]:
    program = "import json, os, sys, time\nfrom pathlib import Path\nfrom canonlib.store import *\n"
    command = [sys.executable, "-c", program + textwrap.dedent(code), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


# ---------------------------------------------------------------- get or build


def test_an_artefact_is_built_once_and_then_reused(store: Store) -> None:
    calls = []

    def build(b: Build) -> None:
        calls.append(b.config)
        write_json(b.folder / "sub" / "out.json", {"answer": 42})
        b.note(loss=0.5, description="a test")

    first = store.get_or_build("sae", {"k": 3}, build, ["canonlib.store"])
    second = store.get_or_build("sae", {"k": 3}, build, ["canonlib.store"])
    assert calls == [{"k": 3}]
    assert (first.reused, second.reused) == (False, True)
    assert first == second
    assert second.folder == store.root / "sae" / store.key("sae", {"k": 3}, ["canonlib.store"])
    assert second.json("sub/out.json") == {"answer": 42}
    assert second.path("sub/out.json").is_file()
    assert second.notes == {"loss": 0.5, "description": "a test"}
    assert names(store.root / "sae") == [first.key], "neither temporary folder nor checkpoint stays"


def test_the_manifest_says_what_was_made_and_with_what(store: Store) -> None:
    manifest = build_one(store, k=3).manifest
    assert manifest["config"] == {"k": 3}
    assert manifest["room"] == "sae"
    assert manifest["files"]["out.json"]["bytes"] == len('{\n "answer": 42\n}\n')
    assert manifest["versions"]["python"].startswith("3.")
    assert manifest["versions"]["torch"]
    assert manifest["seconds"] >= 0
    assert manifest == json.loads((store.root / "sae" / manifest["key"] / "manifest.json").read_text())


def test_find_never_builds(store: Store) -> None:
    assert store.find("sae", {"k": 3}) is None
    assert not store.root.exists(), "looking must not create anything"
    built = build_one(store, k=3)
    found = store.find("sae", {"k": 3})
    assert found == built
    assert store.find("sae", {"k": 4}) is None
    assert store.find("meta", {"k": 3}) is None


def test_a_name_that_is_not_there_is_an_error_with_the_nearest_one(store: Store) -> None:
    with pytest.raises(StoreError, match=r"no file 'oot\.json'.*'out\.json'"):
        build_one(store).path("oot.json")


def test_tensors_come_back_equal_and_cannot_change_the_file(store: Store) -> None:
    import numpy as np
    import torch

    grid = torch.arange(6.0).reshape(2, 3)

    def build(b: Build) -> None:
        tensors = {"grid": grid, "turned": grid.T, "half": grid.to(torch.bfloat16), "ids": np.array([3, 1])}
        write_tensors(b.folder / "w.safetensors", tensors)

    art = store.get_or_build("sae", {}, build)
    got = art.tensors("w.safetensors")
    assert torch.equal(got["grid"], grid)
    assert torch.equal(got["turned"], grid.T)
    assert got["half"].dtype == torch.bfloat16
    assert got["ids"].tolist() == [3, 1]
    got["grid"].zero_()
    assert torch.equal(art.tensors("w.safetensors")["grid"], grid)
    assert store.verify() == []


def test_the_root_comes_from_the_argument_then_the_environment(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("CANONLIB_STORE", str(tmp_path / "env"))
    assert Store().root == tmp_path / "env"
    assert Store(tmp_path / "arg").root == tmp_path / "arg"
    monkeypatch.delenv("CANONLIB_STORE")
    assert Store().root.name == "store"
    assert "canonlib" in Store().root.parts


def test_importing_the_store_imports_nothing_heavy() -> None:
    process = start("print([m for m in ('torch', 'numpy', 'safetensors', 'rich', 'filelock') if m in sys.modules])")
    assert process.communicate()[0].strip() == "[]"


# ---------------------------------------------------------------- keys

NAMES = st.text(max_size=4)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(NAMES, SCALARS, max_size=3)
CONFIGS = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=2), min_size=1, max_size=4)


def turned_round(value: Any) -> Any:
    """The same value with the keys of every dict in reverse order."""
    if isinstance(value, dict):
        return {k: turned_round(v) for k, v in reversed(value.items())}
    return [turned_round(v) for v in value] if isinstance(value, list) else value


@given(CONFIGS)
@settings(max_examples=50, deadline=None)
def test_the_order_of_keys_does_not_matter(config: dict[str, Any]) -> None:
    store = Store("unused")
    assert store.key("sae", config) == store.key("sae", turned_round(config))


@given(CONFIGS, SCALARS, st.data())
@settings(max_examples=50, deadline=None)
def test_any_changed_field_changes_the_key(config: dict[str, Any], other: Any, data: st.DataObject) -> None:
    store, field = Store("unused"), data.draw(st.sampled_from(sorted(config)))
    changed = {**config, field: other}
    same = repr(changed[field]) == repr(config[field])  # repr: 1, 1.0 and True are three values
    assert (store.key("sae", changed) == store.key("sae", config)) == same
    without = {k: v for k, v in config.items() if k != field}
    assert store.key("sae", without) != store.key("sae", config)


@dataclasses.dataclass(frozen=True)
class Adam:
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)


@dataclasses.dataclass(frozen=True)
class Lion:
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)


def test_dataclasses_paths_and_tuples_count_as_what_they_hold() -> None:
    assert canonical_json({"b": (1, 2), "a": Path("x/y")}) == '{"a":"x/y","b":[1,2]}'
    assert canonical_json(Adam()) == '{"__class__":"Adam","betas":[0.9,0.999],"lr":0.001}'
    store = Store("unused")
    assert store.key("sae", Adam()) != store.key("sae", Lion()), "the class of a configuration is part of it"
    assert store.key("sae", Adam()) != store.key("sae", Adam(betas=(0.9, 0.99)))
    assert store.key("sae", {}) != store.key("meta", {}), "and so is the room"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"sae": {"lr": float("nan")}}, r"config\.sae\.lr is nan"),
        ({"sizes": [1, float("inf")]}, r"config\.sizes\[1\] is inf"),
        ({"opt": Adam(lr=float("-inf"))}, r"config\.opt\.lr is -inf"),
        ({"latents": {3, 4}}, r"config\.latents is a builtins\.set"),
        ({"by_size": {32: "a"}}, r"config\.by_size has the key 32"),
        ({"f": [{"g": print}]}, r"config\.f\[0\]\.g is a builtins\.builtin_function"),
        ({"raw": b"x"}, r"config\.raw is a builtins\.bytes"),
        (["a"], "config must be a dict"),
        (Adam, "config must be a dict"),
    ],
)
def test_what_json_cannot_hold_is_named(config: Any, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        Store("unused").key("sae", config)


def test_torch_dtypes_arrays_and_loops_are_refused() -> None:
    import numpy as np
    import torch

    for bad in (torch.float32, torch.ones(1), np.float32(1), np.arange(2)):
        with pytest.raises(ConfigError, match=r"config\.x is a (torch|numpy)"):
            Store("unused").key("sae", {"x": bad})
    loop: dict[str, Any] = {}
    loop["me"] = loop
    with pytest.raises(ConfigError, match="contains itself"):
        canonical_json(loop)


@pytest.mark.parametrize("room", ["", "SAE", "../sae", ".sae", "a/b", 3, None])
def test_rooms_are_short_plain_names(room: Any) -> None:
    with pytest.raises(ConfigError, match="room must be"):
        Store("unused").key(room, {})


# ---------------------------------------------------------------- code versions


@pytest.fixture
def package(tmp_path: Path, monkeypatch: Any) -> Path:
    """A package whose every module raises when imported, so that hashing it must not import it."""
    folder = tmp_path / "code" / "heavypkg"
    (folder / "inner").mkdir(parents=True)
    for name in ("__init__.py", "one.py", "two.py", "inner/__init__.py", "inner/deep.py"):
        (folder / name).write_text(f"raise RuntimeError('imported {name}')\n")
    (folder / "facts.csv").write_text("name\nCurie\n")
    (folder / "readme.md").write_text("words\n")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return folder


@pytest.mark.parametrize(
    ("edited", "noticed_by"),
    [
        ("one.py", {"heavypkg", "heavypkg.one"}),
        ("inner/deep.py", {"heavypkg", "heavypkg.inner", "heavypkg.inner.deep"}),
        ("facts.csv", {"heavypkg"}),
        ("inner/new.py", {"heavypkg", "heavypkg.inner"}),
        ("readme.md", set()),
    ],
)
def test_editing_code_or_its_tables_changes_the_key(package: Path, edited: str, noticed_by: set[str]) -> None:
    entries = ["heavypkg", "heavypkg.one", "heavypkg.two", "heavypkg.inner", "heavypkg.inner.deep"]
    store = Store("unused")
    before = {entry: store.key("sae", {}, [entry]) for entry in entries}
    with open(package / edited, "a") as file:
        file.write("# edited\n")
    after = {entry: store.key("sae", {}, [entry]) for entry in entries}
    assert {e for e in entries if after[e] != before[e]} == noticed_by
    assert "heavypkg" not in sys.modules


def test_the_code_version_ignores_line_endings_order_and_place(package: Path) -> None:
    before = code_hash(["heavypkg.one", "heavypkg.two"])
    assert code_hash(["heavypkg.two", "heavypkg.one", "heavypkg.two"]) == before
    (package / "one.py").write_bytes((package / "one.py").read_bytes().replace(b"\n", b"\r\n"))
    assert code_hash(["heavypkg.one", "heavypkg.two"]) == before
    assert code_hash("heavypkg.one") == code_hash(["heavypkg.one"]) != before


@pytest.mark.parametrize("entry", ["nosuchpkg", "heavypkg.three", "heavypkg.one.x", "heavypkg..one", "", "sys"])
def test_code_that_is_not_there_is_named(package: Path, entry: str) -> None:
    with pytest.raises(ConfigError, match=f"code entry '{entry}'"):
        code_hash([entry])


# ---------------------------------------------------------------- damage


def test_a_flipped_byte_is_found_and_named(store: Store) -> None:
    art = build_one(store)
    flip_byte(art.folder / "out.json", 12)
    artefact_module._checked.clear()  # as in a new process
    for read in (lambda: build_one(store), lambda: store.find("sae", {}), lambda: art.json("out.json")):
        with pytest.raises(CorruptArtefactError, match=r"out\.json does not match its checksum.*gc --corrupt"):
            read()
    assert [(p.room, p.key, p.file) for p in store.verify()] == [("sae", art.key, "out.json")]


def test_verify_reads_the_bytes_even_when_this_process_has_read_them_before(store: Store) -> None:
    art = build_one(store)
    assert store.verify() == []
    flip_byte(art.folder / "out.json", 12)
    assert [p.file for p in store.verify()] == ["out.json"]


def test_a_file_is_hashed_once_per_process_unless_it_changes(store: Store, monkeypatch: Any) -> None:
    hashed = []

    def counting(path: Path) -> str:
        hashed.append(path.name)
        return original(path)

    original = artefact_module.sha256_file
    monkeypatch.setattr(artefact_module, "sha256_file", counting)
    art = build_one(store)
    build_one(store).json("out.json")
    assert hashed == [], "the build itself has computed the checksum"
    artefact_module._checked.clear()
    build_one(store).json("out.json")
    build_one(store).json("out.json")
    assert hashed == ["out.json"]
    os.utime(art.folder / "out.json")
    build_one(store)
    assert hashed == ["out.json", "out.json"]


def damage_truncate(folder: Path) -> None:
    with open(folder / "out.json", "r+b") as file:
        file.truncate(3)


def damage_manifest(folder: Path, old: str, new: str) -> None:
    text = (folder / "manifest.json").read_text()
    assert old in text
    (folder / "manifest.json").write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_truncate, r"out\.json has 3 bytes where 18 were written"),
        (lambda f: (f / "out.json").unlink(), r"out\.json is missing"),
        (lambda f: (f / "manifest.json").unlink(), r"manifest\.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), r"manifest\.json is garbled"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe"), r"manifest\.json is garbled"),
        (lambda f: (f / "manifest.json").write_text("[]"), r"manifest\.json does not hold a manifest"),
        (lambda f: damage_manifest(f, '"k": 3', '"k": 4'), r"manifest\.json does not match its own checksum"),
        (lambda f: damage_manifest(f, '"k": 3', '"k": 3e999'), r"manifest\.json does not match its own checksum"),
        (lambda f: damage_manifest(f, '"notes"', '"nites"'), r"manifest\.json lacks notes"),
        (lambda f: damage_manifest(f, '"format": 1', '"format": 0'), r"manifest\.json has the format 0"),
    ],
)
def test_every_kind_of_damage_is_named_and_nothing_is_rebuilt(store: Store, damage: Any, message: str) -> None:
    art = build_one(store, k=3)
    other = build_one(store, k=99)
    damage(art.folder)
    with pytest.raises(CorruptArtefactError, match=message):
        build_one(store, k=3)
    assert len(store.verify()) == 1
    assert [r.path for r in store.gc(corrupt=True)] == [art.folder]
    assert build_one(store, k=3).reused is False
    assert build_one(store, k=99) == other
    assert store.verify() == []


def test_a_renamed_folder_is_no_other_artefact(store: Store) -> None:
    art = build_one(store, k=3)
    os.rename(art.folder, art.folder.with_name(store.key("sae", {"k": 4})))
    with pytest.raises(CorruptArtefactError, match="its folder was moved or renamed"):
        store.find("sae", {"k": 4})


# ---------------------------------------------------------------- what a builder may write


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights.pt", r"'weights\.pt': an artefact may hold only \.safetensors, \.json"),
        ("a/b.pkl", r"'a/b\.pkl': an artefact may hold only"),
        ("model", "'model': an artefact may hold only"),
        ("manifest.json", r"wrote manifest\.json, the store's own file"),
        (None, "wrote no files"),
    ],
)
def test_files_that_could_run_code_or_mislead_are_refused(store: Store, name: str | None, message: str) -> None:
    def build(b: Build) -> None:
        if name is not None:
            (b.folder / name).parent.mkdir(exist_ok=True)
            (b.folder / name).write_text("{}")

    with pytest.raises(StoreError, match=message):
        store.get_or_build("sae", {}, build)
    assert names(store.root / "sae") == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    with pytest.raises(StoreError, match="no regular file"):
        store.get_or_build("sae", {}, lambda b: (b.folder / "x.json").symlink_to(tmp_path / "elsewhere.json"))


def test_notes_must_be_json(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"notes\.loss is nan"):
        store.get_or_build("sae", {}, lambda b: b.note(loss=float("nan")))


# ---------------------------------------------------------------- builds that fail


def test_ctrl_c_removes_the_half_artefact_and_keeps_the_checkpoint(store: Store) -> None:
    def interrupted(b: Build) -> None:
        assert not b.resuming
        write_json(b.checkpoint / "step.json", 7)
        write_one(b)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get_or_build("sae", {}, interrupted)
    key = store.key("sae", {})
    assert names(store.root / "sae") == [f".checkpoint-{key}"]

    def going_on(b: Build) -> None:
        assert b.resuming
        write_json(b.folder / "out.json", json.loads((b.checkpoint / "step.json").read_text()) + 1)

    assert store.get_or_build("sae", {}, going_on).json("out.json") == 8
    assert names(store.root / "sae") == [key]


def test_a_builders_own_errors_pass_through(store: Store) -> None:
    keep = build_one(store, k=1)
    other_disk = OSError(errno.ENOSPC, "full", str(store.root.parent / "hub" / "model.safetensors"))
    for error in (
        ValueError("mine"),
        FileNotFoundError(errno.ENOENT, "no data", "data.csv"),
        OSError("odd"),
        other_disk,
    ):

        def fails(b: Build, error: Exception = error) -> None:
            write_one(b)
            raise error

        with pytest.raises(type(error)) as caught:
            store.get_or_build("sae", {"k": 2}, fails)
        assert caught.value is error
    assert names(store.root / "sae") == [keep.key]
    assert store.verify() == []


def on_full_disk(b: Build) -> None:
    write_one(b)
    with open("/dev/full", "wb", buffering=0) as file:  # the kernel's own "no space left on device"
        file.write(b"x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_full_disk_is_explained_and_costs_nothing_else(store: Store) -> None:
    keep = build_one(store, k=1)
    with pytest.raises(StoreError, match=r"the disk is full.*CANONLIB_STORE") as caught:
        store.get_or_build("sae", {"k": 2}, on_full_disk)
    assert str(store.root) in str(caught.value)
    assert names(store.root / "sae") == [keep.key]
    assert build_one(store, k=1).reused


def test_a_store_removed_while_it_is_written_is_told(store: Store) -> None:
    def build(b: Build) -> None:
        shutil.rmtree(store.root)
        (b.folder / "out.json").write_text("{}")

    with pytest.raises(StoreError, match="was removed while it was being written: run again"):
        store.get_or_build("sae", {"k": 2}, build)


@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota is used up")])
def test_a_disk_that_fills_up_while_sealing(store: Store, monkeypatch: Any, number: int, reason: str) -> None:
    def build(b: Build) -> None:
        (b.folder / "out.json").write_text("{}")
        monkeypatch.setattr(os, "fsync", refuse)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(StoreError, match=reason):
        store.get_or_build("sae", {}, build)
    monkeypatch.undo()
    assert names(store.root / "sae") == []


def test_a_full_disk_reported_by_safetensors_is_understood(store: Store, monkeypatch: Any) -> None:
    import safetensors.torch
    import torch
    from safetensors import SafetensorError

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", refuse)
    for build in (refuse, lambda b: write_tensors(b.folder / "w.safetensors", {"w": torch.ones(1)})):
        with pytest.raises(StoreError, match="the disk is full"):
            store.get_or_build("sae", {}, build)
    assert names(store.root / "sae") == []


def test_a_read_only_store_serves_what_it_has_and_explains_the_rest(store: Store, monkeypatch: Any) -> None:
    keep = build_one(store, k=1)

    def deny(original: Any, writing: Any) -> Any:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if writing(*args):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return original(path, *args, **kwargs)

        return call

    monkeypatch.setattr(os, "mkdir", deny(os.mkdir, lambda *a: True))
    monkeypatch.setattr(os, "open", deny(os.open, lambda flags, *a: bool(flags & (os.O_CREAT | os.O_RDWR))))
    assert build_one(store, k=1) == keep
    assert store.find("sae", {"k": 1}) == keep
    assert store.verify() == []
    with pytest.raises(StoreError, match=r"read-only.*set CANONLIB_STORE to a folder you can write to"):
        build_one(store, k=2)


def test_a_root_that_is_or_lies_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreError, match=r"a file stands where a folder should be.*CANONLIB_STORE"):
            build_one(Store(root))
    with pytest.raises(StoreError, match="a file stands"):
        Store(tmp_path / "file").artefacts()
    with pytest.raises(StoreError, match="a file stands"):
        Store(tmp_path / "file").find("sae", {})


# ---------------------------------------------------------------- several processes

TOGETHER = """
root, log, go = map(Path, sys.argv[1:4])
def build(b):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.4)
    write_json(b.folder / "out.json", os.getpid())
Path(sys.argv[4]).touch()
while not go.exists():
    time.sleep(0.005)
art = Store(root).get_or_build("sae", {"k": 1}, build)
print(json.dumps([art.reused, art.json("out.json")]))
"""


def test_three_processes_build_once(store: Store, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    ready = [tmp_path / f"ready{i}" for i in range(3)]
    processes = [start(TOGETHER, store.root, log, go, path) for path in ready]
    for path, process in zip(ready, processes):
        wait_for(path, process)
    go.touch()
    outputs = [p.communicate(timeout=60) for p in processes]
    assert [p.returncode for p in processes] == [0, 0, 0], outputs
    builders = log.read_text().split()
    assert len(builders) == 1
    answers = [json.loads(out) for out, _ in outputs]
    assert sorted(reused for reused, _ in answers) == [False, True, True]
    assert {pid for _, pid in answers} == {int(builders[0])}


SLOW = """
def build(b):
    write_json(b.checkpoint / "step.json", 500)
    write_json(b.folder / "half.json", "half")
    Path(sys.argv[2]).touch()
    time.sleep(300)
Store(sys.argv[1]).get_or_build("sae", {"k": 1}, build)
"""


def killed_build(store: Store, tmp_path: Path) -> str:
    """Kill a building process without warning; returns the key it was building."""
    process = start(SLOW, store.root, tmp_path / "ready")
    wait_for(tmp_path / "ready", process)
    process.kill()  # SIGKILL: no clean-up runs
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return store.key("sae", {"k": 1})


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_after_kill_9_the_next_run_goes_on_from_the_checkpoint(store: Store, tmp_path: Path) -> None:
    key = killed_build(store, tmp_path)
    left = names(store.root / "sae")
    assert len(left) == 2, "the half-built folder and the checkpoint"
    assert left[0].startswith(f".building-{key}-")
    assert store.find("sae", {"k": 1}) is None
    assert store.artefacts() == []

    def going_on(b: Build) -> None:
        assert b.resuming
        assert list(b.folder.iterdir()) == [], "nothing of the dead build's output"
        write_json(b.folder / "out.json", json.loads((b.checkpoint / "step.json").read_text()))

    art = store.get_or_build("sae", {"k": 1}, going_on)
    assert art.json("out.json") == 500
    assert art.files == ["out.json"]
    assert names(store.root / "sae") == [key]


def test_who_is_building_is_said_after_a_while(store: Store, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(locks_module, "PATIENCE", 0.05)
    building, may_end = threading.Event(), threading.Event()

    def slow(b: Build) -> None:
        building.set()
        assert may_end.wait(60)
        write_one(b)

    first = threading.Thread(target=lambda: store.get_or_build("sae", {}, slow))
    first.start()
    assert building.wait(60)
    threading.Timer(0.3, may_end.set).start()
    with caplog.at_level(logging.INFO, "canonlib.store"):
        assert build_one(store).reused, "the one that waited finds the other's work"
    first.join()
    assert f"waiting for sae/{store.key('sae', {})[:12]}, which process {os.getpid()} on " in caplog.text


# ---------------------------------------------------------------- gc


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_gc_removes_dead_builds_and_leaves_living_ones(store: Store, tmp_path: Path) -> None:
    key = killed_build(store, tmp_path)
    building, may_end = threading.Event(), threading.Event()

    def slow(b: Build) -> None:
        write_json(b.folder / "out.json", 1)
        building.set()
        assert may_end.wait(60)

    living = threading.Thread(target=lambda: store.get_or_build("meta", {}, slow))
    living.start()
    assert building.wait(60)
    would_go = store.gc(dry_run=True)
    removed = store.gc()
    may_end.set()
    living.join()
    assert [(r.room, r.key, r.reason) for r in removed] == [("sae", key, "left by a build that died")]
    assert would_go == removed
    assert removed[0].nbytes == len('"half"\n')
    assert names(store.root / "sae") == [f".checkpoint-{key}"], "a fresh checkpoint is worth keeping"
    assert store.find("meta", {}) is not None
    assert [r.path.name for r in store.gc(stale_checkpoints=timedelta(0))] == [f".checkpoint-{key}"]
    assert names(store.root / "sae") == []


def test_gc_chooses_by_room_and_age_and_a_dry_run_removes_nothing(store: Store, monkeypatch: Any) -> None:
    sae = build_one(store)
    meta = store.get_or_build("meta", {}, write_one)
    assert store.gc() == [], "artefacts go only on request"
    assert store.gc(older_than=timedelta(days=1)) == []
    whole = store.gc(dry_run=True, older_than=timedelta(seconds=-5))
    assert [r.path for r in whole] == [meta.folder, sae.folder]
    assert whole[0].nbytes == sum(p.stat().st_size for p in meta.folder.iterdir())
    assert len(store.artefacts()) == 2
    assert [r.room for r in store.gc(rooms=["sae"], everything=True)] == ["sae"]
    assert store.artefacts() == [meta]
    assert store.gc(corrupt=True) == []
    assert build_one(store).reused is False


def test_artefacts_leaves_out_the_damaged_and_says_so(store: Store, caplog: Any) -> None:
    sound, damaged = build_one(store, k=1), build_one(store, k=2)
    (damaged.folder / "manifest.json").unlink()
    assert store.artefacts() == [sound]
    assert str(damaged.folder) in caplog.text


# ---------------------------------------------------------------- atomic files


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: Any) -> None:
    target = write_json(tmp_path / "a.json", {"b": 1, "a": (2,)})
    assert json.loads(target.read_text()) == {"b": 1, "a": [2]}
    with pytest.raises(ConfigError, match=r"json\.rows\[1\]\.loss is nan"):
        write_json(target, {"rows": [{}, {"loss": float("nan")}]})

    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files_module, "fsync_path", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_json(target, {"b": 2})
    assert json.loads(target.read_text())["b"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_only_tensors_are_written_as_tensors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tensors\['lr'\] is a float"):
        write_tensors(tmp_path / "w.safetensors", {"lr": 0.1})
    assert list(tmp_path.iterdir()) == []
