"""What the right-hand sides of grammar rules are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ollama_engine.grammar.charset import CharSet


@dataclass(frozen=True)
class Literal:
    text: str


@dataclass(frozen=True)
class Chars:
    chars: CharSet


@dataclass(frozen=True)
class Ref:
    name: str


@dataclass(frozen=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of the branches; none at all is what nothing matches."""

    branches: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """`least` to `most` times (None: any number of times)."""

    part: Node
    least: int
    most: int | None


Node = Literal | Chars | Ref | Sequence | Choice | Repeat
NOTHING = Literal("")
"""The empty text."""
NEVER = Choice(())
"""What no text matches."""


def seq(*parts: Node | str) -> Node:
    nodes = tuple(Literal(part) if isinstance(part, str) else part for part in parts)
    return nodes[0] if len(nodes) == 1 else Sequence(tuple(node for node in nodes if node != NOTHING))


def choice(branches: Iterable[Node]) -> Node:
    distinct = tuple(dict.fromkeys(branches))
    return distinct[0] if len(distinct) == 1 else Choice(distinct)


def optional(node: Node) -> Node:
    return Repeat(node, 0, 1)
