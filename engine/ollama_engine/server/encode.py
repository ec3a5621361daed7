"""JSON answers as Go writes them: compact, `<`, `>` and `&` escaped, UTF-8 named in the content type (spec §0)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from ollama_engine.types import encode_json

JSON_TYPE = "application/json; charset=utf-8"
NDJSON_TYPE = "application/x-ndjson"

_ESCAPES = (
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


def encode(value: Any) -> bytes:
    """One JSON value, no newline at its end. The escaped characters occur in JSON only inside strings."""
    text = encode_json(value)
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(value), status, headers=headers, media_type=JSON_TYPE)
