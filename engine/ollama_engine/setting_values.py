"""How the text of a setting reads: a function for each kind of value. ValueError where a text is none of its kind.

Ollama's variables keep Ollama's meaning (its envconfig): an unparsable boolean is true.
"""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass
from pathlib import Path

from ollama_engine.durations import parse_env_keep_alive


@dataclass(frozen=True)
class Choice:
    """Reads one of some words."""

    words: tuple[str, ...]

    def __call__(self, value: str) -> str:
        if value.lower() not in self.words:
            raise ValueError(f"it is one of {', '.join(self.words)}")
        return value.lower()


def text(value: str) -> str:
    return value


def path(value: str) -> Path:
    return Path(value).expanduser()


def count(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(f"{value} is negative")
    return number


def positive(value: str) -> int:
    if not (number := count(value)):
        raise ValueError("it is at least 1")
    return number


def boolean(value: str) -> bool:
    """Go's ParseBool, where anything else that is not empty counts as true."""
    return value.lower() not in {"0", "f", "false"}


def optional_boolean(value: str) -> bool | None:
    return boolean(value)


def flash_attention(value: str) -> bool | None:
    """Ollama's variable is a boolean; the words are llama.cpp's."""
    return {"auto": None, "on": True, "off": False}.get(value.lower(), boolean(value))


def words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def load_timeout(value: str) -> float:
    seconds = parse_env_keep_alive(value)
    return math.inf if seconds <= 0 else seconds


_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_BYTES = re.compile(r"(\d{1,18})\s*([KMGT]?)(i?B)?", re.IGNORECASE)


def byte_count(value: str) -> int:
    """A number of bytes; `K`, `M`, `G` and `T` are powers of 1024."""
    match = _BYTES.fullmatch(value)
    if match is None:
        raise ValueError("a number of bytes is written as 1000000, 64M or 1G")
    return int(match[1]) << _UNITS[match[2].upper()]


def seconds(value: str) -> float:
    seconds = parse_env_keep_alive(value)
    if not 0 < seconds < math.inf:
        raise ValueError("a time is written as 30, 90s or 2m")
    return seconds


def networks(value: str) -> tuple[str, ...]:
    for word in words(value):
        ipaddress.ip_network(word)
    return words(value)
