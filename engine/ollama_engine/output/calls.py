"""One tool call read from the text, in any of the forms of `syntax.Form`. `parser.OutputParser` calls it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ollama_engine.output.reader import MISS, Reader, Reading
from ollama_engine.output.syntax import CallSyntax, pieces
from ollama_engine.output.values import (
    ARGUMENT_KEYS,
    NAME_KEYS,
    NamedCall,
    Tools,
    call_of,
    load_json,
    load_loose,
    load_python,
    named_arguments,
)
from ollama_engine.types import JSON

_NAME = re.compile(r"[^\s<>\"'{}()\[\],=|｜]")
_KEY = re.compile(r"[^\s<>\"'{}()=]")
_HEAD = re.compile(r"[^{]")
_HEAD_LIMIT = 200
_KEY_LIMIT = 4096
"""Characters: behind its opening marker nothing else than a key can stand."""
_FIRST_KEYS = frozenset((*NAME_KEYS, *ARGUMENT_KEYS, "id", "type", "tool_call_id", "call_id"))
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class Found:
    """Calls that stand in the text up to `end`; `in_list` where the `[` before them is still open."""

    calls: tuple[NamedCall, ...]
    end: int
    in_list: bool = False


class CallReader:
    """Reads calls at a position of a `Reader`; every method returns None where the text is no call."""

    def __init__(self, reader: Reader, tools: Tools) -> None:
        self._reader = reader
        self._tools = tools

    def first(self, at: int, syntax: CallSyntax) -> Reading[Found | None]:
        """The first call of a block, its opening markers included; the block's own may be missing."""
        inside = yield from self._reader.literal(at, syntax.block_open)
        if inside != MISS:
            found = yield from self.next(inside, syntax)
            if found or not syntax.block_open:
                return found
        if not syntax.call_open:
            return None
        return (yield from self.next(at, syntax))

    def next(self, at: int, syntax: CallSyntax, *, in_list: bool = False) -> Reading[Found | None]:
        """A further call of a block; whitespace may stand before it, and nothing need announce it in a list."""
        reader = self._reader
        at = yield from reader.skip_space(at)
        if in_list and (yield from reader.char(at)) == "{":
            return (yield from self._object(at, syntax))
        at = yield from reader.literal(at, syntax.call_open)
        if at == MISS:
            return None
        at = yield from reader.skip_space(at)
        char = yield from reader.char(at)
        if char == "[":
            inner = yield from reader.skip_space(at + 1)
            if (yield from reader.char(inner)) == "{":
                found = yield from self._object(inner, syntax)
                return Found(found.calls, found.end, in_list=True) if found else None
            return (yield from self._python(at, syntax)) if syntax.form == "python" else None
        if char == "{":
            return (yield from self._object(at, syntax))
        match syntax.form:
            case "json":
                return None
            case "python":
                return (yield from self._python(at, syntax))
            case _:
                return (yield from self._after_name(at, syntax))

    def may_be_call(self, at: int, syntax: CallSyntax) -> Reading[bool]:
        """Whether an object or list that begins as a call does, by a usual key or a tool's name, stands at `at`."""
        reader = self._reader
        char = yield from reader.char(at)
        if char == "[":
            at = yield from reader.skip_space(at + 1)
            if (char := (yield from reader.char(at))) != "{":
                end = yield from reader.run(at, _NAME)
                return end != MISS and reader.text[at:end] in self._tools
        if char != "{":
            return False
        at = yield from reader.skip_space(at + 1)
        if (yield from reader.char(at)) != '"':
            return False
        end = yield from reader.string_end(at)
        key = "" if end == MISS else load_json(reader.text[at:end])
        usual = key in _FIRST_KEYS or key in self._tools
        return usual or bool(key and key in (syntax.name_key, syntax.arguments_key))

    def _object(self, at: int, syntax: CallSyntax) -> Reading[Found | None]:
        end = yield from self._reader.json_end(at)
        if end == MISS:
            return None
        value = load_json(self._reader.text[at:end])
        call = call_of(value, self._tools, syntax.name_key, syntax.arguments_key)
        if call is None:
            return None
        return Found(() if call[0] in syntax.ignored and call[0] not in self._tools else (call,), end)

    def _python(self, at: int, syntax: CallSyntax) -> Reading[Found | None]:
        end = yield from self._balanced_end(at)
        if end == MISS:
            return None
        text = self._reader.text[at:end]
        calls = [(self._tools.clean(name), arguments) for name, arguments in load_python(text) or ()]
        program = not text.startswith("[") and not (syntax.call_close or syntax.block_close)
        if not calls or (program and not all(name in self._tools for name, _ in calls)):
            return None  # code for an interpreter calls functions too
        return Found(tuple(calls), end)

    def _balanced_end(self, at: int) -> Reading[int]:
        """The end of `[...]` or `name(...)`, with strings and brackets in it."""
        reader = self._reader
        if (yield from reader.char(at)) != "[":
            at = yield from reader.run(at, _NAME)
            if at == MISS or (yield from reader.char(at)) != "(":
                return MISS
        depth = 0
        while (yield from reader.has(at)):
            char = reader.text[at]
            if char in "\"'":
                at = yield from reader.string_end(at)
                if at == MISS:
                    return MISS
                continue
            depth += (char in _OPENING) - (char in _CLOSING)
            at += 1
            if depth == 0:
                return at
            if depth > 100 or char == "<":
                return MISS
        return MISS

    def _after_name(self, at: int, syntax: CallSyntax) -> Reading[Found | None]:
        """A call whose name comes first."""
        reader = self._reader
        end = yield from reader.run(at, _NAME)
        if end == MISS:
            return None
        name = self._tools.clean(reader.text[at:end], syntax.name_prefix)
        if not name:
            return None
        if syntax.form == "tagged":
            return (yield from self._tagged(end, name, syntax))
        if syntax.form == "loose":
            return (yield from self._loose(end, name, syntax))
        return (yield from self._named(end, name, syntax))

    def _named(self, at: int, name: str, syntax: CallSyntax) -> Reading[Found | None]:
        reader = self._reader
        start = at
        if (yield from reader.char(at)) != "{":
            start = yield from reader.run(at, _HEAD, _HEAD_LIMIT)
        if start == MISS or not reader.text[at:start].strip().endswith(syntax.name_end.strip()):
            return None
        end = yield from reader.json_end(start)
        value = None if end == MISS else load_json(reader.text[start:end])
        if not isinstance(value, dict):
            return None
        return Found(((name, named_arguments(value, name, self._tools)),), end)

    def _loose(self, at: int, name: str, syntax: CallSyntax) -> Reading[Found | None]:
        reader = self._reader
        start = at = yield from reader.literal(at, syntax.name_end)
        if at == MISS or (yield from reader.char(at)) != "{":
            return None
        depth = 0
        while (yield from reader.has(at)):
            char = reader.text[at]
            if syntax.quote.startswith(char):
                inside = yield from reader.literal(at, syntax.quote)
                if inside != MISS:
                    close = yield from reader.find(inside, syntax.quote)
                    if close == MISS:
                        return None
                    at = close + len(syntax.quote)
                    continue
            depth += (char in _OPENING) - (char in _CLOSING)
            at += 1
            if depth == 0:
                arguments = load_loose(reader.text[start:at], syntax.quote)
                return None if arguments is None else Found(((name, arguments),), at)
        return None

    def _tagged(self, at: int, name: str, syntax: CallSyntax) -> Reading[Found | None]:
        reader = self._reader
        at = yield from reader.skip_space(at)
        at = yield from reader.literal(at, syntax.name_end)
        if at == MISS:
            return None
        arguments: JSON = {}
        while True:
            at = yield from reader.skip_space(at)
            inside = yield from reader.literal(at, syntax.param_open)
            if inside == MISS:
                break
            argument = yield from self._argument(inside, name, syntax)
            if argument is None:
                return None
            key, value, at = argument
            arguments[key] = value
        close = pieces(syntax.call_close)
        if not close:
            return Found(((name, arguments),), at)
        end = yield from reader.literal(at, close[0])
        return None if end == MISS else Found(((name, arguments),), end)

    def _argument(self, at: int, name: str, syntax: CallSyntax) -> Reading[tuple[str, object, int] | None]:
        """Key, value and end of an argument whose opening marker was read."""
        reader = self._reader
        at = yield from reader.skip_space(at)
        end = yield from reader.run(at, _KEY, _KEY_LIMIT)
        if end == MISS:
            return None
        key = reader.text[at:end]
        at = yield from reader.skip_space(end)
        start = yield from reader.literal(at, syntax.param_mid)
        if start == MISS:
            return None
        at = start
        while True:
            close = yield from reader.find(at, syntax.param_close)
            if close == MISS:
                return None
            after = yield from reader.skip_space(close + len(syntax.param_close))
            if (yield from self._ends_argument(after, syntax)):
                break
            at = close + 1  # the value itself holds the closing marker
        text = reader.text[start:close]
        if syntax.padded:
            text = text.removeprefix("\n").removesuffix("\n")
        value = load_json(text) if syntax.json_values else None
        return key, self._tools.value(name, key, text) if value is None else value, after

    def _ends_argument(self, at: int, syntax: CallSyntax) -> Reading[bool]:
        """Whether a new argument, or the end of the call, begins at `at`."""
        markers = [pieces(syntax.param_open)[0], *pieces(syntax.call_close)[:1]]
        if len(markers) == 1:
            return True
        for marker in markers:
            if (yield from self._reader.literal(at, marker)) != MISS:
                return True
        return False
