"""`/v1/messages` and `/v1/messages/count_tokens` (spec §2.8): the request to Ollama's, chunks to Anthropic's.

Better than Ollama: tool_choice, stop_sequence, true token counts, what was cached, pings, errors inside a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidRequest
from ollama_engine.server.anthropic.answer import MessageEvents, message
from ollama_engine.server.anthropic.blocks import read_messages, read_tool_choice, read_tools
from ollama_engine.server.anthropic.objects import TokenCount
from ollama_engine.server.canceled import unless_canceled
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.references import local_name
from ollama_engine.server.shapes import OptionalItems
from ollama_engine.server.streaming import StreamedAnswer, while_connected
from ollama_engine.types import JSON, ChatChunk, ChatRequest, KeepAlive, Think

_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
_SAMPLING = ("temperature", "top_p", "top_k")


class MessagesRequest(Struct, kw_only=True):
    """`keep_alive` and `options` are Ollama's, as extra keys."""

    model: str
    max_tokens: int = 0
    messages: list[JSON]
    system: OptionalItems = None
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[JSON] | None = None
    tool_choice: JSON | None = None
    thinking: JSON | None = None
    output_config: JSON | None = None
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class Messages:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def create(self, request: Request) -> Response:
        body = await read_request(request, MessagesRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        if body.max_tokens <= 0:
            raise InvalidRequest("max_tokens is required and must be positive")
        asked = await self._chat_request(body)
        stops = body.stop_sequences or []
        events = MessageEvents(body.model, stops)
        return StreamedAnswer(
            self._counted(asked, events) if body.stream else unless_canceled(self.engine.chat(asked)),
            stream=body.stream,
            merge=lambda chunks: message(body.model, stops, chunks),
            wire=events,
        )

    async def count_tokens(self, request: Request) -> Response:
        body = await read_request(request, MessagesRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        asked = await self._chat_request(body)
        return json_response(TokenCount(await while_connected(self.engine.count_tokens(asked), request.receive)))

    async def _chat_request(self, body: MessagesRequest) -> ChatRequest:
        tools = read_tools(body.tools)
        choice, parallel = read_tool_choice(body.tool_choice, tools)
        messages = read_messages(body.messages, body.system)
        think = _think(body)
        if think and "thinking" not in (await self.engine.show(local_name(body.model))).capabilities:
            think = None  # the dialect has no error for it; its clients send it to every model
        return ChatRequest(
            local_name(body.model),
            messages,
            format=_format(body.output_config),
            keep_alive=body.keep_alive,
            tools=tools,
            options=_options(body) or None,
            think=think,
            tool_choice=choice,
            parallel_tool_calls=parallel,
        )

    async def _counted(self, asked: ChatRequest, events: MessageEvents) -> AsyncGenerator[ChatChunk, None]:
        """The chat's chunks. Its first event tells the length of the prompt, which is counted beside the prefill."""
        counting = asyncio.ensure_future(self._count(asked))
        try:
            async with aclosing(unless_canceled(self.engine.chat(asked))) as chunks:
                async for chunk in chunks:
                    if events.input_tokens is None:
                        events.input_tokens = await counting
                    yield chunk
        finally:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)

    async def _count(self, asked: ChatRequest) -> int:
        try:
            return await self.engine.count_tokens(asked)
        except EngineError:  # the chat tells it better; and another server may not be able to count
            return 0


def _options(body: MessagesRequest) -> JSON:
    options = dict(body.options or {})
    options.update({name: value for name in _SAMPLING if (value := getattr(body, name)) is not None})
    if body.max_tokens > 0:
        options["num_predict"] = body.max_tokens
    if body.stop_sequences is not None:
        options["stop"] = body.stop_sequences
    return options


def _think(body: MessagesRequest) -> Think:
    effort = (body.output_config or {}).get("effort")
    if effort is not None and effort not in _EFFORTS:
        raise InvalidRequest(f"invalid effort: {effort!r}", hint=f"It is one of {', '.join(_EFFORTS)}.")
    match body.thinking:
        case {"type": "disabled"}:
            return False
        case {"type": "enabled" | "adaptive"}:
            return _EFFORTS[effort] if effort else True
        case None:
            return _EFFORTS[effort] if effort else None
        case _:
            raise InvalidRequest("invalid thinking", hint="Its type is enabled, adaptive or disabled.")


def _format(output_config: JSON | None) -> Any:
    """The schema of a structured output; None without one."""
    match (output_config or {}).get("format"):
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
        case _:
            raise InvalidRequest("invalid output_config.format", hint="Its type is json_schema, with a schema.")
