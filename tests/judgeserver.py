"""A small OpenAI-compatible server on loopback that answers from a script, its failures included."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Script:
    """What the server does: ``steps`` are taken one a request, then ``answer(prompt)`` replies.

    A step is a status code (an error with that status), "timeout" (silence), "broken" (not the API's form) or a text.
    """

    def __init__(self, answer: Callable[[str], str], steps: list[int | str] | None = None) -> None:
        self.answer, self.steps = answer, list(steps or [])
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.base_url = ""
        self.echo = ""
        self.finish_reason = "stop"


class _Handler(BaseHTTPRequestHandler):
    script: Script

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.script.requests.append(body)
        self.script.keys.append(self.headers.get("Authorization", ""))
        step = self.script.steps.pop(0) if self.script.steps else None
        if step == "timeout":
            time.sleep(1.0)
            return
        if isinstance(step, int):
            self._reply(step, {"error": {"message": f"scripted {step} {self.script.echo}", "type": "scripted"}})
        elif step == "broken":
            self._reply(200, {"choices": []})
        else:
            text = step if isinstance(step, str) else self.script.answer(body["messages"][0]["content"])
            self._reply(200, {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
                              "choices": [{"index": 0, "finish_reason": self.script.finish_reason,
                                           "message": {"role": "assistant", "content": text}}]})  # fmt: skip

    def _reply(self, status: int, payload: dict[str, Any]) -> None:
        content = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Silence."""


@contextmanager
def serving(script: Script) -> Iterator[Script]:
    """The script on a free port of loopback; ``script.base_url`` says where."""
    handler = type("Handler", (_Handler,), {"script": script})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    script.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
