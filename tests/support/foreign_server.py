"""A server that speaks just enough of Ollama's API to be taken for one, and notes what it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RUNNING = {
    "name": "llama3.2:3b",
    "model": "llama3.2:3b",
    "size": 3_400_000_000,
    "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
    "details": {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    },
    "expires_at": "2318-06-04T01:02:03.5+01:00",
    "size_vram": 3_400_000_000,
    "context_length": 4096,
}
"""A model in memory as Ollama's own server tells it (spec §1.7)."""

LISTED = {
    **{key: RUNNING[key] for key in ("name", "model", "size", "digest", "details")},
    "modified_at": "2026-01-01T00:00:00Z",
}
"""The same in its store."""

DONE = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "response": "", "done": True, "done_reason": "stop"}


class ForeignServer(ThreadingHTTPServer):
    """`requests` are the paths and bodies of all POSTs but those to /api/plan; `answer` are the JSON lines that
    /api/generate gives."""

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
        elif self.path.partition("?")[0] == "/api/ps":
            self._send(json.dumps({"models": [RUNNING]}).encode(), "application/json")
        elif self.path == "/api/tags":
            self._send(json.dumps({"models": [LISTED]}).encode(), "application/json")
        elif self.path == "/":
            self._send(b"Ollama is running", "text/plain")
        else:
            self._send(b"404 page not found", "text/plain", status=404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/plan":  # asked by the way, and nothing that Ollama has
            self.send_error(404, "page not found")
            return
        self.server.requests.append((self.path, body))
        if self.path == "/api/updates":  # nothing that Ollama has
            self.send_error(404, "page not found")
            return
        self._send(b"".join(json.dumps(line).encode() + b"\n" for line in self.server.answer), "application/x-ndjson")

    def _send(self, body: bytes, content_type: str, status: int = 200) -> None:
        self.send_response(status)
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
