"""The explorer inside the book: the links of its page, and the copy beside the built site."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from canonlib.book import explorerpage
from canonlib.errors import ConfigError
from canonlib.explore import data as explored

ROOT = Path(__file__).resolve().parents[1]


def data(book: Path) -> Path:
    folder = book / explorerpage.DATA
    folder.mkdir(parents=True)
    (folder / "manifest.js").write_text('canonData("manifest",{"start":[[3,"a, (b)"]]});\n')
    return folder


def test_the_committed_data_are_whole_and_lead_to_their_latents():
    manifest = explorerpage.read_manifest(ROOT / "book")
    folder = ROOT / "book" / explorerpage.DATA
    chunks = -(-manifest["n_latents"] // manifest["chunk"])
    names = {f"latents-{i}.js" for i in range(chunks)} | {
        f"metas-{i}.js" for i in range(-(-manifest["n_meta"] // manifest["chunk"]))
    }
    assert {p.name for p in folder.iterdir()} == names | {"manifest.js", "index.js", "metas.js", "tokens.js", "dead.js"}
    assert manifest["format"] == explored.FORMAT and len(manifest["start"]) > 5
    text = (folder / "index.js").read_text()
    index = json.loads(text[text.index(",") + 1 : text.rindex(")")])
    assert all(index["names"][number] == name for number, name in manifest["start"])


def test_the_manifest_is_read_with_any_text_in_it(tmp_path):
    data(tmp_path)
    assert explorerpage.read_manifest(tmp_path) == {"start": [[3, "a, (b)"]]}


@pytest.mark.parametrize("content", [None, "", "canonData("])
def test_missing_data_are_named_with_the_remedy(tmp_path, content):
    folder = data(tmp_path)
    (folder / "manifest.js").unlink()
    if content is not None:
        (folder / "manifest.js").write_text(content)
    with pytest.raises(ConfigError, match="canonlib explore explorer/data --data-only"):
        explorerpage.read_manifest(tmp_path)


@pytest.mark.parametrize(("format_", "error", "copied"), [
    ("html", None, True), ("latex", None, False), ("html", ValueError("a build that failed"), False),
])  # fmt: skip
def test_the_page_and_its_data_are_copied_beside_the_site(tmp_path, format_, error, copied):
    book, out = tmp_path / "book", tmp_path / "html"
    data(book)
    stale = out / "explorer" / "stale.js"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    app = SimpleNamespace(srcdir=str(book), outdir=str(out), builder=SimpleNamespace(format=format_))
    explorerpage.copy_explorer(app, error)
    assert stale.exists() != copied
    assert (out / "explorer" / "index.html").exists() == copied
    assert (out / "explorer" / "data" / "manifest.js").exists() == copied
