"""Durations as Go writes them: `300ms`, `1h30m`, `5m0s`.

Ollama's API, its environment and its command line speak them (spec §1.12, §4). Settings, scheduler and the
server parse keep-alives here; the command line prints with `format_duration`.
"""

from __future__ import annotations

import math
import re

from ollama_engine.errors import InvalidRequest
from ollama_engine.types import KeepAlive

DEFAULT_KEEP_ALIVE = 300.0
"""Seconds an idle model stays in memory where nobody says otherwise."""

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_LONGEST = 2**63 - 1
_HINT = 'Write it like "30s", "10m" or "1h30m".'


def parse_duration(text: str) -> float:
    """Seconds in a Go duration: numbers, each with a unit (`ns us ms s m h`), perhaps a sign in front.

    A bare number has no unit and is refused, `"0"` alone excepted (Go's time.ParseDuration).

    Raises:
        InvalidRequest: naming the text.
    """
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0.0
    if not body:
        raise _invalid(f'time: invalid duration "{text}"')
    total = 0
    position = 0
    while position < len(body):
        term = _TERM.match(body, position)
        if term is None or not (term[1] or term[2]):
            raise _invalid(f'time: invalid duration "{text}"')
        total += _term_nanoseconds(term[1], term[2] or "", term[3], text)
        position = term.end()
    if total > _LONGEST:
        raise _invalid(f'time: invalid duration "{text}"')
    return sign * total / 1e9


def _term_nanoseconds(whole: str, fraction: str, unit: str, text: str) -> int:
    if not unit:
        raise _invalid(f'time: missing unit in duration "{text}"')
    if unit not in _NANOSECONDS:
        raise _invalid(f'time: unknown unit "{unit}" in duration "{text}"')
    if len(whole) > 19:
        raise _invalid(f'time: invalid duration "{text}"')
    scale = _NANOSECONDS[unit]
    # 18 digits behind the point are more than a nanosecond of any unit can tell.
    digits = fraction[:18]
    return int(whole or "0") * scale + (int(digits) * scale // 10 ** len(digits) if digits else 0)


def format_duration(seconds: float) -> str:
    """Text like Go's Duration.String: `5m0s`, `1.5s`, `300ms`, `0s`; infinity is the longest Go knows."""
    if math.isnan(seconds):
        raise ValueError("a duration cannot be NaN")
    if math.isinf(seconds) or abs(seconds) * 1e9 >= _LONGEST:
        return format_nanoseconds(_LONGEST if seconds > 0 else -_LONGEST)
    return format_nanoseconds(round(seconds * 1e9))


def format_nanoseconds(nanoseconds: int) -> str:
    """As `format_duration`, for the whole nanoseconds that metrics carry."""
    if nanoseconds < 0:
        return "-" + format_nanoseconds(-nanoseconds)
    if nanoseconds == 0:
        return "0s"
    for unit, scale in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < scale * 1_000:
            return f"{_decimal(nanoseconds, scale)}{unit}"
    minutes, rest = divmod(nanoseconds, _NANOSECONDS["m"])
    text = f"{_decimal(rest, _NANOSECONDS['s'])}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return text


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    if not rest:
        return str(whole)
    fraction = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0")
    return f"{whole}.{fraction}"


def parse_keep_alive(value: KeepAlive, *, default: float = DEFAULT_KEEP_ALIVE) -> float:
    """Seconds that `keep_alive` of a request asks for (spec §1.12): 0 unloads when idle, `math.inf` never.

    A number is seconds, a string a Go duration, anything negative forever, None `default`.

    Raises:
        InvalidRequest: a string that is no duration, or another JSON type.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidRequest(
            f"Unsupported type: '{_go_type(value)}'", hint='keep_alive is seconds or a duration such as "5m".'
        )
    if isinstance(value, str):
        return _forever_if_negative(parse_duration(value))
    if isinstance(value, float) and math.isnan(value):
        raise InvalidRequest("keep_alive cannot be NaN", hint='keep_alive is seconds or a duration such as "5m".')
    return _forever_if_negative(value)


def parse_env_keep_alive(text: str) -> float:
    """Seconds that OLLAMA_KEEP_ALIVE asks for (spec §4): a duration or plain seconds; negative is `math.inf`.

    Raises:
        InvalidRequest: naming the text (Ollama falls back to five minutes without a word).
    """
    if re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?", text):
        return _forever_if_negative(float(text))
    return _forever_if_negative(parse_duration(text))


def _forever_if_negative(seconds: float) -> float:
    # Go counts nanoseconds in 64 bits; what does not fit (an integer of a thousand digits) never ends either.
    if seconds < 0 or seconds * 1_000_000_000 > _LONGEST:
        return math.inf
    return float(seconds)


def _go_type(value: object) -> str:
    """The name Go gives the type that a JSON value decodes to."""
    if isinstance(value, bool):
        return "bool"
    return {"list": "[]interface {}", "dict": "map[string]interface {}"}.get(type(value).__name__, type(value).__name__)


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, hint=_HINT)
