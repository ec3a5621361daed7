"""What a call is made of: names and arguments out of JSON, tagged text, loose objects and Python calls."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ollama_engine.types import JSON

NAME_KEYS = ("name", "tool_name", "function", "tool", "function_name", "recipient_name")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "tool_input", "kwargs")
_BESIDE = ("type", "id", "tool_call_id", "call_id", "index")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BARE_KEY = re.compile(r"([\w.\-]+)\s*:")
_BARE_VALUE = re.compile(r"[^,{}\[\]]+")
_CDATA = ("<![CDATA[", "]]>")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = frozenset("\n\\'\"abfnrtv01234567xNuU")
_LITERALS = {"true": True, "false": False, "null": None}

NamedCall = tuple[str, JSON]


class Tools:
    """The tools of a request by name, with the JSON schema of each argument."""

    def __init__(self, tools: Iterable[Mapping[str, Any]]) -> None:
        self._arguments: dict[str, Mapping[str, Any]] = {}
        for tool in tools:
            function = tool.get("function")
            function = function if isinstance(function, Mapping) else tool
            parameters = function.get("parameters")
            properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
            if isinstance(function.get("name"), str):
                self._arguments[function["name"]] = properties if isinstance(properties, Mapping) else {}

    def __contains__(self, name: object) -> bool:
        return name in self._arguments

    def clean(self, raw: str, prefix: str = "") -> str:
        """The tool's name in what a model wrote for it: without a namespace or a counter that it put around."""
        name = raw.strip().strip("\"'")
        for piece in (prefix, "functions."):
            if name not in self and piece and name.startswith(piece):
                name = name.removeprefix(piece)
        if name not in self and name.removesuffix(".call") in self:
            name = name.removesuffix(".call")
        return name if name in self else re.sub(r"(?<=.):\d+$", "", name)

    def value(self, name: str, key: str, text: str) -> Any:
        """An argument written as plain text, as the type that the tool's schema gives it.

        Without a schema, text that is JSON of any type but text counts as that.
        """
        if text.startswith(_CDATA[0]) and text.endswith(_CDATA[1]):
            text = text.removeprefix(_CDATA[0]).removesuffix(_CDATA[1])
        kinds = self._kinds(name, key)
        if "boolean" in kinds and text.strip().lower() in ("true", "false"):
            return text.strip().lower() == "true"
        value = load_json(text)
        if value is None and text.strip() != "null":
            return text
        if isinstance(value, str):
            return text if "string" in kinds or not kinds else value
        return text if "string" in kinds and not kinds & _kinds_of(value) else value

    def is_text(self, name: str, key: str) -> bool:
        """Whether an argument is text and nothing else, so that `value` gives back any text as it stands."""
        return self._kinds(name, key) == {"string"}

    def has_argument(self, name: str, key: str) -> bool:
        return key in self._arguments.get(name, ())

    def _kinds(self, name: str, key: str) -> set[str]:
        return _kinds(self._arguments.get(name, {}).get(key))


def _kinds(schema: Any) -> set[str]:
    """The types that a schema names, itself or in its alternatives or by its values; none where it does not say."""
    if not isinstance(schema, Mapping):
        return set()
    kind = schema.get("type")
    kinds = {kind} if isinstance(kind, str) else {each for each in kind or () if isinstance(each, str)}
    options = schema.get("anyOf")
    for option in options if isinstance(options, list) else ():
        kinds |= _kinds(option)
    values = schema.get("enum")
    if not kinds and isinstance(values, list):
        kinds = {kind for value in values for kind in _kinds_of(value)}
    return kinds


def _kinds_of(value: Any) -> set[str]:
    names = {bool: {"boolean"}, int: {"integer", "number"}, float: {"number"}, list: {"array"}, dict: {"object"}}
    return {"null"} if value is None else names.get(type(value), {"string"})


