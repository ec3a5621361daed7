"""Which tools a model may call, and the format of what it says, as OpenAI writes them (spec §2.2)."""

from __future__ import annotations

from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.types import JSON

_CHOICE_HINT = 'It is "none", "auto", "required" or {"type": "function", "function": {"name": ...}}.'


def choose(tools: list[JSON] | None, choice: Any) -> tuple[list[JSON] | None, Any]:
    """The tools that the model is told of, and the choice as `ChatRequest.tool_choice` takes it."""
    match choice:
        case None | "none" | "auto" | "required":
            return tools, choice
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            _require_tool(tools, name)
            return tools, {"type": "function", "function": {"name": name}}
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode), "tools": list(allowed)}} | {
            "type": "allowed_tools",
            "mode": str(mode),
            "tools": list(allowed),
        }:
            names = [name_of(tool) for tool in allowed if isinstance(tool, dict)]
            for name in names:
                _require_tool(tools, name)
            return choose([tool for tool in tools or [] if name_of(tool) in names], mode)
        case _:
            raise InvalidRequest("invalid tool_choice", hint=_CHOICE_HINT)


def name_of(tool: JSON) -> str:
    """The name of a tool, nested as in chat completions or flat as in responses."""
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else tool.get("name")
    return name if isinstance(name, str) else ""


def _require_tool(tools: list[JSON] | None, name: str) -> None:
    if name not in map(name_of, tools or []):
        raise InvalidRequest(f"tool_choice names '{name}', which is not among the tools")


def format_of(wanted: JSON | None) -> Any:
    """`response_format` to Ollama's `format`: None, "json", or the schema."""
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}} | {
            "type": "json_schema",
            "schema": dict(schema),
        }:
            return schema
        case {"type": "json_schema"}:
            raise InvalidRequest("response_format json_schema has no schema")
        case _:
            raise InvalidRequest("invalid response_format", hint="Its type is text, json_object or json_schema.")
