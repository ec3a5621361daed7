"""The parse tree of a Go template. `position` is the character offset in the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Node:
    position: int


@dataclass(frozen=True)
class Text(Node):
    text: str


@dataclass(frozen=True)
class Dot(Node):
    pass


@dataclass(frozen=True)
class Nil(Node):
    pass


@dataclass(frozen=True)
class Literal(Node):
    """A bool, int, float or string constant; `text` is how it was written."""

    value: bool | int | float | str
    text: str


@dataclass(frozen=True)
class Function(Node):
    name: str


@dataclass(frozen=True)
class Field(Node):
    """`.A.B`, from dot."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Variable(Node):
    """`$x.A.B`; `$` alone has the name `$`."""

    name: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chain(Node):
    """`(pipeline).A.B`."""

    operand: Node
    names: tuple[str, ...]


@dataclass(frozen=True)
class Command(Node):
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Pipe(Node):
    """`$a, $b := command | command`; with `assign` the variables exist already."""

    declared: tuple[str, ...]
    assign: bool
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Action(Node):
    pipe: Pipe


@dataclass(frozen=True)
class Block(Node):
    """A list of nodes executed one after another."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Branch(Node):
    """`if`, `with` or `range`."""

    keyword: str
    pipe: Pipe
    body: Block
    otherwise: Block | None = field(default=None)


@dataclass(frozen=True)
class Break(Node):
    pass


@dataclass(frozen=True)
class Continue(Node):
    pass


@dataclass(frozen=True)
class Invoke(Node):
    """`{{template "name" pipeline}}`."""

    name: str
    pipe: Pipe | None


def walk(node: Node) -> Iterator[Node]:
    """`node` and all nodes below it, in source order."""
    yield node
    for part in fields(node):
        yield from _walk_value(getattr(node, part.name))


def _walk_value(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield from walk(value)
    elif isinstance(value, tuple):
        for item in value:
            yield from _walk_value(item)
