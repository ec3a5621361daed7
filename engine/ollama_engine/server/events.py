"""Server-sent events, the wire of the OpenAI and Anthropic dialects."""

from __future__ import annotations

from typing import Any

from ollama_engine.server.encode import encode

EVENTS_TYPE = "text/event-stream"


def event(data: Any, name: str = "") -> bytes:
    """One event; `data` goes out as JSON, which has no line break in it."""
    head = f"event: {name}\n".encode() if name else b""
    return b"".join((head, b"data: ", encode(data), b"\n\n"))


DONE = b"data: [DONE]\n\n"
"""What ends a stream of OpenAI's."""
