"""OpenAI's shape of a failure (spec §2.1)."""

from __future__ import annotations

from typing import Any

from ollama_engine.errors import EngineError


def openai_error(error: EngineError) -> dict[str, Any]:
    """`{"error": {message, type, param, code}}`, with our hint beside them where there is one."""
    types = {
        400: "invalid_request_error",
        401: "invalid_request_error",
        403: "permission_error",
        404: "not_found_error",
        413: "invalid_request_error",
    }
    body: dict[str, Any] = {
        "message": error.message,
        "type": types.get(error.status, "api_error"),
        "param": None,
        "code": "invalid_api_key" if error.status == 401 else None,
    }
    return {"error": body | {"hint": error.hint} if error.hint else body}
