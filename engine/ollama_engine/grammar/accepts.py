"""Whether a given value satisfies a schema: the values of enum and const beside other keywords."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ollama_engine.grammar.shape import Shape, json_key, merge, type_of

if TYPE_CHECKING:
    from ollama_engine.grammar.alternatives import Alternatives, Nodes


def accepts(alternatives: Alternatives, nodes: Nodes, value: Any) -> bool:
    """Whether `value` satisfies all of `nodes`. In a pattern, only what matches in every dialect matches."""
    for alternative in alternatives.flatten(nodes):
        plain = tuple(node for node in alternative if not node.negated)
        denied = [alternatives.document.negation(node) for node in alternative if node.negated]
        if accepts_shape(alternatives, merge(alternatives.document, plain), value) and not any(
            accepts(alternatives, (node,), value) for node in denied
        ):
            return True
    return False


def listed(alternatives: Alternatives, shape: Shape) -> list[Any]:
    """The values that enum and const leave, if the shape has any of the two, and that the other keywords accept."""
    return [value for value in shape.values or () if _accepts_unlisted(alternatives, shape, value)]


def accepts_shape(alternatives: Alternatives, shape: Shape, value: Any) -> bool:
    if shape.values is not None and json_key(value) not in map(json_key, shape.values):
        return False
    return _accepts_unlisted(alternatives, shape, value)


def _accepts_unlisted(alternatives: Alternatives, shape: Shape, value: Any) -> bool:
    """Whether the keywords other than enum and const accept the value."""
    if type_of(value) not in shape.types:
        return False
    match value:
        case bool() | None:
            return True
        case int() | float():
            return shape.range.contains(Decimal(repr(value)) if abs(value) < 2**53 else Decimal(value))
        case str():
            return _fits(len(value), shape.min_length, shape.max_length) and all(
                automaton.matches(value) for automaton in shape.patterns
            )
        case list():
            return _accepts_items(alternatives, shape, value)
        case _:
            return _accepts_members(alternatives, shape, value)


def _fits(count: int, least: int, most: int | None) -> bool:
    return count >= least and (most is None or count <= most)


def _accepts_items(alternatives: Alternatives, shape: Shape, items: list[Any]) -> bool:
    if not _fits(len(items), shape.min_items, shape.max_items):
        return False
    if shape.unique and len({json_key(item) for item in items}) < len(items):
        return False
    return all(accepts(alternatives, shape.item(index), item) for index, item in enumerate(items))


def _accepts_members(alternatives: Alternatives, shape: Shape, members: dict[str, Any]) -> bool:
    if not _fits(len(members), shape.min_members, shape.max_members):
        return False
    if any(name not in members for name in shape.required):
        return False
    if any(not accepts(alternatives, tuple(shape.names), name) for name in members):
        return False
    return all(accepts(alternatives, shape.member(name), value) for name, value in members.items())
