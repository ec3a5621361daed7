"""The table of Anthropic's endpoints."""

from __future__ import annotations

from ollama_engine.engine import Engine
from ollama_engine.server.anthropic.messages import Messages, MessagesRequest
from ollama_engine.server.anthropic.objects import MessageEvent, MessageObject, TokenCount
from ollama_engine.server.operations import events
from ollama_engine.server.routing import ExactRoute, Table

ANTHROPIC = Table("Anthropic")


def anthropic_routes(engine: Engine) -> list[ExactRoute]:
    messages = Messages(engine)
    return [
        ANTHROPIC(
            "POST", "/v1/messages", messages.create, "Answer a conversation",
            details="`max_tokens` must be positive.",
            takes=MessagesRequest, gives=MessageObject, streams=events(MessageEvent),
        ),
        ANTHROPIC(
            "POST", "/v1/messages/count_tokens", messages.count_tokens, "Count the tokens of a conversation",
            details="`max_tokens` may be left out; nothing is generated.", takes=MessagesRequest, gives=TokenCount,
        ),
    ]  # fmt: skip
