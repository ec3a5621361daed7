"""A branch of a conversation, with its settings and files, as a request to the engine."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import msgspec

from ollama_engine.types import ChatRequest, Message, ToolCall, ToolCallFunction
from ollama_tui.chats import Attachment, ChatSettings, StoredMessage
from ollama_tui.chats import ToolCall as StoredCall


def chat_request(
    model: str, settings: ChatSettings, messages: Iterable[StoredMessage], files: Mapping[str, bytes]
) -> ChatRequest:
    """`files` are what is attached, by digest; one that is missing is left out."""
    said = [Message("system", settings.system)] if settings.system else []
    said += [_message(message, files) for message in messages if _says_something(message)]
    return ChatRequest(
        model,
        said,
        stream=True,
        format=settings.format,
        tools=list(settings.tools) or None,
        options=dict(settings.options) or None,
        think=settings.think,
        template=settings.template,
    )


def stored_calls(calls: Iterable[ToolCall]) -> tuple[StoredCall, ...]:
    """As they are kept."""
    return tuple(
        StoredCall(call.function.name, msgspec.json.encode(call.function.arguments).decode(), call.id) for call in calls
    )


def _says_something(message: StoredMessage) -> bool:
    return bool(message.content or message.tool_calls or message.attachments or message.role == "tool")


def _message(message: StoredMessage, files: Mapping[str, bytes]) -> Message:
    images = [
        base64.b64encode(files[one.digest]).decode()
        for one in message.attachments
        if one.kind != "text" and one.digest in files
    ]
    return Message(
        message.role,
        _with_texts(message, files),
        thinking=message.thinking,
        images=images or None,
        tool_calls=[_call(number, call) for number, call in enumerate(message.tool_calls)] or None,
        tool_name=message.tool_name,
        tool_call_id=message.tool_call_id,
    )


def _with_texts(message: StoredMessage, files: Mapping[str, bytes]) -> str:
    """The words, behind the text files that go along."""
    attached = [one for one in message.attachments if one.kind == "text" and one.digest in files]
    texts = [_fenced(one, files[one.digest]) for one in attached]
    return "\n\n".join([*texts, message.content] if message.content else texts)


def _fenced(attachment: Attachment, data: bytes) -> str:
    text = data.decode(errors="replace").rstrip("\n")
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{attachment.name}:\n{fence}\n{text}\n{fence}"


def _call(number: int, call: StoredCall) -> ToolCall:
    return ToolCall(ToolCallFunction(call.name, msgspec.json.decode(call.arguments), number), call.id)
