"""`/v1/chat/completions` (spec §2.2): the request to Ollama's, chunks to OpenAI's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidRequest
from ollama_engine.server.canceled import unless_canceled
from ollama_engine.server.decode import read_request
from ollama_engine.server.events import DONE, EVENTS_TYPE, event
from ollama_engine.server.merge import is_whole, merge_chat
from ollama_engine.server.openai.errors import openai_error
from ollama_engine.server.openai.messages import call_id, read_messages
from ollama_engine.server.openai.reasoning import think_of
from ollama_engine.server.openai.sampling import SamplingKeys, choices, options_of, stop_strings
from ollama_engine.server.openai.tools import choose, format_of
from ollama_engine.server.openai.usage import Usage
from ollama_engine.server.side_by_side import side_by_side
from ollama_engine.server.streaming import StreamedAnswer
from ollama_engine.types import JSON, ChatChunk, ChatRequest, Logprob, ToolCall

FINGERPRINT = "fp_ollama"


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatCompletionRequest(SamplingKeys):
    model: str = ""
    messages: list[JSON] = msgspec.field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: JSON | None = None
    tools: list[JSON] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    reasoning: JSON | None = None
    reasoning_effort: Any = None
    logprobs: bool = False
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None
    grammar: str = ""
    debug_render_only: bool = msgspec.field(name="_debug_render_only", default=False)


@dataclass
class Heading:
    """What every object of one answer has in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def object(self, kind: str, choices: list[JSON]) -> JSON:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
            "choices": choices,
        }


