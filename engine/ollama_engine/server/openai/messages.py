"""OpenAI's messages to Ollama's (spec §2.2), for chat completions and, in part, for responses.

Better than Ollama: the parts of a message stay one message, as templates that want roles to alternate need it.
"""

from __future__ import annotations

import secrets
import string
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.server.decode import check_base64
from ollama_engine.server.images import image_of_url
from ollama_engine.server.json_text import read_first_value
from ollama_engine.types import JSON, Message, ToolCall, ToolCallFunction

BETWEEN_TEXTS = "\n\n"
"""What stands between the texts of one message: what Ollama puts between messages of one role."""

_INVALID = "invalid message format"


def read_messages(messages: list[JSON]) -> list[Message]:
    """All messages of a request. InvalidRequest names what one of them has wrong."""
    if not messages:
        raise InvalidRequest("[] is too short - 'messages'")
    names: dict[str, str] = {}
    return [_message(message, names) for message in messages]


def _message(message: JSON, names: dict[str, str]) -> Message:
    """One message; `names` collects which tool each call was for, tool results look theirs up."""
    role = role_of(message.get("role"))
    calls = [_tool_call(call) for call in message.get("tool_calls") or []]
    names.update({call.id: call.function.name for call in calls})
    text, images = _content(message.get("content"), has_calls=bool(calls))
    call_id = _text(message.get("tool_call_id"))
    name = _text(message.get("name")) or names.get(call_id, "")
    return Message(
        role,
        text,
        thinking=_text(message.get("reasoning")) or _text(message.get("reasoning_content")),
        images=images or None,
        tool_calls=calls or None,
        tool_name=name if role == "tool" else "",
        tool_call_id=call_id,
    )


def role_of(role: Any) -> str:
    """Ollama's role. `developer` is OpenAI's later word for system."""
    if not isinstance(role, str) or not role:
        raise InvalidRequest(_INVALID, hint="A message has a role and a content.")
    return {"developer": "system", "function": "tool"}.get(role.lower(), role.lower())


def _content(content: Any, *, has_calls: bool) -> tuple[str, list[str]]:
    if isinstance(content, str):
        return content, []
    if content is None and has_calls:
        return "", []
    if not isinstance(content, list):
        raise InvalidRequest(f"invalid message content type: {_go_kind(content)}")
    texts: list[str] = []
    images: list[str] = []
    for part in content:
        _read_part(part, texts, images)
    return BETWEEN_TEXTS.join(texts), images


def _read_part(part: Any, texts: list[str], images: list[str]) -> None:
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            texts.append(text)
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            images.append(image_of_url(url))
        case {"type": "input_audio", "input_audio": {"data": str(data)}}:
            check_base64(data)
            images.append(data)
        case _:
            raise InvalidRequest(_INVALID, hint="Parts are of type text, image_url or input_audio.")


def _tool_call(call: Any) -> ToolCall:
    match call:
        case {"function": {"name": str(name), **function}}:
            arguments = arguments_of(function.get("arguments"))
            return ToolCall(ToolCallFunction(name, arguments), id=_text(call.get("id")))
        case _:
            raise InvalidRequest(_INVALID, hint="A tool call has a function with a name and arguments.")


def arguments_of(text: Any) -> JSON:
    """The arguments of a call, which OpenAI writes as JSON text. No text at all is no arguments."""
    if isinstance(text, dict):
        return text
    if text in (None, ""):
        return {}
    try:
        value = read_first_value(text.encode("utf-8", errors="replace")) if isinstance(text, str) else None
    except InvalidRequest as error:
        raise InvalidRequest("invalid tool call arguments", hint=error.message) from error
    if not isinstance(value, dict):
        raise InvalidRequest("invalid tool call arguments", hint="They are a JSON object, as text.")
    return value


def call_id(call: ToolCall) -> str:
    """The id of a call, made up where the engine gave none."""
    return call.id or "call_" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _go_kind(value: Any) -> str:
    kinds = {type(None): "<nil>", bool: "bool", int: "float64", float: "float64", dict: "map[string]interface {}"}
    return kinds.get(type(value), "interface {}")
