"""The way in: an answer's text, as it comes, to content, thinking and tool calls.

The engine makes one `OutputParser` for each answer, pushes every piece of text into it and sends on the events.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Generator
from dataclasses import dataclass

from ollama_engine.output.answer import AnswerReader
from ollama_engine.output.harmony import read_harmony
from ollama_engine.output.reader import Reader
from ollama_engine.output.syntax import Markers
from ollama_engine.output.values import NamedCall, Tools
from ollama_engine.types import JSON, Think, ToolCall, ToolCallFunction

_ID_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Content:
    text: str


@dataclass(frozen=True)
class Thinking:
    text: str


@dataclass(frozen=True)
class Call:
    call: ToolCall


Event = Content | Thinking | Call


def new_call_id() -> str:
    """`call_` and eight of a-z0-9, as Ollama names calls (spec §1.4)."""
    return "call_" + "".join(secrets.choice(_ID_LETTERS) for _ in range(8))


class OutputParser:
    """Splits one answer.

    Text is held back only while it may still become a marker or a call. A call that turns out to be none, or that
    the end of the answer cuts off, comes back as what it was written in; nothing is lost but markers, and the
    whitespace around them.

    Args:
        markers: what the model writes around thinking and calls.
        tools: the request's tools; without any, calls are not looked for.
        think: False leaves thinking tags in the content; anything else takes thinking out (spec §9).
        starts_in_thinking: the prompt ended inside the thinking block (`Markers.starts_in_thinking`).
        most_calls: how many calls are wanted; further ones are left out.
        new_id: names a call.
    """

    def __init__(
        self,
        markers: Markers,
        *,
        tools: list[JSON] | None = None,
        think: Think = None,
        starts_in_thinking: bool = False,
        most_calls: int | None = None,
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        self._found = _Collector(new_id, most_calls)
        self._reader = Reader()
        known = Tools(tools or ())
        thinking = None if think is False else markers.thinking
        calls = markers.calls if tools else ()
        run: Generator[None, None, None] | None = None
        if markers.harmony:
            run = read_harmony(self._reader, known, self._found)
        elif thinking or calls or markers.wrappers:
            answer = AnswerReader(self._reader, known, thinking, calls, markers.wrappers, self._found)
            run = answer.read(starts_in_thinking=starts_in_thinking and thinking is not None)
        self._run = run

    def push(self, text: str) -> list[Event]:
        """Take more text; return what is certain now, neighbours of a kind as one event."""
        if self._run is None:
            return [Content(text)] if text else []
        if text:
            self._reader.feed(text)
            next(self._run, None)
        return self._found.drain()

    def finish(self) -> list[Event]:
        """What was held back, once no more text comes."""
        if self._run is not None:
            self._reader.ended = True
            next(self._run, None)
            self._found.content(self._reader.take(len(self._reader.text)))
        return self._found.drain()


class _Collector:
    """Events in order, neighbours of a kind joined."""

    def __init__(self, new_id: Callable[[], str], most_calls: int | None) -> None:
        self._new_id = new_id
        self._most_calls = most_calls
        self._count = 0
        self._events: list[Event] = []

    def drain(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def content(self, text: str) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(last, Content):
            self._events[-1] = Content(last.text + text)
        elif text:
            self._events.append(Content(text))

    def thinking(self, text: str) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(last, Thinking):
            self._events[-1] = Thinking(last.text + text)
        elif text:
            self._events.append(Thinking(text))

    def call(self, call: NamedCall) -> None:
        if self._count == self._most_calls:
            return
        function = ToolCallFunction(call[0], call[1], self._count)
        self._count += 1
        self._events.append(Call(ToolCall(function, id=self._new_id())))
