"""How a template writes tool calls, inferred from what it renders. `markers.py` calls this."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from ollama_engine.output import probe as sentinel
from ollama_engine.output.probe import Probe
from ollama_engine.output.syntax import MARKER, CallSyntax, ThinkTags
from ollama_engine.output.tokens import common_end, common_start, tokens_of

_LIST_OPEN = re.compile(r"(?<!\w)\[\s*$")
"""A list's bracket is read by itself, unless a plain word needs it to be a marker."""
_LIST_CLOSE = re.compile(r"^\s*\]")
_NAME_PREFIX = re.compile(r"(?<=[>\]])\s*([\w.]+[.:])$")


def infer_call(probe: Probe, thinking: ThinkTags | None) -> CallSyntax | None:
    one = probe.calls(1)
    if one is None:
        return None
    two = probe.calls(2)
    text = two or one
    name = text.find(sentinel.NAMES[0])
    form = _json_form(text, name) or _named_form(text, name) or _tagged_form(text, name) or _python_form(text, name)
    form = form or _loose_form(text, name)
    if form is None:
        return None
    syntax, start, end = form
    before = _own_words(probe, text[:start], thinking)
    between: str | None = None
    after = text[end:]
    if two:
        other = two.find(sentinel.NAMES[1], end)
        second = _unit(syntax, two, other, end)
        if second:
            between, after = two[end : second[0]], two[second[1] :]
    return _around(syntax, before, between, _turn_end(probe, after))


Shape = tuple[CallSyntax, int, int]
"""A syntax without what stands around it, and where the call itself begins and ends."""


def _unit(syntax: CallSyntax, text: str, name: int, floor: int) -> tuple[int, int] | None:
    """Where another call of the same syntax begins and ends."""
    if name < 0:
        return None
    readers = {"json": _json_form, "named": _named_form, "tagged": _tagged_form, "loose": _loose_form}
    reader = readers.get(syntax.form)
    shape = reader(text, name, floor) if reader else None
    return shape[1:] if shape else None


def _json_form(text: str, name: int, floor: int = 0) -> Shape | None:
    """The smallest JSON object that holds the name as a value and the arguments."""
    start = name
    while (start := text.rfind("{", floor, start)) >= 0:
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            continue
        keys = _call_keys(value) if end > name else None
        if keys:
            name_key, arguments_key = keys
            return CallSyntax("json", name_key=name_key, arguments_key=arguments_key), start, end
    return None


def _call_keys(value: object) -> tuple[str, str] | None:
    """The keys of name and arguments in the JSON of a call; no second one where the arguments stand beside the name."""
    if not isinstance(value, dict):
        return None
    name_key = next((key for key, item in value.items() if item in sentinel.NAMES), None)
    if name_key is None:
        return next((keys for item in value.values() if (keys := _call_keys(item))), None)
    if sentinel.TEXT_KEY in value:
        return name_key, ""
    return next(((name_key, key) for key, item in value.items() if sentinel.TEXT_KEY in json.dumps(item)), None)


def _named_form(text: str, name: int, floor: int = 0) -> Shape | None:
    end = _name_end(text, name)
    start = text.find("{", end)
    if start < 0:
        return None
    try:
        value, close = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return None
    if not isinstance(value, dict) or sentinel.TEXT_KEY not in value:
        return None
    between = text[end:start]
    markers = MARKER.findall(between)  # what else stands there may be an id or a counter
    varies = bool(markers) and between.strip() != markers[-1]
    return CallSyntax("named", name_end=markers[-1] if varies else between), name, close


def _tagged_form(text: str, name: int, floor: int = 0) -> Shape | None:
    name_end = _name_end(text, name)
    places = [
        text.find(word, name_end)
        for word in (sentinel.TEXT_KEY, sentinel.TEXT, sentinel.NUMBER_KEY, str(sentinel.NUMBER))
    ]
    if -1 in places or places != sorted(places):
        return None
    key, value, other_key, other_value = places
    to_key = text[name_end:key]
    to_value = text[key + len(sentinel.TEXT_KEY) : value]
    to_other = text[value + len(sentinel.TEXT) : other_key]
    quoted = to_value.endswith('"') and to_other.startswith('"')
    if quoted:
        to_value, to_other = to_value[:-1], to_other[1:]
    opener = "".join(common_end(tokens_of(to_key), tokens_of(to_other))).lstrip(">|]}) \n\t\"'")
    if not opener.strip():
        return None
    close = to_other.removesuffix(opener).strip()
    close = (MARKER.match(close) or re.match(r"\S+", close) or re.match("", close)).group()  # type: ignore[union-attr]
    if not close:
        return None
    end = text.find(close, other_value) + len(close)
    syntax = CallSyntax(
        "tagged",
        name_end=to_key.removesuffix(opener).strip(),
        param_open=opener.strip(),
        param_mid=to_value.strip(),
        param_close=close,
        padded=to_value.endswith("\n"),
        json_values=quoted,
    )
    return (syntax, name, end) if end >= len(close) else None


