"""Anthropic's shape of a failure (spec §2.8)."""

from __future__ import annotations

import secrets
from typing import Any

from ollama_engine.errors import EngineError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def anthropic_error(error: EngineError) -> dict[str, Any]:
    """`{"type": "error", "error": {type, message}, "request_id"}`; the message ends with our hint, if there is one."""
    message = f"{error.message} {error.hint}" if error.hint else error.message
    return {
        "type": "error",
        "error": {"type": _TYPES.get(error.status, "api_error"), "message": message},
        "request_id": f"req_{secrets.token_hex(12)}",
    }
