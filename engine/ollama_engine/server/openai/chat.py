"""`/v1/chat/completions` (spec §2.2): the request to Ollama's, chunks to OpenAI's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

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
from ollama_engine.server.openai.objects import (
    AssistantMessage,
    Call,
    CallFunction,
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChoiceLogprobs,
    ChunkChoice,
    CompletionUsage,
    Delta,
    TokenLogprobs,
    TopLogprob,
)
from ollama_engine.server.openai.reasoning import think_of
from ollama_engine.server.openai.sampling import SamplingKeys, choices, options_of, stop_strings
from ollama_engine.server.openai.tools import choose, format_of
from ollama_engine.server.openai.usage import Usage
from ollama_engine.server.references import local_name
from ollama_engine.server.shapes import Choice, Effort
from ollama_engine.server.side_by_side import side_by_side
from ollama_engine.server.streaming import StreamedAnswer
from ollama_engine.types import JSON, ChatChunk, ChatRequest, Logprob, ToolCall

FINGERPRINT = "fp_ollama"


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatCompletionRequest(SamplingKeys, kw_only=True):
    """From `min_p` to `options`, and from `truncate` on, the keys are Ollama's, as extras."""

    model: str
    messages: list[JSON]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    """Goes before `max_tokens`."""
    response_format: JSON | None = None
    tools: list[JSON] | None = None
    tool_choice: Choice = None
    parallel_tool_calls: bool | None = None
    reasoning: JSON | None = None
    reasoning_effort: Effort = None
    logprobs: bool = False
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None
    grammar: str = ""
    """GBNF that the answer keeps to."""
    debug_render_only: bool = msgspec.field(name="_debug_render_only", default=False)


@dataclass
class Heading:
    """What every object of one answer has in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))


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
        local_name(body.model),
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


def chat_completion(heading: Heading, pieces: Sequence[tuple[int, ChatChunk]]) -> ChatCompletion:
    """The whole answer as one object."""
    by_choice: dict[int, list[ChatChunk]] = {}
    for number, chunk in pieces:
        by_choice.setdefault(number, []).append(chunk)
    merged = [(number, merge_chat(chunks)) for number, chunks in sorted(by_choice.items())]
    return ChatCompletion(
        id=heading.id,
        object="chat.completion",
        created=heading.created,
        model=heading.model,
        system_fingerprint=FINGERPRINT,
        choices=[_choice(number, chunk) for number, chunk in merged],
        usage=Usage.of(chunk for _, chunk in pieces).completions(),
        debug_info=merged[0][1].debug_info,
    )


def _choice(number: int, chunk: ChatChunk) -> ChatChoice:
    said = chunk.message
    calls = [_call(call, index) for index, call in enumerate(said.tool_calls or ())]
    message = AssistantMessage(
        role="assistant",
        content=None if calls and not said.content else said.content,
        reasoning=said.thinking,
        tool_calls=calls or None,
    )
    return ChatChoice(
        index=number,
        message=message,
        finish_reason=finish_reason(chunk, has_calls=bool(calls)),
        logprobs=_logprobs(chunk.logprobs) if chunk.logprobs else None,
    )


def finish_reason(chunk: ChatChunk, *, has_calls: bool) -> str:
    """An answer that was broken off because it repeated itself is not complete: `length`."""
    if chunk.done_reason in ("length", "repetition"):
        return "length"
    return "tool_calls" if has_calls else "stop"


def _call(call: ToolCall, index: int) -> Call:
    arguments = msgspec.json.encode(call.function.arguments).decode()
    return Call(index, call_id(call), "function", CallFunction(call.function.name, arguments))


def _logprobs(entries: Sequence[Logprob]) -> ChoiceLogprobs:
    return ChoiceLogprobs(
        [
            TokenLogprobs(
                entry.token,
                entry.logprob,
                entry.bytes,
                [TopLogprob(top.token, top.logprob, top.bytes) for top in entry.top_logprobs or ()],
            )
            for entry in entries
        ]
    )


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
        parts = [self._event(choice) for choice in _deltas(number, chunk, progress)]
        if chunk.done:
            reason = finish_reason(chunk, has_calls=progress.calls > 0)
            parts.append(self._event(ChunkChoice(index=number, delta=Delta(), finish_reason=reason)))
        return b"".join(parts)

    def end(self) -> bytes:
        return self._event(usage=self._usage.completions()) + DONE if self._include_usage else DONE

    def failure(self, error: EngineError) -> bytes:
        return event(openai_error(error)) + DONE

    def _event(self, *choices: ChunkChoice, usage: CompletionUsage | None = None) -> bytes:
        heading = self._heading
        return event(
            ChatCompletionChunk(
                id=heading.id,
                object="chat.completion.chunk",
                created=heading.created,
                model=heading.model,
                system_fingerprint=FINGERPRINT,
                choices=list(choices),
                usage=usage,
            )
        )


def _deltas(number: int, chunk: ChatChunk, progress: _Progress) -> list[ChunkChoice]:
    """The parts of a chunk: reasoning has one of its own. The first of an answer names the role, and has the log
    probabilities, or in two parts they would count twice."""
    said = chunk.message
    deltas: list[Delta] = []
    if said.thinking:
        deltas.append(Delta(content="", reasoning=said.thinking))
    if said.content or said.tool_calls or chunk.logprobs or not (progress.begun or deltas):
        delta = Delta(content=said.content)
        if said.tool_calls:
            delta.tool_calls = [_call(call, progress.calls + at) for at, call in enumerate(said.tool_calls)]
            progress.calls += len(said.tool_calls)
        deltas.append(delta)
    if deltas and not progress.begun:
        progress.begun = True
        deltas[0].role = "assistant"
    choices = [ChunkChoice(index=number, delta=delta, finish_reason=None) for delta in deltas]
    if chunk.logprobs:
        choices[0].logprobs = _logprobs(chunk.logprobs)
    return choices
