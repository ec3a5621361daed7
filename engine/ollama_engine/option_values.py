"""A value of an option, as JSON or as text, made what the option's kind says. Used by options.py alone.

JSON values are taken as Go takes them: an integer option accepts any number and cuts its fraction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from ollama_engine.errors import InvalidRequest

Kind = Literal["integer", "float32", "boolean", "array", "numbers", "names", "word", "object"]
"""What a value is, in Go's word for it where Go has one. An `array` is of strings; `numbers` and `names` may be one
alone as well, or several in a text with commas; a `word` is one of a few."""
Value = int | float | bool | str | None | tuple[str, ...] | tuple[float, ...] | dict[int, float]
Words = Mapping[str, int | str | bool | None]
"""What may be written for an option, in lower case, and the values that it stands for. Beside numbers, where the kind
is one; a boolean counts as `on` or `off`."""

MAX_BIAS = 100.0
"""What OpenAI's API allows; it decides over any logit that a model gives."""
_INT32 = 2**31 - 1
_FLOAT32_MAX = 3.4028234663852886e38
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?")
_TOKEN = re.compile(r"[0-9]{1,9}")
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_EXAMPLES: Mapping[Kind, str] = {
    "object": '{"1734": -5}',
    "array": '["###"]',
    "numbers": "[0.5, 1]",
    "names": '["CUDA0"]',
    "boolean": "true",
    "integer": "40",
    "float32": "0.5",
}


def from_json(name: str, kind: Kind, words: Words, value: Any) -> Value:
    """The value of option `name`, from JSON.

    Raises:
        InvalidRequest: it is not of this kind, or no finite number.
    """
    if (word := _word(value)) in words:
        return words[word]
    match kind:
        case "word":
            raise _no_word(name, words, value)
        case "object" if isinstance(value, dict):
            return dict(_bias(name, token, bias) for token, bias in value.items())
        case "boolean" if isinstance(value, bool):
            return value
        case "array" if isinstance(value, list | tuple):
            return _texts(name, value)
        case "names":
            items = _texts(name, [value] if isinstance(value, str) else value)
            return tuple(part for item in items for part in _split(item))
        case "numbers":
            numbers = value if isinstance(value, list | tuple) else [value]
            if not all(isinstance(item, int | float) and not isinstance(item, bool) for item in numbers):
                raise wrong_type(name, kind, "an array of numbers")
            return tuple(float(_number(name, "float32", item)) for item in numbers)
        case "integer" | "float32" if isinstance(value, int | float) and not isinstance(value, bool):
            return _number(name, kind, value)
        case _:
            raise wrong_type(name, kind, f"type {kind}")


def from_text(name: str, kind: Kind, words: Words, text: str) -> int | float | bool | str | list[str] | list[float]:
    """The value of `PARAMETER name text` as JSON would have it; a list where a further line adds to it.

    Raises:
        InvalidRequest: the text is not of this kind.
    """
    word = _word(_BOOLEANS.get(text, text) if kind == "word" else text)
    if word in words:
        meant = words[word]
        return word if kind == "word" or meant is None else meant
    match kind:
        case "array":
            return [text]
        case "names":
            return _split(text)
        case "integer":
            if not _INTEGER.fullmatch(text):
                raise InvalidRequest(f"invalid int value [{text}]", hint=f"{name} takes a whole number{_or(words)}.")
            return int(text)
        case "float32":
            return _float(name, text)
        case "numbers":
            return [_float(name, part) for part in _split(text)]
        case "boolean":
            if text not in _BOOLEANS:
                raise InvalidRequest(f"invalid bool value [{text}]", hint=f"{name} takes true or false.")
            return _BOOLEANS[text]
        case "word":
            raise _no_word(name, words, text)
        case "object":
            raise InvalidRequest(f"{name} is no PARAMETER", hint="A request says it, in its options.")


def wrong_type(name: str, kind: Kind, wanted: str) -> InvalidRequest:
    return InvalidRequest(f'option "{name}" must be of {wanted}', hint=f"For example {name}: {_EXAMPLES[kind]}.")


def _word(value: Any) -> str:
    """What stands in Words for a value; empty for what is no word."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return value.strip().lower() if isinstance(value, str) else ""


def _no_word(name: str, words: Words, value: Any) -> InvalidRequest:
    return InvalidRequest(f'option "{name}" cannot be {value!r}', hint=f"{name} is one of: {', '.join(words)}.")


def _or(words: Words) -> str:
    return "".join(f" or {word}" for word in words)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise wrong_type(name, "array" if name == "stop" else "names", "an array of strings")
    return tuple(value)


def _float(name: str, text: str) -> float:
    if not _FLOAT.fullmatch(text) or abs(float(text)) > _FLOAT32_MAX:
        raise InvalidRequest(f"invalid float value [{text}]", hint=f"{name} takes a number such as 0.5.")
    return float(text)


def _number(name: str, kind: Literal["integer", "float32"], value: int | float) -> int | float:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f'option "{name}" must be a finite number', hint=f"Leave {name} out for its default.")
    if kind == "float32":
        if abs(value) > _FLOAT32_MAX:
            raise InvalidRequest(f'option "{name}" is too large', hint=f"Leave {name} out for its default.")
        return float(value)
    whole = int(value)
    if name == "seed":
        # llama.cpp's seed has 32 bits; a longer one still means the same seed every time.
        return whole if -(2**31) <= whole < 2**32 else whole % 2**32
    return max(-_INT32, min(whole, _INT32))


def _bias(name: str, token: Any, bias: Any) -> tuple[int, float]:
    """An entry of `logit_bias`: JSON has the token's number as text."""
    if not _TOKEN.fullmatch(str(token)):
        raise InvalidRequest(
            f'option "{name}" has the key {token!r}, which is no token', hint="Its keys are the numbers of tokens."
        )
    if isinstance(bias, bool) or not isinstance(bias, int | float) or not abs(bias) <= MAX_BIAS:
        raise InvalidRequest(
            f'option "{name}" has {bias!r} for token {token}',
            hint=f"A bias is a number from {-MAX_BIAS:.0f} to {MAX_BIAS:.0f}.",
        )
    return int(token), float(bias)
