"""Where an explorer may be written: into nothing, or over an older explorer and nothing else. What is lost is lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest
from explorehelpers import subject

from canonlib.errors import ConfigError
from canonlib.explore import folders, site


@pytest.fixture(scope="module")
def whole():
    return subject()


@pytest.fixture(scope="module")
def older(whole, tmp_path_factory):
    """Folders of an explorer and of data alone, to be copied."""
    place = tmp_path_factory.mktemp("older")
    site.write_explorer(whole, place / "whole", progress=False)
    site.write_book_data(whole, place / "data", progress=False)
    return place


def everything(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def write(whole, folder, kind="whole"):
    (site.write_explorer if kind == "whole" else site.write_book_data)(whole, folder, progress=False)


@pytest.mark.parametrize("kind", ["whole", "data"])
def test_an_older_explorer_is_replaced(whole, older, tmp_path, kind):
    out = shutil.copytree(older / kind, tmp_path / "out")
    stale = (out / "data" if kind == "whole" else out) / "latents-9.js"
    stale.write_text("stale")
    write(whole, out, kind)
    assert not stale.exists() and everything(out) == everything(older / kind)
    assert {p.name for p in tmp_path.iterdir()} == {"out"}


def test_a_page_of_ones_own_beside_the_data_is_not_lost(whole, older, tmp_path):
    out = shutil.copytree(older / "whole", tmp_path / "out")
    (out / "index.html").write_text("<title>my page</title>")
    with pytest.raises(ConfigError, match=r"beside it, index\.html, which would be lost"):
        write(whole, out)
    assert (out / "index.html").read_text() == "<title>my page</title>"
    (out / "index.html").unlink()
    write(whole, out)
    assert everything(out) == everything(older / "whole")


def test_what_was_left_beside_a_folder_whose_name_begins_alike_is_not_touched(whole, older, tmp_path):
    left = tmp_path / ".out-v2-abcd1234.making"
    left.mkdir()
    (left / "lock").touch()
    shutil.copytree(older / "whole", left / "old")
    write(whole, tmp_path / "out")
    assert everything(left / "old") == everything(older / "whole")
    folders.clear_leftovers(tmp_path / "out-v2")
    assert not left.exists() and everything(tmp_path / "out-v2") == everything(older / "whole")


@pytest.mark.parametrize(("kind", "stranger"), [
    ("whole", "notes.md"), ("whole", ".git/HEAD"), ("whole", "data/mine.csv"), ("whole", "data/latents-x.js"),
    ("whole", "vue.js.orig"), ("data", "notes.md"), ("data", "latents-0.js.bak"), ("data", "sub/index.js"),
])  # fmt: skip
def test_what_stands_beside_an_explorer_is_never_lost(whole, older, tmp_path, kind, stranger):
    out = shutil.copytree(older / kind, tmp_path / "out")
    (out / stranger).parent.mkdir(exist_ok=True)
    (out / stranger).write_text("precious")
    before = everything(out)
    named = stranger if stranger.startswith("data/") else stranger.split("/")[0]
    with pytest.raises(ConfigError, match=f"beside it, {named}, which would be lost"):
        write(whole, out, kind)
    assert everything(out) == before and {p.name for p in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize(("kind", "name", "content"), [
    ("whole", "store.js", "export default store"), ("whole", "index.html", "<title>my page</title>"),
    ("whole", "data/manifest.js", "window.mine = 1"), ("data", "manifest.js", "my own"), ("data", "thesis.txt", "x"),
])  # fmt: skip
def test_a_folder_that_looks_like_one_is_left_alone(whole, tmp_path, kind, name, content):
    (tmp_path / "mine" / name).parent.mkdir(parents=True)
    (tmp_path / "mine" / name).write_text(content)
    with pytest.raises(ConfigError, match="holds no explorer"):
        write(whole, tmp_path / "mine", kind)
    assert everything(tmp_path / "mine") == {name: content.encode()}


def test_data_alone_and_a_whole_explorer_are_told_apart(whole, older, tmp_path):
    out = shutil.copytree(older / "whole", tmp_path / "out")
    with pytest.raises(
        ConfigError, match=r"holds a whole explorer, and --data-only writes data alone: give .*out/data"
    ):
        write(whole, out, "data")
    alone = shutil.copytree(older / "data", tmp_path / "alone")
    with pytest.raises(ConfigError, match="holds an explorer's data alone: add --data-only"):
        write(whole, alone)
    assert everything(out) == everything(older / "whole") and everything(alone) == everything(older / "data")


def test_a_stranger_that_comes_while_we_write_is_not_lost(whole, older, tmp_path, monkeypatch):
    out = shutil.copytree(older / "whole", tmp_path / "out")
    real = site.write_data

    def slowly(*args, **kwargs):
        real(*args, **kwargs)
        (out / "notes.md").write_text("typed meanwhile")

    monkeypatch.setattr(site, "write_data", slowly)
    with pytest.raises(ConfigError, match=r"notes\.md"):
        write(whole, out)
    assert (out / "notes.md").read_text() == "typed meanwhile" and {p.name for p in tmp_path.iterdir()} == {"out"}


def test_a_failure_leaves_the_older_one(whole, older, tmp_path, monkeypatch):
    out = shutil.copytree(older / "whole", tmp_path / "out")

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(site, "write_app", broken)
    with pytest.raises(OSError, match="No space"):
        write(whole, out)
    assert everything(out) == everything(older / "whole") and {p.name for p in tmp_path.iterdir()} == {"out"}


def test_when_the_last_step_fails_the_older_one_goes_back(whole, older, tmp_path, monkeypatch):
    out = shutil.copytree(older / "whole", tmp_path / "out")
    real = type(out).rename

    def refuse(self, target):
        if self.name == "made":
            raise OSError(16, "Device or resource busy")
        return real(self, target)

    monkeypatch.setattr(type(out), "rename", refuse)
    with pytest.raises(OSError, match="busy"):
        write(whole, out)
    assert everything(out) == everything(older / "whole") and {p.name for p in tmp_path.iterdir()} == {"out"}


def test_a_link_is_followed_and_stays(whole, older, tmp_path):
    shutil.copytree(older / "whole", tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "data" / "latents-9.js").write_text("stale")
    write(whole, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and everything(tmp_path / "real") == everything(older / "whole")
    (tmp_path / "nowhere").symlink_to("gone")
    with pytest.raises(ConfigError, match="is a link to .*gone, which is not there"):
        write(whole, tmp_path / "nowhere")


@pytest.mark.parametrize(("out", "message"), [
    (".", r"\. is the folder you are in"), ("", "is the folder you are in"), ("..", "or above it"),
    ("afile", "afile is a file"), ("afile/sub", "afile is a file"), ("afile/sub/deeper", "afile is a file"),
])  # fmt: skip
def test_a_place_that_cannot_be_is_named_before_the_work(tmp_path, monkeypatch, out, message):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "afile").write_text("mine")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError, match=message):
        folders.place_for(site.Path(out))
    assert (tmp_path / "here" / "afile").read_text() == "mine"


WRITER = """
import sys, time
from pathlib import Path
from canonlib.explore import folders

