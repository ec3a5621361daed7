"""What an endpoint takes and gives, told beside its route: /openapi.json and /docs are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ollama_engine.server.encode import NDJSON_TYPE
from ollama_engine.server.events import EVENTS_TYPE

Group = Literal["Ollama", "ollama-tui", "OpenAI", "Anthropic"]
"""Whose API an endpoint belongs to; errors of what is ours have Ollama's shape."""


@dataclass(frozen=True)
class Body:
    """A body: its type as msgspec knows it (None where nothing can be said of its content), and its media type.

    With `pieces` it is a stream, and `kind` the type of each of its pieces.
    """

    kind: Any
    media: str = "application/json"
    pieces: bool = False


TEXT = Body(str, "text/plain")
BYTES = Body(None, "application/octet-stream")


def lines(kind: Any) -> Body:
    """A stream of JSON objects, one a line."""
    return Body(kind, NDJSON_TYPE, pieces=True)


def events(kind: Any) -> Body:
    """A stream of server-sent events, whose data are JSON objects."""
    return Body(kind, EVENTS_TYPE, pieces=True)


@dataclass(frozen=True)
class Query:
    """A parameter of the query string, one of some words."""

    name: str
    meaning: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        summary: a phrase, as in a list of endpoints.
        details: what a reader must know besides, in sentences.
        takes: the body of a request, if it has one.
        gives: the bodies that an answer may have; none where it is empty.
        statuses: of success.
    """

    summary: str
    group: Group
    details: str = ""
    takes: Body | None = None
    gives: Sequence[Body] = ()
    statuses: Sequence[int] = (200,)
    query: Sequence[Query] = ()
    deprecated: bool = False
