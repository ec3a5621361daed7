"""The reading of an answer in which markers may stand anywhere. `parser.OutputParser` drives it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from ollama_engine.output.calls import CallReader, Found
from ollama_engine.output.reader import MISS, AnyOf, Reader, Reading
from ollama_engine.output.syntax import CallSyntax, ThinkTags, pieces
from ollama_engine.output.values import NamedCall, Tools

_TRAILING_SPACE = re.compile(r"\s*\Z")


class Sink(Protocol):
    """Takes what an answer is made of, in order."""

    def content(self, text: str) -> None: ...

    def thinking(self, text: str) -> None: ...

    def call(self, call: NamedCall) -> None: ...


class AnswerReader:
    """The reading of an answer in which markers may stand anywhere: a generator that waits for text by yielding."""

    def __init__(
        self,
        reader: Reader,
        tools: Tools,
        thinking: ThinkTags | None,
        calls: tuple[CallSyntax, ...],
        wrappers: tuple[str, ...],
        sink: Sink,
    ) -> None:
        self._content, self._thought, self._call = sink.content, sink.thinking, sink.call
        self._reader = reader
        self._tools = tools
        self._calls = CallReader(reader, tools)
        self._tags = thinking
        self._bare = tuple(syntax for syntax in calls if syntax.bare)
        self._wrappers = wrappers
        self._triggers: dict[str, list[CallSyntax]] = {wrapper: [] for wrapper in wrappers}
        for syntax in calls:
            for opener in syntax.openers:
                self._triggers.setdefault(opener, []).append(syntax)
        self._trigger = AnyOf(self._triggers)
        self._tag_triggers = [opener for opener in self._triggers if opener.startswith("<")]

    def read(self, *, starts_in_thinking: bool) -> Generator[None, None, None]:
        if starts_in_thinking:
            yield from self._think(opened=True)
        while True:
            yield from self._begin()
            if not (yield from self._body()):
                return

    def _begin(self) -> Reading[None]:
        """The start of an answer, or of what follows a call: thinking, or a call that nothing announces."""
        reader = self._reader
        at = yield from reader.skip_space(0)
        if self._tags and self._tags.open:
            end = yield from reader.literal(at, self._tags.open)
            if end != MISS:
                reader.take(end)
                yield from self._think(opened=False)
                at = yield from reader.skip_space(0)
        for syntax in self._bare:
            if (yield from self._calls.may_be_call(at, syntax)) and (yield from self._block(at, syntax, known=True)):
                at = yield from reader.skip_space(0)

    def _think(self, *, opened: bool) -> Reading[None]:
        """Thinking up to its closing tag, or to a call by a tool's name that the model makes without closing it."""
        reader = self._reader
        assert self._tags is not None  # read() and _begin() look before they come here
        close = self._tags.close
        at = yield from reader.skip_space(0)
        if opened and self._tags.open:  # some models write the tag again that the prompt already has
            end = yield from reader.literal(at, self._tags.open)
            at = at if end == MISS else (yield from reader.skip_space(end))
        reader.take(at)
        stops = AnyOf([pieces(close)[0], *self._tag_triggers])
        while True:
            match = yield from self._search(stops, self._thought)
            if match is None:
                return
            end = yield from reader.literal(match.end, close)
            if end != MISS:
                reader.take(end)
                reader.take((yield from reader.skip_space(0)))
                return
            for syntax in self._triggers.get(match.marker, ()):
                if (yield from self._block(match.end, syntax, known=True)):
                    return
            self._thought(reader.take(match.end + 1))

    def _body(self) -> Reading[bool]:
        """Content up to a call; True after one, False at the end of the answer."""
        reader = self._reader
        while True:
            match = yield from self._search(self._trigger, self._content)
            if match is None:
                return False
            if match.marker in self._wrappers:
                reader.take(match.end + len(match.marker))
                continue
            reader.cut = False
            for syntax in self._triggers[match.marker]:
                if (yield from self._block(match.end, syntax, known=not syntax.unmistakable)):
                    return True
            if reader.ended and reader.cut:  # cut off in the middle of a call: all of it is text
                self._content(reader.take(len(reader.text)))
                return False
            self._content(reader.take(match.end + 1))

    def _search(self, triggers: AnyOf, emit: Callable[[str], None]) -> Reading[_Match | None]:
        """Emit text up to the next trigger; the whitespace before it stays, for it goes with the marker.

        Returns None at the end of the answer, all text emitted.
        """
        reader = self._reader
        while True:
            found = triggers.pattern.search(reader.text)
            end = found.start() if found else triggers.certain(reader.text)
            space = _TRAILING_SPACE.search(reader.text, 0, end)
            start = space.start() if space else end
            emit(reader.take(start))
            if found:
                return _Match(found.group(), end - start)
            if reader.ended:
                emit(reader.take(len(reader.text)))
                return None
            yield

    def _block(self, at: int, syntax: CallSyntax, *, known: bool = False) -> Reading[bool]:
        """Emit the calls that begin at `at` and remove them from the text, if there are any.

        Args:
            known: take only a first call that names one of the request's tools.
        """
        reader = self._reader
        found = yield from self._calls.first(at, syntax)
        if found is None or (known and not all(name in self._tools for name, _ in found.calls)):
            return False
        in_list = False
        while found is not None:
            for call in found.calls:
                self._call(call)
            reader.take(found.end)
            in_list = in_list or found.in_list
            found = yield from self._further(syntax, in_list, known=known)
        return True

    def _further(self, syntax: CallSyntax, in_list: bool, *, known: bool) -> Reading[Found | None]:
        """The next call of the block; what closes the last one is removed, or what closes the block."""
        reader = self._reader
        reader.take((yield from self._skip_closers(syntax, in_list)))
        at = 0
        if (yield from reader.char(at)) in (",", ";"):
            at = yield from reader.skip_space(1)
        announced = bool(syntax.call_open) or in_list or (syntax.form == "python" and not syntax.bare)
        if not announced and (yield from reader.char(at)) not in ("{", "["):
            return None
        found = yield from self._calls.next(at, syntax, in_list=in_list)
        if found and known and not all(name in self._tools for name, _ in found.calls):
            return None
        return found

    def _skip_closers(self, syntax: CallSyntax, in_list: bool) -> Reading[int]:
        reader = self._reader
        at = yield from reader.skip_space(0)
        closers = [*pieces(syntax.call_close), *pieces(syntax.block_close)]
        if in_list:
            closers.append("]")
        while closers:
            for closer in closers:
                end = yield from reader.literal(at, closer)
                if end != MISS:
                    closers.remove(closer)
                    at = yield from reader.skip_space(end)
                    break
            else:
                break
        return at


@dataclass(frozen=True)
class _Match:
    marker: str
    end: int
    """Where the marker begins: the end of the whitespace before it."""
