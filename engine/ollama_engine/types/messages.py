"""The turns of a conversation."""

from __future__ import annotations

from msgspec import Struct, field

from ollama_engine.types.base import JSON

Role = str
"""`system`, `user`, `assistant` or `tool`; other roles go to the template as they are."""


class ToolCallFunction(Struct, omit_defaults=True):
    name: str
    arguments: JSON = field(default_factory=dict)
    index: int = field(default_factory=lambda: 0)
    """The how-manieth call of its message; a factory, so that the first one's 0 is written, as Ollama writes it."""


class ToolCall(Struct, omit_defaults=True):
    function: ToolCallFunction
    id: str = ""


class Message(Struct, omit_defaults=True):
    """One turn of a conversation. `images` hold base64 text (also wav or mp3 audio)."""

    role: Role
    content: str = field(default_factory=str)
    thinking: str = ""
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str = ""
    tool_call_id: str = ""