def _python_form(text: str, name: int) -> Shape | None:
    end = name + len(sentinel.NAMES[0])
    if text[end : end + 1] != "(":
        return None
    last = text.rfind(str(sentinel.NUMBER))
    close = text.find(")", last) + 1
    if close <= 0:
        return None
    listed = text[name - 1 : name] == "[" and text[close : close + 1] == "]"
    start, close = (name - 1, close + 1) if listed else (name, close)
    return CallSyntax("python", listed=listed), start, close


def _loose_form(text: str, name: int, floor: int = 0) -> Shape | None:
    start = text.find("{", name)
    key = text.find(sentinel.TEXT_KEY, name)
    value = text.find(sentinel.TEXT, key)
    other = text.find(str(sentinel.NUMBER), value)
    end = text.find("}", other) + 1
    if start < 0 or not start < key < value < other < end or text[start + 1 : key].strip():
        return None
    quote = text[key + len(sentinel.TEXT_KEY) : value].strip().removeprefix(":").strip()
    return CallSyntax("loose", quote=quote, name_end=text[_name_end(text, name) : start].strip()), name, end


def _name_end(text: str, name: int) -> int:
    match = re.compile(r"\w+").match(text, name)
    return match.end() if match else name


def _own_words(probe: Probe, before: str, thinking: ThinkTags | None) -> str:
    """`before` without the turn's header and an empty thinking block: what the assistant itself would write."""
    if thinking and thinking.close in before:
        return before.rpartition(thinking.close)[2]
    tokens = tokens_of(before)
    headers = [probe.prompt(None) or "", probe.prompt(True) or "", (probe.content or "").partition(sentinel.CONTENT)[0]]
    return "".join(tokens[max(len(common_start(tokens, tokens_of(header))) for header in headers) :])


def _turn_end(probe: Probe, after: str) -> str:
    """`after` up to where the turn ends: the end marker of a turn with content, or the next turn's header."""
    prompt = probe.prompt(None) or ""
    tail = (probe.content or "").partition(sentinel.CONTENT)[2]
    words = tokens_of(tail.lstrip())
    for count in range(len(words), 2, -1):
        if (words_again := "".join(words[:count])) in after:
            return after.partition(words_again)[0]
    ending = MARKER.search(tail)
    turns = {*MARKER.findall(prompt), *([ending.group()] if ending else [])}
    places = [after.find(marker) for marker in turns if marker in after]
    if places:
        return after[: min(places)]
    following = "".join(common_end(tokens_of(after), tokens_of(prompt)))
    return after.removesuffix(following) if following.strip() else after


def _around(syntax: CallSyntax, before: str, between: str | None, after: str) -> CallSyntax:
    """`syntax` with its openers and closers, told apart by what comes again between two calls."""
    if between is None:
        opener, closer, block_open, block_close = before, after, "", ""
    else:
        opener = "".join(common_end(tokens_of(before), tokens_of(between)))
        closer = "".join(common_start(tokens_of(between.removesuffix(opener)), tokens_of(after)))
        block_open, block_close = before.removesuffix(opener), after.removeprefix(closer)
    prefix = ""
    if syntax.form in ("named", "loose") and (match := _NAME_PREFIX.search(opener)):
        opener, prefix = opener[: match.start()], match.group(1)
    listed = syntax.form == "json" and bool(_LIST_OPEN.search(block_open or opener))
    if listed:
        opener = opener if block_open else _LIST_OPEN.sub("", opener)
        closer = closer if block_open else _LIST_CLOSE.sub("", closer)
        block_open, block_close = _LIST_OPEN.sub("", block_open), _LIST_CLOSE.sub("", block_close)
    return replace(
        syntax,
        block_open=block_open.lstrip(),
        call_open=opener if block_open.strip() and opener.strip() else opener.lstrip(),
        call_close=closer.rstrip(),
        block_close=block_close.rstrip(),
        name_prefix=prefix,
        listed=listed or syntax.listed,
    )
