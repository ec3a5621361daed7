"""Input items of /v1/responses to Ollama's messages, and its flat tools to nested ones (spec §2.6)."""

from __future__ import annotations

from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.server.images import image_of_url
from ollama_engine.server.openai.messages import BETWEEN_TEXTS, arguments_of, role_of
from ollama_engine.server.references import WEB_SEARCH, cloud_disabled
from ollama_engine.types import JSON, Message, ToolCall, ToolCallFunction


def read_input(value: Any, history: list[Message]) -> list[Message]:
    """The messages of `input`: text, or items one after another. `history` is what they follow."""
    if isinstance(value, str):
        return [Message("user", value)]
    if not isinstance(value, list) or not value:
        raise InvalidRequest("input is required", hint="It is a string or a list of items.")
    reader = _Reader(history)
    for index, item in enumerate(value):
        reader.read(index, item)
    return reader.messages


class _Reader:
    """Puts what one turn of the assistant said, reasoning and calls included, into one message."""

    def __init__(self, history: list[Message]) -> None:
        self.messages: list[Message] = []
        self._turn: Message | None = None
        """The assistant's message that may still grow."""
        self._names = {call.id: call.function.name for message in history for call in message.tool_calls or ()}

    def read(self, index: int, item: Any) -> None:
        match item:
            case {"type": "message"} | {"role": str()} if item.get("type") in (None, "message"):
                self._message(item)
            case {"type": "function_call", "name": str(name)}:
                call_id = str(item.get("call_id") or item.get("id") or "")
                self._names[call_id] = name
                call = ToolCall(ToolCallFunction(name, arguments_of(item.get("arguments"))), id=call_id)
                turn = self._assistant()
                turn.tool_calls = [*(turn.tool_calls or ()), call]
            case {"type": "function_call_output"}:
                call_id = str(item.get("call_id") or "")
                text, images = _content(item.get("output"))
                self._add(
                    Message("tool", text, images=images, tool_name=self._names.get(call_id, ""), tool_call_id=call_id)
                )
            case {"type": "reasoning"}:
                self._reasoning(item)
            case {"type": "web_search_call"}:
                pass
            case {"type": kind}:
                raise InvalidRequest(f'input[{index}]: unknown input item type: "{kind}"')
            case _:
                raise InvalidRequest(f"input[{index}]: not an input item")

    def _message(self, item: JSON) -> None:
        role = role_of(item.get("role"))
        text, images = _content(item.get("content"))
        if role != "assistant":
            self._add(Message(role, text, images=images))
            return
        turn = self._assistant(fresh=self._turn is not None and bool(self._turn.content or self._turn.tool_calls))
        turn.content, turn.images = text, images

    def _reasoning(self, item: JSON) -> None:
        thoughts = item.get("encrypted_content")
        if not isinstance(thoughts, str) or not thoughts:
            thoughts, _ = _content(item.get("summary") or [])
        self._assistant(fresh=True).thinking = thoughts

    def _assistant(self, *, fresh: bool = False) -> Message:
        if self._turn is None or fresh:
            self._turn = Message("assistant")
            self.messages.append(self._turn)
        return self._turn

    def _add(self, message: Message) -> None:
        self._turn = None
        self.messages.append(message)


def _content(content: Any) -> tuple[str, list[str] | None]:
    """Text and images of a string or of a list of parts."""
    if content is None or isinstance(content, str):
        return content or "", None
    if not isinstance(content, list):
        raise InvalidRequest("invalid message content", hint="It is a string or a list of parts.")
    texts: list[str] = []
    images: list[str] = []
    for part in content:
        match part:
            case {"type": "input_text" | "output_text" | "text" | "summary_text", "text": str(text)}:
                texts.append(text)
            case {"type": "refusal", "refusal": str(text)}:
                texts.append(text)
            case {"type": "input_image", "image_url": str(url)}:
                images.append(image_of_url(url))
            case {"type": "input_image"}:
                pass  # a file_id of OpenAI's, which only OpenAI can read
            case {"type": "input_file"}:
                raise InvalidRequest("file inputs are not currently supported")
            case _:
                raise InvalidRequest("invalid message content", hint="Parts are input_text, output_text, input_image.")
    return BETWEEN_TEXTS.join(texts), images or None


def read_tools(tools: list[JSON] | None) -> list[JSON] | None:
    """Functions as chat completions have them; those of a namespace under `namespace.name`."""
    return [nested for tool in tools for nested in _tool(tool)] if tools else None


def _tool(tool: JSON, prefix: str = "") -> list[JSON]:
    match tool:
        case {"type": "function", "name": str(name)} if name:
            function = {
                "name": prefix + name,
                "description": tool.get("description") or "",
                "parameters": tool.get("parameters") or {"type": "object", "properties": {}},
            }
            return [{"type": "function", "function": function}]
        case {"type": "namespace", "name": str(name), "tools": list(members)}:
            return [nested for member in members if isinstance(member, dict) for nested in _tool(member, f"{name}.")]
        case {"type": str(kind)} if kind.startswith("web_search"):
            raise cloud_disabled(WEB_SEARCH)
        case _:
            raise InvalidRequest(f"tools of type {tool.get('type')!r} are not supported", hint="Use functions.")
