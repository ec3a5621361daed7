"""The commands that begin with a slash, at the prompt of `run` and of the Chat pane: their words, and what they set.

Words and meaning are Ollama's (spec §3).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ollama_engine.checks import THINK_LEVELS
from ollama_engine.errors import InvalidRequest
from ollama_engine.options import OPTION_KINDS, Deprecated, parse_parameter

COMMANDS = ("/set", "/show", "/load", "/save", "/list", "/clear", "/bye", "/exit", "/help", "/?")
SETTINGS = (
    "parameter",
    "system",
    "history",
    "nohistory",
    "wordwrap",
    "nowordwrap",
    "format",
    "noformat",
    "verbose",
    "quiet",
    "think",
    "nothink",
)
PARTS = ("info", "license", "modelfile", "parameters", "system", "template")
PARAMETERS = tuple(name for name, kind in OPTION_KINDS.items() if kind != "object")
QUOTES = '"""'
_WORDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("/set",): SETTINGS,
    ("/set", "parameter"): PARAMETERS,
    ("/set", "format"): ("json",),
    ("/set", "think"): ("low", "medium", "high", "max"),
    ("/show",): PARTS,
    ("/help",): ("set", "show", "shortcuts"),
    ("/?",): ("set", "show", "shortcuts"),
}


def next_words(before: Sequence[str], models: Iterable[str], commands: Sequence[str] = COMMANDS) -> Sequence[str]:
    """What may follow these words; `commands` where there are none."""
    if not before:
        return commands
    if tuple(before) == ("/load",):
        return tuple(models)
    return _WORDS.get(tuple(before), ())


def is_command(text: str) -> bool:
    """Whether a prompt is a command, and not a path that begins with a slash."""
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return first.startswith("/") and "/" not in first[1:] and text.startswith("/")


def without_quotes(text: str) -> str:
    """What stands between three quotes; other text as it is, without the line ends behind a paste."""
    if not text.startswith(QUOTES):
        return text.rstrip("\n")
    return text.removeprefix(QUOTES).rstrip(" \t").removesuffix(QUOTES)


def system_message(line: str) -> str:
    """What `/set system` says, with three quotes around it or none."""
    rest = line.split(maxsplit=2)[2:]
    return without_quotes(rest[0]).strip() if rest else ""


def think_of(level: str) -> bool | str:
    """`true`, `false` or a level; InvalidRequest."""
    if level not in ("", "true", "false", *THINK_LEVELS):
        levels = ", ".join(THINK_LEVELS)
        raise InvalidRequest(f'invalid think value: "{level}" (must be {levels}, true, or false)')
    return {"": True, "true": True, "false": False}.get(level, level)


def format_of(text: str) -> Any:
    """`json`, or a JSON schema; InvalidRequest."""
    text = text.strip()
    if text == "json":
        return "json"
    try:
        schema = json.loads(text)
    except ValueError:
        schema = None
    if not isinstance(schema, dict):
        raise InvalidRequest("Invalid or missing format. For 'json' mode use '/set format json'")
    return schema


def parameter_of(name: str, values: Sequence[str]) -> Any:
    """The value of an option from words; InvalidRequest. A Deprecated says that the option does nothing."""
    parsed = [parse_parameter(name, value) for value in (values if name == "stop" else values[:1])]
    return list(values) if name == "stop" and not isinstance(parsed[0], Deprecated) else parsed[0]
