"""What a Go template sees as `.Messages` and `.Tools`: Ollama's types, with their field names and JSON forms (§8.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ollama_engine.prompt.go_template import JSONList, JSONMap, Record
from ollama_engine.types import Message, Think, ToolCall

_PROPERTY_KEYS = ("anyOf", "type", "items", "description", "enum", "properties", "required")


def thinking(think: Think) -> dict[str, Any]:
    """`Think`, `ThinkLevel` and `IsThinkSet` for a request's `think`."""
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def messages(turns: Sequence[Message]) -> list[Record]:
    return [_message(turn) for turn in turns]


def tools(definitions: Sequence[Mapping[str, Any]] | None) -> JSONList:
    """Tool definitions as a request sends them; keys that Ollama does not know are dropped."""
    return JSONList(_tool(definition) for definition in definitions or ())


def _message(turn: Message) -> Record:
    calls = [_tool_call(call) for call in turn.tool_calls or ()]
    form = JSONMap({"role": turn.role, "content": turn.content})
    optional = {
        "thinking": turn.thinking,
        "images": turn.images,
        "tool_calls": calls,
        "tool_name": turn.tool_name,
        "tool_call_id": turn.tool_call_id,
    }
    form.update((key, value) for key, value in optional.items() if value)
    fields = {
        "Role": turn.role,
        "Content": turn.content,
        "Thinking": turn.thinking,
        "Images": list(turn.images or ()),
        "ToolCalls": calls,
        "ToolName": turn.tool_name,
        "ToolCallID": turn.tool_call_id,
    }
    return Record("api.Message", fields, json_form=form)


def _tool_call(call: ToolCall) -> Record:
    arguments = JSONMap(call.function.arguments)
    function = Record(
        "api.ToolCallFunction",
        {"Index": call.function.index, "Name": call.function.name, "Arguments": arguments},
        json_form=JSONMap({"index": call.function.index, "name": call.function.name, "arguments": arguments}),
    )
    form = JSONMap({"id": call.id} if call.id else {})
    form["function"] = function
    return Record("api.ToolCall", {"ID": call.id, "Function": function}, json_form=form)


def _tool(definition: Mapping[str, Any]) -> Record:
    kind, items = definition.get("type") or "", definition.get("items")
    function = _function(_mapping(definition.get("function")))
    form = JSONMap({"type": kind, **({} if items is None else {"items": items}), "function": function})
    fields = {"Type": kind, "Items": items, "Function": function}
    return Record("api.Tool", fields, json_form=form, prints_json=True)


def _function(function: Mapping[str, Any]) -> Record:
    name, description = function.get("name") or "", function.get("description") or ""
    parameters = _parameters(_mapping(function.get("parameters")))
    form = JSONMap({"name": name})
    if description:
        form["description"] = description
    form["parameters"] = parameters
    fields = {"Name": name, "Description": description, "Parameters": parameters}
    return Record("api.ToolFunction", fields, json_form=form, prints_json=True)


def _parameters(schema: Mapping[str, Any]) -> Record:
    kind = schema.get("type") or ""
    properties = _properties(schema.get("properties"))
    optional = {key: schema[key] for key in ("$defs", "items", "required") if schema.get(key)}
    form = JSONMap({"type": kind, **optional, "properties": properties})
    fields = {
        "Type": kind,
        "Defs": schema.get("$defs"),
        "Items": schema.get("items"),
        "Required": list(schema.get("required") or ()),
        "Properties": properties,
    }
    return Record("api.ToolFunctionParameters", fields, json_form=form, prints_json=True)


def _properties(properties: Any) -> JSONMap:
    return JSONMap({str(name): _property(_mapping(prop)) for name, prop in _mapping(properties).items()})


def _property(prop: Mapping[str, Any]) -> Record:
    kinds = prop.get("type")
    types = [kinds] if isinstance(kinds, str) else [str(kind) for kind in kinds or ()]
    choices = [_property(_mapping(choice)) for choice in prop.get("anyOf") or ()]
    nested = _properties(prop.get("properties"))
    form = JSONMap({key: prop[key] for key in _PROPERTY_KEYS if prop.get(key)})
    form.update((key, value) for key, value in (("anyOf", choices), ("properties", nested)) if value)
    fields = {
        "AnyOf": choices,
        "Type": JSONList(types, text=types[0] if len(types) == 1 else f"[{' '.join(types)}]" if types else ""),
        "Items": prop.get("items"),
        "Description": prop.get("description") or "",
        "Enum": list(prop.get("enum") or ()),
        "Properties": nested,
        "Required": list(prop.get("required") or ()),
    }
    return Record("api.ToolProperty", fields, json_form=form)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
