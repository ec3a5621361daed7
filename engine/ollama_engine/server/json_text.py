"""Reads JSON text the way Go's decoder does: one value, a bounded depth, Go's words for what is wrong.

`decode.py` binds the value to a request type; this file knows nothing of types (spec §0).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ollama_engine.errors import InvalidRequest, TooLarge

MAX_DEPTH = 200
"""Nesting of arrays and objects. JSON schemas of real tools stay below 30."""

MAX_VALUES = 4_000_000
"""Commas and opening brackets of a body, in its texts, too. What they may stand for takes some 50 bytes each: without a
bound a body of `[[],[],…` would grow to twenty times its size."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_SPACE = " \t\r\n"


def read_first_value(body: bytes | bytearray) -> Any:
    """The first JSON value of `body`; what follows it is not looked at.

    Integers beyond 64 bits become floats, as they do where Go decodes into `any`; invalid UTF-8 and lone surrogates
    become U+FFFD.

    Raises:
        InvalidRequest: no value, broken JSON, nesting deeper than MAX_DEPTH, or more than MAX_VALUES.
    """
    if len(body) > MAX_VALUES and sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise TooLarge("request body holds too many values", hint=f"It may hold {MAX_VALUES} commas and brackets.")
    text = body.decode("utf-8", errors="replace")
    start = len(text) - len(text.lstrip(_SPACE))
    if start == len(text):
        raise InvalidRequest("missing request body")
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise InvalidRequest(_go_message(error, text)) from error
    except RecursionError as error:
        raise InvalidRequest("exceeded max depth") from error
    return _cleaned(value, mend="\\ud" in text or "\\uD" in text)


def _integer(digits: str) -> int | float:
    if len(digits) < 19:
        return int(digits)
    number = _finite(digits)
    exact = int(digits) if len(digits) <= 20 else None
    return exact if exact is not None and -(2**63) <= exact < 2**63 else number


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidRequest(f"json: cannot unmarshal number {digits[:40]} into Go value of type float64")
    return number


def _constant(name: str) -> Any:
    """Python's decoder would take NaN and Infinity, which are not JSON."""
    letter = name.lstrip("-")[0]
    where = "in numeric literal" if name.startswith("-") else "looking for beginning of value"
    raise InvalidRequest(f"invalid character '{letter}' {where}")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_finite, parse_constant=_constant)


def _cleaned(value: Any, *, mend: bool, depth: int = 0) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value) if mend else value
    if not isinstance(value, dict | list):
        return value
    if depth >= MAX_DEPTH:
        raise InvalidRequest("exceeded max depth", hint=f"At most {MAX_DEPTH} nested arrays and objects are read.")
    if isinstance(value, list):
        return [_cleaned(item, mend=mend, depth=depth + 1) for item in value]
    return {_cleaned(key, mend=mend): _cleaned(item, mend=mend, depth=depth + 1) for key, item in value.items()}


def _go_message(error: json.JSONDecodeError, text: str) -> str:
    """Go's wording for what Python's decoder found at `error.pos`."""
    position = error.pos
    while position < len(text) and text[position] in _SPACE and not error.msg.startswith("Invalid control"):
        position += 1
    if position >= len(text) or error.msg.startswith("Unterminated"):
        return "unexpected EOF"
    if error.msg.startswith("Illegal trailing comma"):
        closing = "}" if "object" in error.msg else "]"
        place = "looking for beginning of " + ("object key string" if closing == "}" else "value")
        return f"invalid character '{closing}' {place}"
    if error.msg.startswith("Invalid \\u") or error.msg.startswith("Invalid \\\\u"):
        return "invalid character in \\u hexadecimal character escape"
    if error.msg.startswith("Invalid \\"):
        position = min(position + 1, len(text) - 1)
    places = {
        "Expecting value": "looking for beginning of value",
        "Expecting property name": "looking for beginning of object key string",
        "Expecting ':'": "after object key",
        "Expecting ','": _after_what(text, position),
        "Invalid control": "in string literal",
        "Invalid \\": "in string escape code",
    }
    place = next((words for start, words in places.items() if error.msg.startswith(start)), "in JSON text")
    return f"invalid character {_quoted(text[position])} {place}"


def _after_what(text: str, position: int) -> str:
    stack: list[str] = []
    for match in _STRUCTURE.finditer(text, 0, position):
        if match[0] in "[{":
            stack.append(match[0])
        elif match[0] in "]}" and stack:
            stack.pop()
    return "after array element" if stack and stack[-1] == "[" else "after object key:value pair"


def _quoted(character: str) -> str:
    return {"'": r"'\''", '"': "'\"'", "\\": r"'\\'", "\n": r"'\n'", "\t": r"'\t'", "\r": r"'\r'"}.get(
        character, f"'{character}'" if character.isprintable() else f"'\\x{ord(character):02x}'"
    )
