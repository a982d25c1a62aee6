"""Numbers, places and addresses that cannot be: one line each, at once, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from canonlib import tiers
from canonlib.errors import ConfigError, require_finite, require_seed
from canonlib.judge import Endpoint, Prices
from canonlib.store import Store, write_json
from canonlib.store.files import require_writable

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("seed", [2**63, 2**64, 2**62, -1, True, 1.5, "7"])
def test_a_seed_that_seeds_nothing_is_refused(seed: object) -> None:
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        require_seed("seed", seed)
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        tiers.get("world", seed=seed)


def test_the_largest_seed_is_taken_by_pytorch_with_what_is_added_to_it() -> None:
    torch = pytest.importorskip("torch")
    from canonlib.activations import _data_seed

    tier = tiers.get("world", seed=2**62 - 1)
    torch.Generator().manual_seed(_data_seed(tier, "eval"))
    torch.manual_seed(tier.seed + 4)


@pytest.mark.parametrize("value", [INF, -INF, NAN, 0.0, -1.0])
def test_what_is_no_finite_number_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="must be a finite number above 0"):
        require_finite("x", value, above=0)
    with pytest.raises(ConfigError, match="timeout"):
        Endpoint("http://localhost:1/v1", "m", timeout=value)


@pytest.mark.parametrize("value", [INF, NAN, -1.0])
def test_prices_and_temperatures_are_finite(value: float) -> None:
    with pytest.raises(ConfigError, match="price of input tokens"):
        Prices(value)
    with pytest.raises(ConfigError, match="temperature"):
        Endpoint("http://localhost:1/v1", "m", temperature=value)


@pytest.mark.parametrize("url", [
    "", "localhost:8000", "ftp://a", "http://", "http:///v1", "http://:80", "http://[::1", "http://a:99999", "http://a:b",
    "http://a:0/v1", "http://a b/v1", "http://a/v1\n", "http://a/\x1b[31m", "https://",
])  # fmt: skip
def test_a_malformed_address_is_one_line(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as error:
        Endpoint(url, "m")
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/v1", "https://a.example/v1/", "http://[::1]:80/v1", "http://127.0.0.1"]
)
def test_a_sound_address_is_taken(url: str) -> None:
    assert Endpoint(url, "m").base_url == url


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
def test_where_a_result_cannot_go_is_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for name, words in (("folder", "is a folder"), ("pipe", "no regular file"), ("lost", "no regular file"),
                        ("file/below", "cannot be written"), ("a\0b", "cannot be written"), ("x" * 300, "cannot be written")):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            require_writable("--out", tmp_path / name)
    with pytest.raises(ConfigError, match="is no folder"):
        require_writable("--out", tmp_path / "file", folder=True)
    require_writable("--out", tmp_path / "file")
    require_writable("--out", tmp_path / "new" / "deep" / "file")
    require_writable("--out", tmp_path / "folder", folder=True)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder", "lost", "pipe"]


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(FileExistsError, match="no regular file"):
            write_json(tmp_path / name, {})
    with pytest.raises(FileExistsError):
        write_json(Path(os.devnull), {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "pipe"]
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_json(tmp_path / "real", {"a": 1})
    write_json(tmp_path / "link", {"a": 2})


def test_a_home_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANONLIB_STORE", "~nobody-of-that-name/x")
    for make in (Store, lambda: Store("~nobody-of-that-name/x")):
        with pytest.raises(ConfigError, match="home folder"):
            make()


COMMANDS = [
    (["run", "--seed", str(2**63)], {}, "seed must be a whole number below"),
    (["run"], {"CANONLIB_WORKERS": "abc"}, "CANONLIB_WORKERS must be a whole number"),
    (["store", "ls"], {"CANONLIB_STORE": "~nobody-of-that-name/x"}, "home folder"),
    (["world", "train", "--out", "m", "--scale", "inf"], {}, "--scale must be a finite number"),
    (["world", "train", "--out", "m", "--scale", "nan"], {}, "--scale"),
    (["world", "train", "--out", "m", "--seed", str(2**63)], {}, "--seed must be a whole number below"),
    (["pdf", "--out", "."], {}, "--out . is a folder"),
    (["pdf", "--out", os.devnull], {}, "no regular file"),
    (["notebooks", "1", "--out", os.devnull], {}, "is no folder"),
    (["interpret", "--base-url", "http://[::1", "--model", "m"], {}, "base_url is no address"),
    (["interpret", "--base-url", "http://localhost:1", "--model", "m", "--timeout", "inf"], {}, "timeout"),
    (["interpret", "--base-url", "http://localhost:1", "--model", "m", "--out", "."], {}, "--out . is a folder"),
    (["interpret", "--base-url", "http://localhost:1", "--model", "m", "--out", os.devnull], {}, "no regular file"),
]


@pytest.mark.parametrize(
    ("command", "env", "words"), COMMANDS, ids=lambda v: " ".join(v[:3]) if isinstance(v, list) else None
)
def test_a_command_says_it_in_one_line_at_once(
    tmp_path: Path, command: list[str], env: dict[str, str], words: str
) -> None:
    store = {"CANONLIB_STORE": str(tmp_path / "store"), "COLUMNS": "300", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-m", "canonlib.cli", *command], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, **store, **env}, timeout=120)  # fmt: skip
    lines = done.stderr.strip().splitlines()
    assert words in done.stderr and "Traceback" not in done.stderr
    assert done.returncode == 2 and (len(lines) == 1 or lines[0].startswith("Usage")), lines
    assert not (tmp_path / "store").exists() and not (tmp_path / "m").exists()


def test_a_locale_of_ascii_alone_is_no_reason_to_stop(tmp_path: Path) -> None:
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}
    code = "import sys\nfrom canonlib import cli\ncli.app = lambda **k: print('a \\u2192 b')\ncli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "a \\u2192 b"), done.stderr
