"""Go's view of Python values: kinds, truth, comparison, printing, JSON.

A template sees `None` as nil, `bool`, `int` (64 bits), `float`, `str`, `list` as a slice, `dict` as a map, and
`Record`, dataclasses and msgspec Structs as structs. Strings are bytes in Go: `bytes_of` and `text_from` go between
the two without loss, bytes that are no UTF-8 travelling as lone surrogates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

MAX_NESTING = 64


class Record:
    """A Go struct: fields in order, under Go's names.

    Args:
        type_name: Go's name of the type, for messages and `%T`.
        values: field name to value.
        json_form: what `json` makes of it, where that is not simply its fields.
        prints_json: whether printing it gives JSON (Ollama's types with a String method).
        text: what printing gives, where it is something else again.
    """

    def __init__(
        self,
        type_name: str,
        values: Mapping[str, Any],
        *,
        json_form: Any = None,
        prints_json: bool = False,
        text: str | None = None,
    ) -> None:
        self.type_name = type_name
        self.values = dict(values)
        self.json_form = self.values if json_form is None else json_form
        self.prints_json = prints_json
        self.text = text


class JSONMap(dict[str, Any]):
    """A map that prints as JSON in the order it was made (tool arguments)."""


class JSONList(list[Any]):
    """A slice that prints as JSON (the list of tools), or as `text` where given."""

    def __init__(self, items: Any = (), *, text: str | None = None) -> None:
        super().__init__(items)
        self.text = text


def bytes_of(text: str) -> bytes:
    """A string's bytes as Go holds them."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def text_from(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def struct_fields(value: Any) -> dict[str, Any] | None:
    """Field values of a struct under Go's names, None where `value` is no struct."""
    if isinstance(value, Record):
        return value.values
    if isinstance(value, msgspec.Struct):
        return {_go_name(name): getattr(value, name) for name in value.__struct_fields__}
    if is_dataclass(value) and not isinstance(value, type):
        return {_go_name(item.name): getattr(value, item.name) for item in fields(value)}
    return None


def _go_name(name: str) -> str:
    """`tool_call_id` is `ToolCallID` in Go."""
    return "".join("ID" if part == "id" else part[:1].upper() + part[1:] for part in name.split("_"))


def kind(value: Any) -> str:
    """Go's kind: `nil`, `bool`, `int`, `float`, `string`, `slice`, `map`, `struct` or `func`."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    for python, name in ((float, "float"), (str, "string"), (list | tuple, "slice"), (Mapping, "map")):
        if isinstance(value, python):
            return name
    return "struct" if struct_fields(value) is not None else "func"


def type_name(value: Any) -> str:
    """Go's type, as its messages and `%T` name it."""
    if isinstance(value, Record):
        return value.type_name
    names = {
        "nil": "<nil>",
        "int": "int",
        "float": "float64",
        "slice": "[]interface {}",
        "map": "map[string]interface {}",
        "struct": type(value).__name__,
        "func": "func",
    }
    return names.get(kind(value), kind(value))


def truth(value: Any) -> bool:
    """Whether `if` takes a value: not false, 0, nil or an empty string, slice or map."""
    match kind(value):
        case "nil":
            return False
        case "struct" | "func":
            return True
        case _:
            return bool(value)


_BASIC = ("bool", "int", "float", "string")


def equal(left: Any, right: Any) -> bool:
    """`eq` of two values; raises ValueError where Go cannot compare them."""
    one, other = kind(left), kind(right)
    if one != other:
        if "nil" in (one, other):
            return False
        raise ValueError("incompatible types for comparison")
    if one in _BASIC:
        return left == right
    if one == "nil":
        return True
    if one in ("slice", "map", "func"):
        raise ValueError(f"non-comparable type {type_name(left)}")
    return left is right or (struct_fields(left) or {}) == (struct_fields(right) or {})


def less(left: Any, right: Any) -> bool:
    """`lt` of two values; raises ValueError where Go cannot order them."""
    for value in (left, right):
        if kind(value) not in _BASIC:
            raise ValueError("invalid type for comparison")
    if kind(left) != kind(right):
        raise ValueError("incompatible types for comparison")
    if isinstance(left, bool):
        raise ValueError("invalid type for comparison")
    return bytes_of(left) < bytes_of(right) if isinstance(left, str) else left < right


def sorted_items(mapping: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """A map's items in the order `range` visits them and printing shows them."""
    return sorted(mapping.items(), key=lambda item: bytes_of(item[0]) if isinstance(item[0], str) else b"%d" % item[0])


def float_text(value: float) -> str:
    """A float as `%v` and `%g` print it: the shortest digits, with an exponent below 1e-4 and from 1e6 on."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    digits, exponent = shortest(value)
    sign = "-" if math.copysign(1, value) < 0 else ""
    if not -4 <= exponent < 6:
        tail = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{exponent:+03d}"
    return sign + plain(digits, exponent)


def shortest(value: float) -> tuple[str, int]:
    """The shortest decimal digits that read back as `value`, and the power of ten of the first one."""
    mantissa, _, exponent = f"{abs(value)!r}".lower().partition("e")
    whole, _, part = mantissa.partition(".")
    digits = whole + part
    power = int(exponent or 0) + len(whole) - 1
    stripped = digits.lstrip("0")
    if not stripped:
        return "0", 0
    power -= len(digits) - len(stripped)
    return stripped.rstrip("0") or "0", power


def plain(digits: str, exponent: int) -> str:
    """Decimal digits written without an exponent."""
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return digits[: exponent + 1] + "." + digits[exponent + 1 :]


def own_text(value: Any) -> str | None:
    """What a type with a String method prints, None for all others."""
    if isinstance(value, Record | JSONList) and value.text is not None:
        return value.text
    if isinstance(value, JSONMap | JSONList) or (isinstance(value, Record) and value.prints_json):
        return json_text(value)
    return None


def text(value: Any, *, names: bool = False, depth: int = 0) -> str:
    """A value as `%v` prints it; with `names` as `%+v`, struct fields named."""
    if depth > MAX_NESTING:
        raise ValueError("a value nested too deeply to print")
    own = own_text(value)
    if own is not None:
        return own
    inner = {"names": names, "depth": depth + 1}
    match kind(value):
        case "nil":
            return "<nil>"
        case "bool":
            return "true" if value else "false"
        case "float":
            return float_text(value)
        case "slice":
            return "[" + " ".join(text(item, **inner) for item in value) + "]"
        case "map":
            items = (f"{text(key, **inner)}:{text(item, **inner)}" for key, item in sorted_items(value))
            return "map[" + " ".join(items) + "]"
        case "struct":
            items = ((name, text(item, **inner)) for name, item in (struct_fields(value) or {}).items())
            return "{" + " ".join(f"{name}:{item}" if names else item for name, item in items) + "}"
        case "func":
            raise ValueError(f"can't print a value of type {type(value).__name__}")
        case _:
            return str(value)


def printed(value: Any) -> str:
    """A value as an action prints it: nil is `<no value>`."""
    return "<no value>" if value is None else text(value)


_JSON_ESCAPE = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_JSON_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def json_text(value: Any, depth: int = 0) -> str:
    """JSON as Go's `json.Marshal` writes it: compact, `<`, `>` and `&` escaped, plain maps in key order."""
    if depth > MAX_NESTING:
        raise ValueError("a value nested too deeply for JSON")
    match kind(value):
        case "nil":
            return "null"
        case "bool":
            return "true" if value else "false"
        case "float":
            return _json_float(value)
        case "string":
            return '"' + _JSON_ESCAPE.sub(_json_escape, value) + '"'
        case "slice":
            return "[" + ",".join(json_text(item, depth + 1) for item in value) + "]"
        case "map":
            items = value.items() if isinstance(value, JSONMap) else sorted_items(value)
        case "struct":
            if isinstance(value, Record) and value.json_form is not value.values:
                return json_text(value.json_form, depth + 1)
            items = (struct_fields(value) or {}).items()
        case "func":
            raise ValueError(f"a value of type {type(value).__name__} has no JSON form")
        case _:
            return str(value)
    return "{" + ",".join(f"{json_text(str(key))}:{json_text(item, depth + 1)}" for key, item in items) + "}"


def _json_escape(match: re.Match[str]) -> str:
    char = match.group()
    if "\ud800" <= char <= "\udfff":
        return "\\ufffd"
    return _JSON_SHORT.get(char) or f"\\u{ord(char):04x}"


def _json_float(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        raise ValueError(f"JSON has no form for {float_text(value)}")
    digits, exponent = shortest(value)
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value and not -6 <= exponent < 21:
        tail = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if exponent < 0 else '+'}{abs(exponent)}"
    return sign + plain(digits, exponent)
