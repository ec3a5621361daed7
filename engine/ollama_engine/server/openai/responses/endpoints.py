"""The endpoints of /v1/responses: create, and what a server that remembers offers besides: get and delete."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidRequest, NotFound
from ollama_engine.server.canceled import unless_canceled
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.openai.objects import ResponseDeleted
from ollama_engine.server.openai.reasoning import think_of
from ollama_engine.server.openai.responses.answer import ResponseAnswer
from ollama_engine.server.openai.responses.items import read_input, read_tools
from ollama_engine.server.openai.responses.memory import Remembered, ResponseMemory
from ollama_engine.server.openai.tools import choose, format_of
from ollama_engine.server.references import local_name
from ollama_engine.server.shapes import Choice, Items
from ollama_engine.server.streaming import StreamedAnswer
from ollama_engine.types import JSON, ChatRequest, KeepAlive, Message

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "seed")
_LOGPROBS = "message.output_text.logprobs"


class ResponsesRequest(Struct):
    """From `top_k` on the keys are Ollama's, as extras."""

    model: str
    input: Items
    instructions: str = ""
    previous_response_id: str = ""
    conversation: Choice = None
    """Refused: go on from a `previous_response_id`."""
    stream: bool = False
    store: bool | None = None
    max_output_tokens: int | None = None
    reasoning: JSON | None = None
    text: JSON | None = None
    tools: list[JSON] | None = None
    tool_choice: Choice = None
    parallel_tool_calls: bool | None = None
    include: list[str] | None = None
    top_logprobs: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    truncation: str = ""
    metadata: JSON | None = None
    background: bool | None = None
    user: str | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: list[str] | None = None
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class Responses:
    def __init__(self, engine: Engine, memory: ResponseMemory) -> None:
        self.engine = engine
        self.memory = memory

    async def create(self, request: Request) -> Response:
        body = await read_request(request, ResponsesRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        if body.conversation is not None:
            raise InvalidRequest("conversations are not kept here", hint="Go on from a previous_response_id.")
        history = list(self._previous(body.previous_response_id).messages) if body.previous_response_id else []
        turns = history + read_input(body.input, history)
        asked = _chat_request(body, turns)
        answer = ResponseAnswer(_echo(body))
        return StreamedAnswer(
            self._answered(asked, answer, turns if body.store is not False else None),
            stream=body.stream,
            merge=lambda pieces: _whole(answer),
            wire=answer,
        )

    async def get(self, request: Request) -> Response:
        return json_response(self._stored(request).response)

    async def delete(self, request: Request) -> Response:
        self._stored(request)
        response_id: str = request.path_params["id"]
        self.memory.forget(response_id)
        return json_response(ResponseDeleted(response_id, "response", True))

    def _stored(self, request: Request) -> Remembered:
        response_id: str = request.path_params["id"]
        entry = self.memory.get(response_id)
        if entry is None:
            raise NotFound(f"Response with id '{response_id}' not found.")
        return entry

    def _previous(self, response_id: str) -> Remembered:
        entry = self.memory.get(response_id)
        if entry is None:
            raise InvalidRequest(
                f"Previous response with id '{response_id}' not found.",
                hint="The server remembers the latest ones, until it ends; send the conversation as input.",
            )
        return entry

    async def _answered(
        self, asked: ChatRequest, answer: ResponseAnswer, turns: list[Message] | None
    ) -> AsyncGenerator[bytes, None]:
        """The events of the answer; afterwards it is remembered, with the `turns` before it."""
        async with aclosing(unless_canceled(self.engine.chat(asked))) as chunks:
            async for chunk in chunks:
                yield answer.take(chunk)
        if turns is not None:
            self.memory.keep(answer.id, Remembered(answer.response(), [*turns, answer.said()]))


def _whole(answer: ResponseAnswer) -> JSON:
    response = answer.response()
    if response["status"] == "in_progress":
        raise EngineError("the answer broke off before it was complete")
    return response


def _chat_request(body: ResponsesRequest, turns: list[Message]) -> ChatRequest:
    tools, choice = choose(read_tools(body.tools), body.tool_choice)
    options = dict(body.options or {})
    options.update({name: value for name in _SAMPLING if (value := getattr(body, name)) is not None})
    if body.max_output_tokens is not None:
        options["num_predict"] = body.max_output_tokens
    if body.stop is not None:
        options["stop"] = body.stop
    return ChatRequest(
        local_name(body.model),
        [Message("system", body.instructions), *turns] if body.instructions else turns,
        format=format_of((body.text or {}).get("format")),
        keep_alive=body.keep_alive,
        tools=tools or None,
        options=options or None,
        think=think_of(body.reasoning),
        truncate=False if body.truncation == "disabled" else None,
        logprobs=_LOGPROBS in (body.include or ()) or bool(body.top_logprobs),
        top_logprobs=body.top_logprobs or 0,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls,
    )


def _echo(body: ResponsesRequest) -> JSON:
    """What a response repeats of its request."""
    reasoning = body.reasoning or {}
    return {
        "background": bool(body.background),
        "instructions": body.instructions or None,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": None,
        "metadata": body.metadata or {},
        "model": body.model,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id or None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": body.text or {"format": {"type": "text"}},
        "tool_choice": "auto" if body.tool_choice is None else body.tool_choice,
        "tools": body.tools or [],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": body.truncation or "auto",
        "user": body.user,
    }
