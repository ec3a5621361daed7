"""Anthropic's shape of a failure (spec §2.8)."""

from __future__ import annotations

import secrets

from ollama_engine.errors import EngineError
from ollama_engine.server.anthropic.objects import AnthropicError, AnthropicErrorDetails

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


def anthropic_error(error: EngineError) -> AnthropicError:
    """`{"type": "error", "error": {type, message}, "request_id"}`; the message ends with our hint, if there is one."""
    message = error.message
    if error.hint:
        message += (" " if message.endswith((".", "!", "?")) else ". ") + error.hint
    details = AnthropicErrorDetails(_TYPES.get(error.status, "api_error"), message)
    return AnthropicError(details, f"req_{secrets.token_hex(12)}")
