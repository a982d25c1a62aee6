"""``canonlib store``: what it lists, what it finds damaged, what it removes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from canonlib.cli.store import app, describe, parse_span
from canonlib.errors import ConfigError
from canonlib.store import Artefact, Build, Store, write_json


@pytest.fixture
def store(tmp_path: Path, monkeypatch: Any) -> Store:
    monkeypatch.setenv("CANONLIB_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "120")
    return Store()


def make(store: Store, room: str, config: dict[str, Any], description: str | None = None) -> Artefact:
    def build(b: Build) -> None:
        write_json(b.folder / "out.json", list(range(1000)))
        if description:
            b.note(description=description)

    return store.get_or_build(room, config, build)


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, args)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_ls_shows_what_there_is(store: Store) -> None:
    assert "no artefacts yet" in run("ls")
    sae = make(store, "sae", {"n_latents": 32}, "an SAE with [bold] words")
    meta = make(store, "meta", {"sae": sae.key, "lr": 0.5, "inner": {"x": 1}})
    lines = run("ls").splitlines()
    assert lines[0].split() == ["room", "key", "size", "age", "took", "what"]
    assert lines[1].split()[:2] == ["meta", meta.key[:12]]
    assert lines[1].rstrip().endswith(f"sae={sae.key[:12]}, lr=0.5")
    assert lines[2].rstrip().endswith("an SAE with [bold] words")
    # A thousand numbers, one per line: 2,890 digits, 1,000 spaces and line ends, 999 commas, 4 for the brackets.
    assert sae.nbytes == 2890 + 1000 + 1000 + 999 + 4
    assert "5.9 kB" in lines[2]
    assert lines[3].startswith("2 artefacts, 11.8 kB")
    assert meta.key[:12] not in run("ls", "--room", "sae")


def test_ls_json_is_json(store: Store) -> None:
    art = make(store, "sae", {"n_latents": 32})
    (facts,) = json.loads(run("ls", "--json"))
    assert (facts["room"], facts["key"], facts["config"]) == ("sae", art.key, {"n_latents": 32})
    assert facts["bytes"] == art.nbytes
    assert describe(art) == "n_latents=32"


def test_verify_names_the_damage_and_gc_corrupt_drops_it(store: Store) -> None:
    art, sound = make(store, "sae", {}), make(store, "meta", {})
    assert "2 artefacts checked, none damaged." in run("verify")
    (art.folder / "out.json").write_text("[]")
    said = run("verify", code=1)
    assert f"sae/{art.key[:12]}: {art.folder / 'out.json'} has 2 bytes" in said
    assert "gc --corrupt" in said
    assert run("verify", "--room", "meta")
    assert "Would remove 1 folder" in run("gc", "--corrupt", "--dry-run")
    assert art.folder.exists()
    said = run("gc", "--corrupt")
    assert art.key[:12] in said
    assert "damaged: out.json" in said
    assert not art.folder.exists()
    assert sound.folder.exists()
    run("verify")


def test_gc_removes_artefacts_only_on_request(store: Store) -> None:
    sae, meta = make(store, "sae", {}), make(store, "meta", {})
    assert "Nothing to remove." in run("gc")
    assert "Nothing to remove." in run("gc", "--older-than", "1h")
    assert "Would remove 2 folders" in run("gc", "--all", "--dry-run")
    assert "Removed 1 folder" in run("gc", "--room", "sae", "--all")
    assert (sae.folder.exists(), meta.folder.exists()) == (False, True)


def test_another_store_can_be_named(store: Store, tmp_path: Path) -> None:
    art = make(Store(tmp_path / "other"), "sae", {})
    assert art.key[:12] in run("ls", "--store", str(tmp_path / "other"))
    assert "no artefacts yet" in run("ls")


def test_a_misspelt_room_is_an_error_with_the_nearest_one(store: Store) -> None:
    make(store, "sae", {})
    result = CliRunner().invoke(app, ["ls", "--room", "sea"])
    assert isinstance(result.exception, ConfigError)
    assert "Did you mean 'sae'?" in str(result.exception)


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("30d", 720), ("2w", 336), ("0d", 0)])
def test_spans(text: str, hours: int) -> None:
    assert parse_span("--older-than", text).total_seconds() == hours * 3600


@pytest.mark.parametrize("text", ["30", "d", "-3d", "3 days", "1.5d", ""])
def test_bad_spans_name_the_option(text: str) -> None:
    with pytest.raises(ConfigError, match="--older-than must be"):
        parse_span("--older-than", text)


@pytest.mark.parametrize("command", ["ls", "verify", "gc"])
def test_help_teaches_with_examples(command: str) -> None:
    said = run(command, "--help")
    assert "Examples:" in said
    assert f"\n    canonlib store {command}" in said, "one example per line"