class ChatCompletions:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def chat(self, request: Request) -> Response:
        body = await read_request(request, ChatCompletionRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        heading = Heading(body.model)
        return StreamedAnswer(
            side_by_side([unless_canceled(self.engine.chat(each)) for each in chat_requests(body)]),
            stream=body.stream,
            merge=lambda pieces: chat_completion(heading, pieces),
            is_whole=lambda piece: is_whole(piece[1]),
            wire=ChatEvents(heading, include_usage=bool(body.stream_options and body.stream_options.include_usage)),
        )


def chat_requests(body: ChatCompletionRequest) -> list[ChatRequest]:
    """A request of Ollama's for each choice that is wanted."""
    tools, choice = choose(body.tools, body.tool_choice)
    max_tokens = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    first = ChatRequest(
        body.model,
        read_messages(body.messages),
        format=format_of(body.response_format),
        keep_alive=body.keep_alive,
        tools=tools or None,
        think=think_of(body.reasoning, body.reasoning_effort),
        truncate=body.truncate,
        shift=body.shift,
        logprobs=body.logprobs or bool(body.top_logprobs),
        top_logprobs=body.top_logprobs or 0,
        debug_render_only=body.debug_render_only,
        grammar=body.grammar,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls,
    )
    return [
        msgspec.structs.replace(
            first,
            options=options_of(body, max_tokens=max_tokens, stop=stop_strings(body.stop), choice=number) or None,
        )
        for number in range(choices(body))
    ]


def chat_completion(heading: Heading, pieces: Sequence[tuple[int, ChatChunk]]) -> JSON:
    """The whole answer as one object."""
    by_choice: dict[int, list[ChatChunk]] = {}
    for number, chunk in pieces:
        by_choice.setdefault(number, []).append(chunk)
    merged = [(number, merge_chat(chunks)) for number, chunks in sorted(by_choice.items())]
    whole = heading.object("chat.completion", [_choice(number, chunk) for number, chunk in merged])
    whole["usage"] = Usage.of(chunk for _, chunk in pieces).completions()
    if merged[0][1].debug_info is not None:
        whole["_debug_info"] = merged[0][1].debug_info
    return whole


def _choice(number: int, chunk: ChatChunk) -> JSON:
    said = chunk.message
    calls = [_call(call, index) for index, call in enumerate(said.tool_calls or ())]
    message: JSON = {"role": "assistant", "content": None if calls and not said.content else said.content}
    if said.thinking:
        message["reasoning"] = said.thinking
    if calls:
        message["tool_calls"] = calls
    choice: JSON = {"index": number, "message": message, "finish_reason": finish_reason(chunk, has_calls=bool(calls))}
    if chunk.logprobs:
        choice["logprobs"] = _logprobs(chunk.logprobs)
    return choice


def finish_reason(chunk: ChatChunk, *, has_calls: bool) -> str:
    """An answer that was broken off because it repeated itself is not complete: `length`."""
    if chunk.done_reason in ("length", "repetition"):
        return "length"
    return "tool_calls" if has_calls else "stop"


def _call(call: ToolCall, index: int) -> JSON:
    arguments = msgspec.json.encode(call.function.arguments).decode()
    function = {"name": call.function.name, "arguments": arguments}
    return {"index": index, "id": call_id(call), "type": "function", "function": function}


def _logprobs(entries: Sequence[Logprob]) -> JSON:
    return {
        "content": [
            {
                "token": entry.token,
                "logprob": entry.logprob,
                "bytes": entry.bytes,
                "top_logprobs": [
                    {"token": top.token, "logprob": top.logprob, "bytes": top.bytes} for top in entry.top_logprobs or ()
                ],
            }
            for entry in entries
        ],
        "refusal": None,
    }


@dataclass
class _Progress:
    """How far one choice has come."""

    begun: bool = False
    calls: int = 0


class ChatEvents:
    """The wire of a streamed answer: `chat.completion.chunk` after `chat.completion.chunk`, then [DONE]."""

    content_type = EVENTS_TYPE
    beat = b""

    def __init__(self, heading: Heading, *, include_usage: bool) -> None:
        self._heading = heading
        self._include_usage = include_usage
        self._usage = Usage()
        self._progress: dict[int, _Progress] = {}

    def piece(self, piece: tuple[int, ChatChunk]) -> bytes:
        number, chunk = piece
        progress = self._progress.setdefault(number, _Progress())
        self._usage.add(chunk)
        parts = [self._delta(number, delta, None, chunk) for delta in _deltas(chunk, progress)]
        if chunk.done:
            parts.append(self._delta(number, {}, finish_reason(chunk, has_calls=progress.calls > 0)))
        return b"".join(parts)

    def end(self) -> bytes:
        if not self._include_usage:
            return DONE
        last = self._heading.object("chat.completion.chunk", [])
        return event({**last, "usage": self._usage.completions()}) + DONE

    def failure(self, error: EngineError) -> bytes:
        return event(openai_error(error)) + DONE

    def _delta(self, number: int, delta: JSON, reason: str | None, chunk: ChatChunk | None = None) -> bytes:
        choice: JSON = {"index": number, "delta": delta, "finish_reason": reason}
        # In a chunk that is split in two the log probabilities go with the first part, or they would count twice.
        if chunk is not None and chunk.logprobs:
            choice["logprobs"] = _logprobs(chunk.logprobs)
            chunk.logprobs = None
        return event(self._heading.object("chat.completion.chunk", [choice]))


def _deltas(chunk: ChatChunk, progress: _Progress) -> list[JSON]:
    """The parts of a chunk: reasoning has one of its own. The first of an answer names the role."""
    said = chunk.message
    deltas: list[JSON] = []
    if said.thinking:
        deltas.append({"content": "", "reasoning": said.thinking})
    if said.content or said.tool_calls or chunk.logprobs or not (progress.begun or deltas):
        delta: JSON = {"content": said.content}
        if said.tool_calls:
            delta["tool_calls"] = [_call(call, progress.calls + at) for at, call in enumerate(said.tool_calls)]
            progress.calls += len(said.tool_calls)
        deltas.append(delta)
    if deltas and not progress.begun:
        progress.begun = True
        deltas[0] = {"role": "assistant", **deltas[0]}
    return deltas
