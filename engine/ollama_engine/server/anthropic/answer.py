"""Chunks of a chat to Anthropic's message, whole or as the events of a stream (spec §2.8)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence

import msgspec

from ollama_engine.errors import EngineError
from ollama_engine.server.anthropic.errors import anthropic_error
from ollama_engine.server.events import EVENTS_TYPE, event
from ollama_engine.server.merge import merge_chat
from ollama_engine.types import JSON, ChatChunk, ToolCall


def message(model: str, stops: Collection[str], chunks: Sequence[ChatChunk]) -> JSON:
    """The whole answer. `stops` are the request's own stop strings."""
    last = merge_chat(chunks)
    said = last.message
    content: list[JSON] = []
    if said.thinking:
        content.append({"type": "thinking", "thinking": said.thinking, "signature": ""})
    if said.content:
        content.append({"type": "text", "text": said.content})
    content += [_tool_use(call, call.function.arguments) for call in said.tool_calls or ()]
    reason, stop = _stop(last, stops, has_calls=bool(said.tool_calls))
    return _message(model, content, reason, stop, _usage(last))


def _message(model: str, content: list[JSON], reason: str | None, stop: str | None, usage: JSON) -> JSON:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": stop,
        "usage": usage,
    }


def _tool_use(call: ToolCall, arguments: JSON) -> JSON:
    call_id = call.id or f"toolu_{secrets.token_hex(12)}"
    return {"type": "tool_use", "id": call_id, "name": call.function.name, "input": arguments}


def _stop(chunk: ChatChunk, stops: Collection[str], *, has_calls: bool) -> tuple[str, str | None]:
    """`(stop_reason, stop_sequence)`. A stop string of the model's own ends its turn, as the model means it."""
    if chunk.done_reason in ("length", "repetition"):
        return "max_tokens", None
    if chunk.stop_sequence and chunk.stop_sequence in stops:
        return "stop_sequence", chunk.stop_sequence
    return ("tool_use" if has_calls else "end_turn"), None


def _usage(last: ChatChunk) -> JSON:
    """Anthropic's input_tokens are those that no cache had; the three of them together are the prompt."""
    return {
        "input_tokens": last.prompt_eval_count - last.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": last.cached_tokens,
        "output_tokens": last.eval_count,
    }


class MessageEvents:
    """The wire of a streamed message: start, blocks one after another, and why it stopped.

    Attributes:
        input_tokens: the length of the prompt, which the first event tells; to be set before the first piece.
    """

    content_type = EVENTS_TYPE
    beat = event({"type": "ping"}, "ping")

    def __init__(self, model: str, stops: Collection[str]) -> None:
        self._model = model
        self._stops = stops
        self._begun = False
        self._block = ""
        """The type of the block that is open, if one is."""
        self._index = -1
        self._has_calls = False
        self.input_tokens: int | None = None

    def piece(self, chunk: ChatChunk) -> bytes:
        said = chunk.message
        parts = [] if self._begun else [self._start()]
        if said.thinking:
            parts.append(self._said("thinking", "thinking", said.thinking))
        if said.content:
            parts.append(self._said("text", "text", said.content))
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
        usage = {
            "input_tokens": self.input_tokens or 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        }
        start = {"type": "message_start", "message": _message(self._model, [], None, None, usage)}
        return event(start, "message_start") + self.beat

    def _said(self, kind: str, key: str, text: str) -> bytes:
        """More text of a block of that kind, which is opened where another is open, or none."""
        opening = b""
        if self._block != kind:
            block = {"type": kind, key: "", "signature": ""} if kind == "thinking" else {"type": kind, key: ""}
            opening = self._open(kind, block)
        return opening + self._delta({"type": f"{kind}_delta", key: text})

    def _call(self, call: ToolCall) -> bytes:
        self._has_calls = True
        arguments = msgspec.json.encode(call.function.arguments).decode()
        return (
            self._open("tool_use", _tool_use(call, {}))
            + self._delta({"type": "input_json_delta", "partial_json": arguments})
            + self._close()
        )

    def _open(self, kind: str, block: JSON) -> bytes:
        closing = self._close()
        self._block = kind
        self._index += 1
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return closing + event(start, "content_block_start")

    def _delta(self, delta: JSON) -> bytes:
        data = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return event(data, "content_block_delta")

    def _close(self) -> bytes:
        if not self._block:
            return b""
        self._block = ""
        return event({"type": "content_block_stop", "index": self._index}, "content_block_stop")

    def _finish(self, chunk: ChatChunk) -> bytes:
        reason, stop = _stop(chunk, self._stops, has_calls=self._has_calls)
        delta = {"stop_reason": reason, "stop_sequence": stop}
        return b"".join(
            (
                self._close(),
                event({"type": "message_delta", "delta": delta, "usage": _usage(chunk)}, "message_delta"),
                event({"type": "message_stop"}, "message_stop"),
            )
        )
