"""A hub on loopback: files of a folder, as huggingface_hub asks for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0" * 40


@contextmanager
def hub(repos: Path) -> Iterator[str]:
    """Serve ``repos/owner/name/...`` as the main branch of the repository ``owner/name``; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, body: bool) -> None:
            owner_name, _, path = self.path.partition("?")[0].lstrip("/").partition("/resolve/main/")
            file = repos / owner_name / path
            if not path or not file.is_file():
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound" if (repos / owner_name).is_dir() else "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
