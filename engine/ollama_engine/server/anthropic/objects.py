"""What Anthropic's endpoints answer: messages, the events of a stream, token counts (spec §2.8)."""

from __future__ import annotations

from msgspec import Struct

from ollama_engine.types import JSON

# -- errors ----------------------------------------------------------------------------------------------------


class AnthropicErrorDetails(Struct):
    type: str
    message: str


class AnthropicError(Struct, tag_field="type", tag="error"):
    error: AnthropicErrorDetails
    request_id: str


# -- messages --------------------------------------------------------------------------------------------------


class ThinkingBlock(Struct, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class TextBlock(Struct, tag_field="type", tag="text"):
    text: str


class ToolUseBlock(Struct, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: JSON


Block = ThinkingBlock | TextBlock | ToolUseBlock


class MessageUsage(Struct):
    """`input_tokens` are those that no cache had; the three of them together are the prompt."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int


class MessageObject(Struct, tag_field="type", tag="message"):
    id: str
    role: str
    model: str
    content: list[Block]
    stop_reason: str | None
    """`end_turn`, `max_tokens`, `stop_sequence` or `tool_use`."""
    stop_sequence: str | None
    usage: MessageUsage


class TokenCount(Struct):
    input_tokens: int


# -- the events of a stream ------------------------------------------------------------------------------------


class MessageStart(Struct, tag_field="type", tag="message_start"):
    message: MessageObject


class Ping(Struct, tag_field="type", tag="ping"):
    """Nothing to say yet, but still there."""


class BlockStart(Struct, tag_field="type", tag="content_block_start"):
    index: int
    content_block: Block


class ThinkingDelta(Struct, tag_field="type", tag="thinking_delta"):
    thinking: str


class TextDelta(Struct, tag_field="type", tag="text_delta"):
    text: str


class InputJSONDelta(Struct, tag_field="type", tag="input_json_delta"):
    partial_json: str


class BlockDelta(Struct, tag_field="type", tag="content_block_delta"):
    index: int
    delta: ThinkingDelta | TextDelta | InputJSONDelta


class BlockStop(Struct, tag_field="type", tag="content_block_stop"):
    index: int


class StopDelta(Struct):
    stop_reason: str | None
    stop_sequence: str | None


class MessageDelta(Struct, tag_field="type", tag="message_delta"):
    delta: StopDelta
    usage: MessageUsage


class MessageStop(Struct, tag_field="type", tag="message_stop"):
    """The end of a message that is complete."""


MessageEvent = MessageStart | Ping | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | AnthropicError