def fill(made):
    (made / "index.html").write_text("half")
    print("filling", flush=True)
    time.sleep(60)

def die_between(self, target, real=Path.rename):
    real(self, target)
    if Path(target).name == "old":
        print("filling", flush=True)
        time.sleep(60)

if sys.argv[2] == "swap":
    Path.rename = die_between
folders.replace(Path(sys.argv[1]), fill if sys.argv[2] == "fill" else lambda made: None)
"""


@pytest.mark.parametrize("moment", ["fill", "swap"])
def test_what_a_killed_writer_leaves_is_cleared_and_an_older_explorer_put_back(whole, older, tmp_path, moment):
    out = shutil.copytree(older / "whole", tmp_path / "out")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(out), moment], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "filling\n"
    assert out.exists() == (moment == "fill")
    folders.clear_leftovers(out)  # a writer that lives is left alone
    (left,) = tmp_path.glob(".out-*")
    assert {p.name for p in left.iterdir()} == {"lock", "made", *(["old"] if moment == "swap" else [])}
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    for _ in range(50):  # the lock of a dead process is free at once, but for a busy machine
        folders.clear_leftovers(out)
        if not left.exists():
            break
        time.sleep(0.1)
    assert {p.name for p in tmp_path.iterdir()} == {"out"} and everything(out) == everything(older / "whole")
