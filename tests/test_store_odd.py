"""Odd things in a store: each is reported, and the rest is looked at all the same; nothing that is no number is sealed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import torch

from canonlib.errors import CorruptArtefactError, StoreError
from canonlib.store import Artefact, Build, Store, write_json, write_tensors
from canonlib.store.artefact import MANIFEST, manifest_checksum
from canonlib.store.files import DISK_ERRORS, store_error
from canonlib.store.numbers import require_numbers


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def build(store: Store, **config: Any) -> Artefact:
    return store.get_or_build("sae", config, lambda b: write_json(b.folder / "out.json", {"answer": 42}))


def folder_for_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()


def links_in_a_ring(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).symlink_to(folder / "other")
    (folder / "other").symlink_to(folder / MANIFEST)


def pipe_for_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)


def pipe_for_file(folder: Path) -> None:
    (folder / "out.json").unlink()
    os.mkfifo(folder / "out.json")


def folder_for_file(folder: Path) -> None:
    (folder / "out.json").unlink()
    (folder / "out.json").mkdir()


def deep(folder: Path) -> None:
    (folder / MANIFEST).write_text("[" * 200_000)


def file_for_folder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("a file")


def link_to_nowhere(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.symlink_to(folder.parent / "nowhere")


ODD = (folder_for_manifest, links_in_a_ring, pipe_for_manifest, pipe_for_file, folder_for_file, deep, file_for_folder,
       link_to_nowhere)  # fmt: skip


@pytest.mark.parametrize("spoil", ODD, ids=lambda f: f.__name__)
@pytest.mark.skipif(os.name == "nt", reason="needs pipes and links")
def test_an_odd_item_is_reported_and_the_rest_goes_on(store: Store, spoil: Any) -> None:
    """Three artefacts, the middle one by key spoilt: verify names it alone, ls shows the others, gc takes it away."""
    artefacts = sorted((build(store, n=n) for n in range(3)), key=lambda a: a.key)
    bad = artefacts[1]
    spoil(bad.folder)
    assert {(p.room, p.key) for p in store.verify()} == {("sae", bad.key)}
    listed = {a.key for a in store.artefacts()}
    assert listed >= {artefacts[0].key, artefacts[2].key}
    removed = store.gc(corrupt=True)
    assert [r.key for r in removed] == [bad.key] and not os.path.lexists(bad.folder)
    assert store.verify() == [] and len(store.artefacts()) == 2


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
def test_asking_for_an_artefact_that_is_a_pipe_does_not_wait(store: Store) -> None:
    pipe_for_file(build(store, n=1).folder)
    code = f"from canonlib.store import Store\nStore({str(store.root)!r}).find('sae', {{'n': 1}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "CorruptArtefactError" in done.stderr and "no regular file" in done.stderr


def test_gc_goes_on_when_one_removal_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from canonlib.store import housekeeping

    first, second = sorted((build(store, n=n) for n in range(2)), key=lambda a: a.key)
    real = housekeeping.remove_folder

    def refuse(folder: Path, key: str) -> None:
        if key == first.key:
            raise OSError(errno.EIO, "Input/output error", str(folder))
        real(folder, key)

    monkeypatch.setattr(housekeeping, "remove_folder", refuse)
    assert [r.key for r in store.gc(everything=True)] == [second.key]
    assert first.folder.is_dir()
    with pytest.raises(StoreError, match="the disk reports an error"):
        store.gc(everything=True)  # the one that is left, and nothing else


@pytest.mark.parametrize(("number", "words"), [(errno.EFBIG, "larger than"), (errno.EIO, "reports an error"),
                                               (errno.ENOSPC, "is full")])  # fmt: skip
def test_disk_errors_of_a_builder_are_the_stores(store: Store, number: int, words: str) -> None:
    def fail(b: Build) -> None:
        raise OSError(number, os.strerror(number), str(b.folder / "x"))

    assert number in DISK_ERRORS
    with pytest.raises(StoreError, match=words):
        store.get_or_build("sae", {"n": 1}, fail)
    assert "To fix it" in str(store_error(store.root, OSError(number, "x")))


@pytest.mark.parametrize(("days", "span", "goes"), [(60, 30, True), (60, 90, False), (-60, 30, True), (-60, 90, False)])
def test_an_artefact_dated_in_the_future_ages(store: Store, days: int, span: int, goes: bool) -> None:
    artefact = build(store, n=1)
    manifest = json.loads((artefact.folder / MANIFEST).read_text())
    manifest["created"] = (datetime.now(timezone.utc) + timedelta(days=days)).isoformat(timespec="seconds")
    manifest["checksum"] = manifest_checksum(manifest)
    (artefact.folder / MANIFEST).write_text(json.dumps(manifest))
    removed = store.gc(older_than=timedelta(days=span))
    assert bool(removed) is goes
    assert not goes or ("ahead" in removed[0].reason) is (days > 0)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(("name", "value", "sealed"), [
    ("W_dec", NAN, False), ("W_dec", INF, False), ("threshold", -INF, True), ("threshold", INF, True),
    ("threshold", NAN, False), ("b_enc", -INF, True), ("b_dec", INF, False), ("delta_mse", NAN, False),
    ("sae.b_enc", -INF, True), ("W_dec", 1.0, True),
])  # fmt: skip
def test_nothing_that_is_no_number_is_sealed(store: Store, name: str, value: float, sealed: bool) -> None:
    """A tensor [2, 3] with one value at [1, 2]; infinite thresholds and encoder biases say that a latent never fires."""

    def write(b: Build) -> None:
        tensor = torch.ones(2, 3)
        tensor[1, 2] = value
        write_tensors(b.folder / "t.safetensors", {name: tensor, "n": torch.tensor([1])})

    if sealed:
        assert store.get_or_build("sae", {"n": 1}, write).tensors("t.safetensors")[name][1, 2] == value
        return
    with pytest.raises(StoreError, match=rf"'{name}' holds 1 values.*the first at \[1, 2\]"):
        store.get_or_build("sae", {"n": 1}, write)
    assert store.artefacts() == [] and store.find("sae", {"n": 1}) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_kind_of_float_is_looked_at(tmp_path: Path, dtype: torch.dtype) -> None:
    path = write_tensors(tmp_path / "t.safetensors", {"x": torch.tensor([1.0, NAN], dtype=dtype), "y": torch.zeros(0)})
    with pytest.raises(StoreError, match="'x' holds 1"):
        require_numbers(path, "here")


def test_what_is_no_safetensors_file_is_not_sealed(store: Store) -> None:
    with pytest.raises(StoreError, match="no safetensors file"):
        store.get_or_build("sae", {"n": 1}, lambda b: (b.folder / "t.safetensors").write_text("text") and None)


def test_a_damaged_artefact_is_still_an_error_when_it_is_asked_for(store: Store) -> None:
    folder_for_manifest(build(store, n=1).folder)
    with pytest.raises(CorruptArtefactError, match="no regular file"):
        store.find("sae", {"n": 1})
