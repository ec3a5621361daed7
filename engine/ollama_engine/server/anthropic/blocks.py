"""Anthropic's messages, system text and tools to Ollama's (spec §2.8)."""

from __future__ import annotations

from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.server.images import checked_base64
from ollama_engine.server.references import WEB_SEARCH, cloud_disabled
from ollama_engine.types import JSON, Message, ToolCall, ToolCallFunction

BETWEEN_TEXTS = "\n\n"


def read_messages(messages: list[JSON], system: Any) -> list[Message]:
    """The conversation, its system text first. InvalidRequest names what is wrong with it."""
    if not messages:
        raise InvalidRequest("messages is required")
    names: dict[str, str] = {}
    read = [Message("system", text)] if (text := _texts(system, "system")) else []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str) or not role:
            raise InvalidRequest("a message has no role")
        if isinstance(content, str):
            read.append(Message(role, content))
        elif isinstance(content, list):
            read += _turn(role, content, names)
        else:
            raise InvalidRequest("the content of a message is neither text nor a list of blocks")
    return read


def _turn(role: str, blocks: list[Any], names: dict[str, str]) -> list[Message]:
    """The messages of one turn: results of tools first, then what was said. `names` knows each call's tool."""
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[str] = []
    calls: list[ToolCall] = []
    results: list[Message] = []
    for block in blocks:
        match block:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "thinking", "thinking": str(thought)}:
                thoughts.append(thought)
            case {"type": "image"}:
                images.append(_image(block))
            case {"type": "tool_use"}:
                calls.append(_tool_use(block))
                names[calls[-1].id] = calls[-1].function.name
            case {"type": "tool_result"}:
                results.append(_tool_result(block, names))
            case {"type": "document", "source": {"type": "text", "data": str(text)}}:
                texts.append(text)
            case {"type": "document"}:
                raise InvalidRequest("document blocks are not supported", hint="Send the text itself.")
            case {"type": str()}:
                pass  # blocks that only Anthropic's own servers understand
            case _:
                raise InvalidRequest("a content block has no type")
    if not (texts or thoughts or images or calls):
        return results
    said = Message(
        role,
        BETWEEN_TEXTS.join(texts),
        thinking=BETWEEN_TEXTS.join(thoughts),
        images=images or None,
        tool_calls=calls or None,
    )
    return [*results, said]


def _image(block: JSON) -> str:
    match block.get("source"):
        case {"type": "base64", "data": str(data)}:
            return checked_base64(data)
        case _:
            raise InvalidRequest("invalid image source", hint="Send the image as base64; the server fetches none.")


def _tool_use(block: JSON) -> ToolCall:
    match block:
        case {"id": str(call_id), "name": str(name)} if call_id and name:
            arguments = block.get("input") or {}
            if isinstance(arguments, dict):
                return ToolCall(ToolCallFunction(name, arguments), id=call_id)
            raise InvalidRequest("the input of a tool_use block is no object")
        case _:
            raise InvalidRequest("a tool_use block needs an id and a name")


def _tool_result(block: JSON, names: dict[str, str]) -> Message:
    call_id = block.get("tool_use_id")
    if not isinstance(call_id, str) or not call_id:
        raise InvalidRequest("a tool_result block needs a tool_use_id")
    content = block.get("content")
    images = [_image(part) for part in content if _type(part) == "image"] if isinstance(content, list) else []
    return Message(
        "tool",
        _texts(content, "tool_result"),
        images=images or None,
        tool_name=names.get(call_id, ""),
        tool_call_id=call_id,
    )


def _texts(content: Any, where: str) -> str:
    """Text, or the texts of a list of blocks; empty for none."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidRequest(f"{where} is neither text nor a list of blocks")
    texts = [part["text"] for part in content if _type(part) == "text"]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidRequest(f"a text block of {where} has no text")
    return BETWEEN_TEXTS.join(texts)


def _type(part: Any) -> str:
    if isinstance(part, dict) and isinstance(part.get("type"), str) and (part["type"] != "text" or "text" in part):
        return part["type"]
    raise InvalidRequest("a content block has no type")


def read_tools(tools: list[JSON] | None) -> list[JSON] | None:
    """Tools as Ollama takes them. A tool that a server would have to run is refused: nothing here runs it."""
    return [_tool(tool) for tool in tools] if tools else None


def _tool(tool: JSON) -> JSON:
    kind = tool.get("type")
    if isinstance(kind, str) and kind.startswith("web_search"):
        raise cloud_disabled(WEB_SEARCH)
    if kind not in (None, "custom"):
        raise InvalidRequest(f"tools of type {kind!r} are not supported", hint="Describe the tool by an input_schema.")
    match tool:
        case {"name": str(name)} if name:
            function: JSON = {"name": name, "description": tool.get("description") or ""}
            function["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
            return {"type": "function", "function": function}
        case _:
            raise InvalidRequest("a tool has no name")


def read_tool_choice(choice: JSON | None, tools: list[JSON] | None) -> tuple[Any, bool | None]:
    """`(tool_choice, parallel_tool_calls)` as ChatRequest takes them."""
    if choice is None:
        return None, None
    parallel = False if choice.get("disable_parallel_tool_use") is True else None
    match choice:
        case {"type": "auto"}:
            return "auto", parallel
        case {"type": "any"}:
            return "required", parallel
        case {"type": "none"}:
            return "none", None
        case {"type": "tool", "name": str(name)}:
            if name not in [tool["function"]["name"] for tool in tools or []]:
                raise InvalidRequest(f"tool_choice names '{name}', which is not among the tools")
            return {"type": "function", "function": {"name": name}}, parallel
        case _:
            raise InvalidRequest("invalid tool_choice", hint="Its type is auto, any, none, or tool with a name.")