def load_json(text: str) -> Any:
    """The value of a JSON text, or None where it is none; raw line breaks in strings are taken as they stand."""
    try:
        value = json.loads(text, strict=False, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return _clean(value) if "\\u" in text else value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _clean(value: Any) -> Any:
    """Half a surrogate pair is no character, and nobody can send it on."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def call_of(value: Any, tools: Tools, name_key: str = "", arguments_key: str = "") -> NamedCall | None:
    """The call that a JSON object describes under the keys given or any of the usual ones, or None."""
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        return call_of(inner, tools)
    for key in (name_key, *NAME_KEYS):
        name = value.get(key) if key else None
        if isinstance(name, str) and name.strip():
            arguments = _arguments(value, key, arguments_key)
            return None if arguments is None else (tools.clean(name), arguments)
    if len(value) == 1:
        [(name, arguments)] = value.items()
        if name in tools and isinstance(arguments, dict):
            return name, arguments
        return call_of(arguments, tools, name_key, arguments_key)
    return None


def _arguments(value: JSON, name_key: str, arguments_key: str) -> JSON | None:
    for key in (arguments_key, *ARGUMENT_KEYS):
        if key and key in value:
            arguments = value[key]
            if isinstance(arguments, str):
                arguments = load_json(arguments or "{}")
            arguments = {} if arguments is None and value[key] in (None, "null") else arguments
            return arguments if isinstance(arguments, dict) else None
    return {key: item for key, item in value.items() if key != name_key and key not in _BESIDE}


def named_arguments(value: JSON, name: str, tools: Tools) -> JSON:
    """Arguments in the object after a name: the object itself, or what it holds under one of the usual keys."""
    for key in (*ARGUMENT_KEYS, name):
        if (
            key in value
            and not tools.has_argument(name, key)
            and len([other for other in value if other not in NAME_KEYS]) == 1
        ):
            arguments = value[key]
            if isinstance(arguments, str):
                arguments = load_json(arguments)
            if isinstance(arguments, dict):
                return arguments
    return value


def load_loose(text: str, quote: str) -> JSON | None:
    """An object with bare keys and text between `quote` markers (`{a:<q>x<q>,b:[1,true]}`), or None."""
    pieces = text.split(quote) if quote else [text]
    if len(pieces) % 2 == 0:
        return None
    written: list[str] = []
    for index, piece in enumerate(pieces):
        written.append(json.dumps(piece) if index % 2 else _quote_keys(piece))
    value = load_json("".join(written))
    return value if isinstance(value, dict) else None


def _quote_keys(text: str) -> str:
    """Loose text without strings as JSON: keys quoted, values that are no JSON quoted."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        key, plain = _BARE_KEY.match(text, at), _BARE_VALUE.match(text, at)
        if text[at] in '"{}[],:' or text[at].isspace():
            end = at + 1
            if text[at] == '"':
                close = text.find('"', at + 1)
                end = close + 1 if close > 0 else len(text)
            parts.append(text[at:end])
        elif key:
            end = key.end()
            parts.append(json.dumps(key.group(1)) + ":")
        else:
            end = plain.end() if plain else at + 1
            word = text[at:end].strip()
            parts.append(word if load_json(word) is not None or word == "null" else json.dumps(word))
        at = end
    return "".join(parts)


def load_python(text: str) -> list[NamedCall] | None:
    """The calls in `[f(a=1), g()]` or `f(a=1)`, or None where it is anything else. Nothing is ever run."""
    try:
        tree = ast.parse(_ESCAPE.sub(_known_escape, text.strip()), mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        return [_python_call(node) for node in nodes] or None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _known_escape(match: re.Match[str]) -> str:
    """A backslash that escapes nothing stands for itself; Python would say so with a warning."""
    return match.group() if match.group(1) in _ESCAPES else "\\" + match.group()


def _python_call(node: ast.expr) -> NamedCall:
    if not isinstance(node, ast.Call) or node.args:
        raise ValueError("no call with named arguments only")
    arguments: JSON = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("** is no argument")
        arguments[keyword.arg] = _python_value(keyword.value)
    return ast.unparse(node.func), _clean(arguments)


def _python_value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id=name) if name in _LITERALS:
            return _LITERALS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List() | ast.Tuple():
            return [_python_value(item) for item in node.elts]
        case ast.Dict():
            return {str(_python_value(key)): _python_value(item) for key, item in _pairs(node)}
        case _:
            raise ValueError("no literal")


def _pairs(node: ast.Dict) -> Iterable[tuple[ast.expr, ast.expr]]:
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            raise ValueError("** is no key")
        yield key, value
