"""Answers cut out of what a template renders, and parsers run over them in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ollama_engine.output.parser import Call, Content, Event, OutputParser, Thinking
from ollama_engine.output.syntax import Markers
from ollama_engine.types import JSON, Think


def tool(name: str, **types: Any) -> JSON:
    properties = {
        key: {"type": kind, "description": key} if isinstance(kind, str) else kind for key, kind in types.items()
    }
    parameters = {"type": "object", "properties": properties, "required": list(types)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


WEATHER = tool("get_weather", city="string", days="integer")
CLOCK = tool("get_time", zone="string")
TOOLS = [WEATHER, CLOCK]


class Answer:
    """What a parser made of an answer: its parts joined."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = list(events)
        self.content = "".join(event.text for event in self.events if isinstance(event, Content))
        self.thinking = "".join(event.text for event in self.events if isinstance(event, Thinking))
        self.calls = [
            (event.call.function.name, event.call.function.arguments)
            for event in self.events
            if isinstance(event, Call)
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer) and self.order == other.order

    def __repr__(self) -> str:
        return repr(self.order)

    @property
    def order(self) -> list[tuple[str, Any]]:
        """Kinds and values in order, neighbours of one kind joined: the same however the text was split."""
        joined: list[tuple[str, Any]] = []
        for event in self.events:
            if isinstance(event, Call):
                function = event.call.function
                joined.append(("call", (function.name, function.arguments, function.index)))
                continue
            kind = type(event).__name__.lower()
            if joined and joined[-1][0] == kind:
                joined[-1] = (kind, joined[-1][1] + event.text)
            else:
                joined.append((kind, event.text))
        return joined


def parse(
    markers: Markers,
    pieces: Iterable[str],
    *,
    tools: list[JSON] | None = None,
    think: Think = None,
    starts_in_thinking: bool = False,
) -> Answer:
    parser = OutputParser(markers, tools=tools, think=think, starts_in_thinking=starts_in_thinking)
    events = [event for piece in pieces for event in parser.push(piece)]
    return Answer([*events, *parser.finish()])


def splits(text: str) -> Iterator[list[str]]:
    """The text whole, character by character, and in two at every place."""
    yield [text]
    yield list(text)
    for at in range(1, len(text)):
        yield [text[:at], text[at:]]
