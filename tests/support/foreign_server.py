"""A server that speaks just enough of Ollama's API to be taken for one, and notes what it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DONE = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "response": "", "done": True, "done_reason": "stop"}


class ForeignServer(ThreadingHTTPServer):
    """`requests` are the paths and bodies of all POSTs; `answer` are the JSON lines that /api/generate gives."""

    daemon_threads = True

    def __init__(self, answer: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[tuple[str, dict[str, Any]]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ForeignServer  # pyright: ignore[reportIncompatibleVariableOverride] - it is what made us

    def do_HEAD(self) -> None:
        self._send(b"", "text/plain")

    def do_GET(self) -> None:
        if self.path == "/api/version":
            self._send(b'{"version":"0.0.0"}', "application/json")
        else:
            self._send(b"Ollama is running", "text/plain")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        if self.path == "/api/updates":  # nothing that Ollama has
            self.send_error(404, "page not found")
            return
        self._send(b"".join(json.dumps(line).encode() + b"\n" for line in self.server.answer), "application/x-ndjson")

    def _send(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests have nothing to read here."""


@contextmanager
def foreign_server(*responses: dict[str, Any]) -> Iterator[ForeignServer]:
    """One that answers with `responses` (fields of generate chunks) and a last line that is done."""
    lines = [{**DONE, "done": False, "done_reason": "", **fields} for fields in responses]
    with ForeignServer([*lines, DONE]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
