"""Chunks of a chat to Anthropic's message, whole or as the events of a stream (spec §2.8)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence

import msgspec

from ollama_engine.errors import EngineError
from ollama_engine.server.anthropic.errors import anthropic_error
from ollama_engine.server.anthropic.objects import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    InputJSONDelta,
    MessageDelta,
    MessageObject,
    MessageStart,
    MessageStop,
    MessageUsage,
    Ping,
    StopDelta,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
)
from ollama_engine.server.events import EVENTS_TYPE, event
from ollama_engine.server.merge import merge_chat
from ollama_engine.types import JSON, ChatChunk, ToolCall


def message(model: str, stops: Collection[str], chunks: Sequence[ChatChunk]) -> MessageObject:
    """The whole answer. `stops` are the request's own stop strings."""
    last = merge_chat(chunks)
    said = last.message
    content: list[Block] = []
    if said.thinking:
        content.append(ThinkingBlock(said.thinking))
    if said.content:
        content.append(TextBlock(said.content))
    content += [_tool_use(call, call.function.arguments) for call in said.tool_calls or ()]
    reason, stop = _stop(last, stops, has_calls=bool(said.tool_calls))
    return MessageObject(_message_id(), "assistant", model, content, reason, stop, _usage(last))


def _message_id() -> str:
    return f"msg_{secrets.token_hex(12)}"


def _tool_use(call: ToolCall, arguments: JSON) -> ToolUseBlock:
    return ToolUseBlock(call.id or f"toolu_{secrets.token_hex(12)}", call.function.name, arguments)


def _stop(chunk: ChatChunk, stops: Collection[str], *, has_calls: bool) -> tuple[str, str | None]:
    """`(stop_reason, stop_sequence)`. A stop string of the model's own ends its turn, as the model means it."""
    if chunk.done_reason in ("length", "repetition"):
        return "max_tokens", None
    if chunk.stop_sequence and chunk.stop_sequence in stops:
        return "stop_sequence", chunk.stop_sequence
    return ("tool_use" if has_calls else "end_turn"), None


def _usage(last: ChatChunk) -> MessageUsage:
    return MessageUsage(last.prompt_eval_count - last.cached_tokens, 0, last.cached_tokens, last.eval_count)


class MessageEvents:
    """The wire of a streamed message: start, blocks one after another, and why it stopped.

    Attributes:
        input_tokens: the length of the prompt, which the first event tells; to be set before the first piece.
    """

    content_type = EVENTS_TYPE
    beat = event(Ping(), "ping")

    def __init__(self, model: str, stops: Collection[str]) -> None:
        self._model = model
        self._stops = stops
        self._begun = False
        self._open: type[Block] | None = None
        """The kind of the block that is open, if one is."""
        self._index = -1
        self._has_calls = False
        self.input_tokens: int | None = None

    def piece(self, chunk: ChatChunk) -> bytes:
        said = chunk.message
        parts = [] if self._begun else [self._start()]
        if said.thinking:
            parts.append(self._think(said.thinking))
        if said.content:
            parts.append(self._say(said.content))
        parts += [self._call(call) for call in said.tool_calls or ()]
        if chunk.done:
            parts.append(self._finish(chunk))
        return b"".join(parts)

    def end(self) -> bytes:
        return b""

    def failure(self, error: EngineError) -> bytes:
        return event(anthropic_error(error), "error")

    def _start(self) -> bytes:
        self._begun = True
        usage = MessageUsage(self.input_tokens or 0, 0, 0, 0)
        start = MessageStart(MessageObject(_message_id(), "assistant", self._model, [], None, None, usage))
        return event(start, "message_start") + self.beat

    def _think(self, text: str) -> bytes:
        opening = b"" if self._open is ThinkingBlock else self._begin(ThinkingBlock(""))
        return opening + self._delta(ThinkingDelta(text))

    def _say(self, text: str) -> bytes:
        opening = b"" if self._open is TextBlock else self._begin(TextBlock(""))
        return opening + self._delta(TextDelta(text))

    def _call(self, call: ToolCall) -> bytes:
        self._has_calls = True
        arguments = msgspec.json.encode(call.function.arguments).decode()
        return self._begin(_tool_use(call, {})) + self._delta(InputJSONDelta(arguments)) + self._close()

    def _begin(self, block: Block) -> bytes:
        """Open a block; one that is open ends."""
        closing = self._close()
        self._open = type(block)
        self._index += 1
        return closing + event(BlockStart(self._index, block), "content_block_start")

    def _delta(self, delta: ThinkingDelta | TextDelta | InputJSONDelta) -> bytes:
        return event(BlockDelta(self._index, delta), "content_block_delta")

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return event(BlockStop(self._index), "content_block_stop")

    def _finish(self, chunk: ChatChunk) -> bytes:
        reason, stop = _stop(chunk, self._stops, has_calls=self._has_calls)
        return b"".join(
            (
                self._close(),
                event(MessageDelta(StopDelta(reason, stop), _usage(chunk)), "message_delta"),
                event(MessageStop(), "message_stop"),
            )
        )
