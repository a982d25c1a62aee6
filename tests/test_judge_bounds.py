"""A reply is bounded in time and size, the key is cut wherever it turns up, and nothing steers the terminal."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import subprocess
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="openai is not installed ([judge])")

from canonlib.judge import Endpoint, Judge, JudgeError
from canonlib.judge.interpreting import _object
from canonlib.judge.secrets import bare, cut, secrets_of, without_steering
from canonlib.judge.transport import MOST_BYTES, TooLargeError, unpacked

KEY = "sk-a-very-secret-key"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANON_TEST_KEY", KEY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def raw_server(send: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on loopback that reads a request and lets ``send`` write whatever it likes."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    connection.recv(65_536)
                    send(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    finally:
        over.set()
        server.close()


def http(content: bytes, *headers: str) -> bytes:
    head = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(head).encode() + content


def chat(content: Any) -> bytes:
    message = {"role": "assistant", "content": content}
    return json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "m",
                       "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}).encode()  # fmt: skip


def judge(url: str, cache: Path, **fields: Any) -> Judge:
    return Judge(Endpoint(url, "m", **{"key_env": "CANON_TEST_KEY", "retries": 0, "timeout": 5.0, **fields}), cache)


def trickle(connection: socket.socket) -> None:
    """An honest reply, a byte each fifth of a second: no single wait is long."""
    for byte in http(chat("7")):
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


def trickled_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for i in range(100):
        connection.sendall(f"X-{i}: y\r\n".encode())
        time.sleep(0.2)


@pytest.mark.parametrize("send", [trickle, trickled_head])
def test_the_timeout_bounds_the_whole_reply(tmp_path: Path, send: Callable[[socket.socket], None]) -> None:
    with raw_server(send) as url:
        start = time.monotonic()
        with pytest.raises(JudgeError, match="did not answer within 0.5 s"):
            judge(url, tmp_path, timeout=0.5).ask("?", str)
        assert time.monotonic() - start < 10  # the whole would take 40 seconds and more


def plain_flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n")
    for _ in range(2 * MOST_BYTES // 65_536):
        connection.sendall(b" " * 65_536)


def packed_flood(connection: socket.socket) -> None:
    """Eleven megabytes of blanks in eleven kilobytes."""
    connection.sendall(http(gzip.compress(b" " * (MOST_BYTES + 3_000_000)), "Content-Encoding: gzip"))


@pytest.mark.parametrize(("send", "words"), [
    (plain_flood, "larger than 8,388,608 bytes"),
    (packed_flood, "unpacks to more than 8,388,608 bytes"),
    (lambda c: c.sendall(http(b"xx", "Content-Encoding: br")), "packed as 'br', which was not asked for"),
    (lambda c: c.sendall(http(b"xx", "Content-Encoding: gzip")), "not packed as it says"),
])  # fmt: skip
def test_a_reply_has_a_largest_size_packed_or_not(tmp_path: Path, send: Any, words: str) -> None:
    with raw_server(send) as url, pytest.raises(JudgeError, match=words):
        judge(url, tmp_path).ask("?", str)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, lambda b: zlib.compress(b)[2:-4]])
def test_an_honest_packed_reply_is_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    name = "gzip" if pack is gzip.compress else "deflate"
    with raw_server(lambda c: c.sendall(http(pack(chat("seven")), f"Content-Encoding: {name}"))) as url:
        assert judge(url, tmp_path).ask("?", str) == "seven"
    with pytest.raises(TooLargeError):
        unpacked(b"", "gzip, gzip")


@pytest.mark.parametrize("content", [["a"], {"a": 1}, 7, True, 1.5])
def test_content_of_a_wrong_type_is_a_bad_reply(tmp_path: Path, content: Any) -> None:
    with (
        raw_server(lambda c: c.sendall(http(chat(content)))) as url,
        pytest.raises(JudgeError, match="not the chat API's"),
    ):
        judge(url, tmp_path).ask("?", str)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"choices":' + b"[" * 100_000, b"null", b"7", b'{"choices": [null]}', b""]
)
def test_a_body_that_is_no_reply_is_one_line(tmp_path: Path, body: bytes) -> None:
    with raw_server(lambda c: c.sendall(http(body))) as url, pytest.raises(JudgeError) as error:
        judge(url, tmp_path).ask("?", str)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reply", ["{" * 200_000, "}" * 200_000, "{}" * 100_000 + "{", '{"a": ' + "[" * 100_000 + "}",
                                   '{"matches": [' + "9" * 5_000 + "]}", "{" + "\\" * 200_000])  # fmt: skip
def test_reading_a_reply_takes_time_in_proportion_to_its_length(reply: str) -> None:
    """With a pattern that is tried at every brace the first of these takes minutes."""
    start = time.process_time()
    with pytest.raises(ValueError, match="JSON|object"):
        _object(reply)
    assert time.process_time() - start < 5
    assert _object('so: {"a": {"b": 1}} there') == {"a": {"b": 1}}


def echo_key(connection: socket.socket) -> None:
    content = json.dumps({"error": {"message": f"who is {KEY}? \x1b[31m{KEY}\x07"}}).encode()
    connection.sendall(http(content).replace(b"200 OK", b"418 Teapot"))


def test_a_key_that_the_server_echoes_is_in_no_message_log_or_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with raw_server(echo_key) as url:
        user = url.replace("http://", f"http://user:{KEY}@") + f"?api_key={KEY}"
        with pytest.raises(JudgeError, match="status 418") as error:
            judge(user, tmp_path).ask("?", str)
    shown = "".join(traceback.format_exception(error.value))
    assert KEY not in shown and "\x1b" not in shown and "\x07" not in shown and "***" in shown
    assert KEY not in caplog.text and caplog.records
    assert bare(user) == url


def test_a_key_that_the_server_echoes_is_in_no_stored_file(tmp_path: Path) -> None:
    with raw_server(lambda c: c.sendall(http(chat(f"it is {KEY}\x1b]0;x\x07, \u202etxt\nsecond line")))) as url:
        assert judge(url, tmp_path).ask("?", str) == "it is ***]0;x, txt\nsecond line"
    kept = "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    assert kept and KEY not in kept and "\\u001b" not in kept


@pytest.mark.parametrize(("url", "secrets"), [
    ("http://a/v1", [KEY]),
    ("http://user:pa%20ss@a/v1?k=secret&x=1", ["k=secret&x=1", KEY, "pa%20ss", "secret", "pa ss", "user"]),
])  # fmt: skip
def test_what_an_address_hides_is_cut_as_well(url: str, secrets: list[str]) -> None:
    assert secrets_of(url, KEY)[:1] and set(secrets_of(url, KEY)) == set(secrets)
    assert cut(f"{url} {KEY}", secrets_of(url, KEY)).count("***") >= 1


def test_steering_characters_go_and_text_stays() -> None:
    assert without_steering("a\tb\nc ä 日本 \U0001f600") == "a\tb\nc ä 日本 \U0001f600"
    assert without_steering("\x00\x07\x1b[2J\x7f\x9b31m\u202e\r") == "[2J31m"


def test_no_error_of_a_command_steers_the_terminal(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "canonlib.cli", "claims", "--tier", "a\x1b[31mb\u202e"], cwd=tmp_path,
                          capture_output=True, timeout=60)  # fmt: skip
    assert done.returncode == 2 and b"\x1b[31mb" not in done.stderr and "\u202e" not in done.stderr.decode()
