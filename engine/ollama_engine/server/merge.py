"""One object out of the chunks of an answer, for callers that asked not to stream (spec §1.3, §1.4)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ollama_engine.errors import EngineError
from ollama_engine.types import ChatChunk, GenerateChunk, Logprob

_SHUT_SHORT = "the answer broke off before it was complete"


def merge_generate(chunks: Sequence[GenerateChunk]) -> GenerateChunk:
    """All text, with the metrics of the last chunk."""
    last = chunks[-1]
    if not last.done and last.debug_info is None:
        raise EngineError(_SHUT_SHORT)
    return msgspec.structs.replace(
        last,
        response="".join(chunk.response for chunk in chunks),
        thinking="".join(chunk.thinking for chunk in chunks),
        logprobs=_logprobs(chunks),
    )


def merge_chat(chunks: Sequence[ChatChunk]) -> ChatChunk:
    """One message of all text and all tool calls, with the metrics of the last chunk."""
    last = chunks[-1]
    if not last.done and last.debug_info is None:
        raise EngineError(_SHUT_SHORT)
    messages = [chunk.message for chunk in chunks]
    message = msgspec.structs.replace(
        messages[-1],
        content="".join(message.content for message in messages),
        thinking="".join(message.thinking for message in messages),
        tool_calls=[call for message in messages for call in message.tool_calls or ()] or None,
    )
    return msgspec.structs.replace(last, message=message, logprobs=_logprobs(chunks))


def _logprobs(chunks: Sequence[GenerateChunk] | Sequence[ChatChunk]) -> list[Logprob] | None:
    return [entry for chunk in chunks for entry in chunk.logprobs or ()] or None


def is_whole(chunk: GenerateChunk | ChatChunk) -> bool:
    """Loading, unloading and rendering only are answered with a single object, streamed or not."""
    return chunk.debug_info is not None or (chunk.done and chunk.done_reason in ("load", "unload"))
