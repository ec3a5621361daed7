"""The table of Anthropic's endpoints."""

from __future__ import annotations

from ollama_engine.engine import Engine
from ollama_engine.server.anthropic.messages import Messages
from ollama_engine.server.routing import ExactRoute


def anthropic_routes(engine: Engine) -> list[ExactRoute]:
    messages = Messages(engine)
    return [
        ExactRoute("/v1/messages", messages.create, "POST"),
        ExactRoute("/v1/messages/count_tokens", messages.count_tokens, "POST"),
    ]
