"""Go's literals: numbers, strings, raw strings and runes, as a template writes them; `parser.py` asks."""

from __future__ import annotations

import re

from ollama_engine.prompt.go_template.values import text_from

_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.DOTALL
)
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_INTEGER = re.compile(
    r"([+-]?)(?:0[xX](_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)|0[bB](_?[01]+(?:_[01]+)*)"
    r"|0[oO]?(_?[0-7]+(?:_[0-7]+)*)|(0|[1-9][0-9]*(?:_[0-9]+)*))"
)
_FLOAT = re.compile(r"[+-]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?")
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9]+")


def number(text: str) -> int | float:
    """An int (64 bits) or a float; raises ValueError with Go's reason."""
    if match := _INTEGER.fullmatch(text):
        sign, hexadecimal, binary, octal, decimal = match.groups()
        digits, base = next((d, b) for d, b in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if d)
        digits = digits.replace("_", "")
        if len(digits) > 64:
            raise ValueError(f"integer overflow: {text!r}")
        value = int(digits, base)
        value = -value if sign == "-" else value
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"integer overflow: {text!r}")
        return value
    if text.endswith("i"):
        raise ValueError(f"imaginary numbers are not supported: {text!r}")
    if _HEX_FLOAT.fullmatch(text):
        return _finite(text, float.fromhex(text.replace("_", "")))
    if _FLOAT.fullmatch(text) and any(char in text for char in ".eE"):
        return _finite(text, float(text.replace("_", "")))
    raise ValueError(f"bad number syntax: {text!r}")


def _finite(text: str, value: float) -> float:
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"float overflow: {text!r}")
    return value


def string(text: str) -> str:
    """The value of a quoted or raw string literal; raises ValueError."""
    if text[0] == "`":
        return text[1:-1].replace("\r", "")
    return text_from(_unquoted(text[1:-1], other="'"))


def char(text: str) -> int:
    """The code point of a rune literal; raises ValueError."""
    match = _ESCAPE.match(text, 1)
    if match and match.end() == len(text) - 1:
        simple, byte, octal, short, long, bad = match.groups()
        if bad is None and simple != '"':
            if byte or octal:
                return int(byte, 16) if byte else _octal(octal)
            return _SIMPLE[simple] if simple else _point(short or long)
    elif len(text) == 3:
        return ord(text[1])
    raise ValueError(f"malformed character constant: {text}")


def _unquoted(body: str, *, other: str) -> bytes:
    parts: list[bytes] = []
    at = 0
    for match in _ESCAPE.finditer(body):
        parts.append(body[at : match.start()].encode("utf-8", "surrogatepass"))
        at = match.end()
        simple, byte, octal, short, long, bad = match.groups()
        if bad is not None or simple == other:
            raise ValueError(f"invalid escape in string: {match.group()}")
        if simple or byte or octal:
            parts.append(bytes([_SIMPLE[simple] if simple else int(byte, 16) if byte else _octal(octal)]))
        else:
            parts.append(chr(_point(short or long)).encode())
    parts.append(body[at:].encode("utf-8", "surrogatepass"))
    return b"".join(parts)


def _octal(digits: str) -> int:
    value = int(digits, 8)
    if value > 255:
        raise ValueError(f"invalid escape in string: \\{digits}")
    return value


def _point(digits: str) -> int:
    value = int(digits, 16)
    if value > 0x10FFFF or 0xD800 <= value < 0xE000:
        raise ValueError(f"invalid escape in string: code point {digits}")
    return value
