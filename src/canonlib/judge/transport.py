"""One reply, whole, in bounded time and of bounded size: httpx's own timeout starts anew with every byte that arrives."""

from __future__ import annotations

import json
import threading
import zlib
from typing import Any

import httpx

MOST_BYTES = 8 * 2**20
"""Of a reply, as it is sent and when it is unpacked; the longest honest one is a hundredth of that."""


class TooLargeError(Exception):
    """A reply is larger than ``MOST_BYTES``, or packed in a way that cannot be unpacked within it."""


class Bounded(httpx.BaseTransport):
    """Sends through ``inner``, and hands on only a reply that was whole within ``seconds`` and ``MOST_BYTES``.

    A late one raises ``httpx.ReadTimeout``. One that is too large becomes an answer of status 413 that says so, because
    asking again would not make it smaller.
    """

    def __init__(self, seconds: float, inner: httpx.BaseTransport | None = None) -> None:
        self.seconds, self.inner = seconds, inner or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The whole reply. Raises what ``inner`` raises."""
        done: dict[str, Any] = {}

        def ask() -> None:
            try:
                done["reply"] = self._whole(request)
            except Exception as exc:  # noqa: BLE001 (raised again by the one who waits)
                done["error"] = exc

        # A thread that waits for a server which sends a byte now and then cannot be stopped; it ends with the process.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(self.seconds)
        if not done:
            raise httpx.ReadTimeout(f"no whole reply within {self.seconds:g} s", request=request)
        if isinstance(done.get("error"), TooLargeError):
            content = json.dumps({"error": {"message": str(done["error"])}}).encode()
            return httpx.Response(413, content=content, request=request)
        if "error" in done:
            raise done["error"]
        reply: httpx.Response = done["reply"]
        return reply

    def _whole(self, request: httpx.Request) -> httpx.Response:
        response = self.inner.handle_request(request)
        try:
            raw = bytearray()
            for chunk in response.stream:  # type: ignore[union-attr]  # synchronous, as the transport is
                raw += chunk
                if len(raw) > MOST_BYTES:
                    raise TooLargeError(f"the reply is larger than {MOST_BYTES:,} bytes")
        finally:
            response.close()
        content = unpacked(bytes(raw), response.headers.get("content-encoding", ""))
        ours = ("content-encoding", "content-length", "transfer-encoding")
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in ours]
        return httpx.Response(response.status_code, headers=headers, content=content, request=request)

    def close(self) -> None:
        """Close ``inner``."""
        self.inner.close()


def unpacked(raw: bytes, encoding: str) -> bytes:
    """The content of a reply sent as ``encoding`` (gzip, deflate, identity or nothing). Raises ``TooLargeError``."""
    names = [name.strip().lower() for name in encoding.split(",") if name.strip().lower() not in ("", "identity")]
    if not names:
        return raw
    if len(names) > 1 or names[0] not in ("gzip", "x-gzip", "deflate"):
        raise TooLargeError(f"the reply is packed as {encoding[:40]!r}, which was not asked for")
    # With a header of either kind; what is called deflate is sent without one as well.
    for wbits in (zlib.MAX_WBITS | 32, *([-zlib.MAX_WBITS] if names[0] == "deflate" else [])):
        unpacker = zlib.decompressobj(wbits)
        try:
            content = unpacker.decompress(raw, MOST_BYTES + 1)
        except zlib.error:
            continue
        if len(content) > MOST_BYTES:
            raise TooLargeError(f"the reply unpacks to more than {MOST_BYTES:,} bytes")
        if unpacker.eof:
            return content
    raise TooLargeError(f"the reply is not packed as it says ({names[0]})")
