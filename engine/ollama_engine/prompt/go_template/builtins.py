"""The functions a template can call: Go's own, and Ollama's helpers (spec §8.2).

Each takes the evaluated arguments and raises ValueError with Go's reason; the executor adds where it happened.
`and` and `or` are not here: they do not evaluate all their arguments, so the executor does them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

from ollama_engine.prompt.go_template import printf
from ollama_engine.prompt.go_template.values import (
    bytes_of,
    equal,
    json_text,
    kind,
    less,
    struct_fields,
    text_from,
    truth,
    type_name,
)


@dataclass(frozen=True)
class Builtin:
    """A function with the least and the most arguments it takes (None: any number)."""

    call: Callable[..., Any]
    least: int
    most: int | None


def builtins(now: Callable[[], datetime], text_limit: int) -> dict[str, Builtin]:
    """All functions by name.

    Args:
        now: the clock of `currentDate` and `yesterdayDate`.
        text_limit: characters that one `printf` may make.
    """

    def formatted(form: Any, *arguments: Any) -> str:
        if not isinstance(form, str):
            raise ValueError(f"wrong type for value; expected string; got {type_name(form)}")
        return printf.sprintf(form, arguments, text_limit)

    return {
        "and": Builtin(_by_executor, 1, None),
        "or": Builtin(_by_executor, 1, None),
        "not": Builtin(lambda value: not truth(value), 1, 1),
        "eq": Builtin(_eq, 1, None),
        "ne": Builtin(lambda left, right: not equal(left, right), 2, 2),
        "lt": Builtin(less, 2, 2),
        "le": Builtin(_le, 2, 2),
        "gt": Builtin(lambda left, right: not _le(left, right), 2, 2),
        "ge": Builtin(lambda left, right: not less(left, right), 2, 2),
        "len": Builtin(_len, 1, 1),
        "index": Builtin(_index, 1, None),
        "slice": Builtin(_slice, 1, None),
        "print": Builtin(lambda *arguments: printf.sprint(arguments), 0, None),
        "printf": Builtin(formatted, 1, None),
        "println": Builtin(lambda *arguments: printf.sprintln(arguments), 0, None),
        "html": Builtin(lambda *arguments: _HTML.sub(_html_escape, _joined(arguments)), 0, None),
        "js": Builtin(lambda *arguments: "".join(map(_js_escape, _joined(arguments))), 0, None),
        "urlquery": Builtin(lambda *arguments: quote_plus(bytes_of(_joined(arguments)), safe="~"), 0, None),
        "call": Builtin(_call, 1, None),
        "json": Builtin(json_text, 1, 1),
        "currentDate": Builtin(lambda *_: now().strftime("%Y-%m-%d"), 0, None),
        "yesterdayDate": Builtin(lambda *_: (now() - timedelta(days=1)).strftime("%Y-%m-%d"), 0, None),
        "toTypeScriptType": Builtin(type_script, 1, 1),
    }


def _by_executor(*_: Any) -> Any:
    raise ValueError("and, or are evaluated by the executor")


def _eq(left: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    return any(equal(left, other) for other in others)


def _le(left: Any, right: Any) -> bool:
    return less(left, right) or equal(left, right)


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(bytes_of(value))
    if kind(value) in ("slice", "map"):
        return len(value)
    raise ValueError("len of nil pointer" if value is None else f"len of type {type_name(value)}")


def _index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise ValueError("index of untyped nil")
    for key in keys:
        match kind(value):
            case "slice":
                value = value[_position(key, len(value), inclusive=False)]
            case "string":
                data = bytes_of(value)
                value = data[_position(key, len(data), inclusive=False)]
            case "map":
                if not isinstance(key, str):
                    raise ValueError(f"value has type {type_name(key)}; should be string")
                value = value.get(key)
            case "nil":
                raise ValueError("index of nil pointer")
            case _:
                raise ValueError(f"can't index item of type {type_name(value)}")
    return value


def _position(key: Any, length: int, *, inclusive: bool) -> int:
    if key is None:
        raise ValueError("cannot index slice/array with nil")
    if kind(key) != "int":
        raise ValueError(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key < length + inclusive:
        raise ValueError(f"index out of range: {key}")
    return key


def _slice(value: Any, *keys: Any) -> Any:
    if value is None:
        raise ValueError("slice of untyped nil")
    if kind(value) not in ("string", "slice"):
        raise ValueError(f"can't slice item of type {type_name(value)}")
    if len(keys) > (2 if isinstance(value, str) else 3):
        raise ValueError(
            "cannot 3-index slice a string" if isinstance(value, str) else f"too many slice indexes: {len(keys)}"
        )
    items = bytes_of(value) if isinstance(value, str) else value
    bounds = [_position(key, len(items), inclusive=True) for key in keys]
    start = bounds[0] if bounds else 0
    stop = bounds[1] if len(bounds) > 1 else len(items)
    if start > stop:
        raise ValueError(f"invalid slice index: {start} > {stop}")
    if len(bounds) > 2 and stop > bounds[2]:
        raise ValueError(f"invalid slice index: {stop} > {bounds[2]}")
    return text_from(items[start:stop]) if isinstance(items, bytes) else items[start:stop]


def _call(function: Any, *arguments: Any) -> Any:
    if function is None:
        raise ValueError("call of nil")
    if kind(function) != "func" or not callable(function):
        raise ValueError(f"non-function of type {type_name(function)}")
    return function(*arguments)


_HTML = re.compile("[\x00'\"&<>]")
_ENTITIES = {"\0": "�", "'": "&#39;", '"': "&#34;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _joined(arguments: tuple[Any, ...]) -> str:
    """Arguments as one string, as Go's escapers take them."""
    return printf.sprint(["<no value>" if value is None else value for value in arguments])


def _html_escape(match: re.Match[str]) -> str:
    return _ENTITIES[match.group()]


def _js_escape(char: str) -> str:
    if char in _JS:
        return _JS[char]
    return char if " " <= char <= "\x7f" or (char > "\x7f" and char.isprintable()) else f"\\u{ord(char):04X}"


def type_script(prop: Any) -> str:
    """The TypeScript type of a tool's property (a `ToolProperty`, or its JSON)."""
    names = struct_fields(prop)
    if names is not None:
        choices, types = names.get("AnyOf"), names.get("Type")
    elif isinstance(prop, Mapping):
        choices, types = prop.get("anyOf"), prop.get("type")
    else:
        return "any"
    if choices:
        return " | ".join(type_script(choice) for choice in choices)
    known = [types] if isinstance(types, str) else list(types or ())
    return " | ".join(_TYPE_SCRIPT.get(name, "any") for name in known) or "any"


_TYPE_SCRIPT = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}
