"""Whether values that one shape generates could satisfy another subschema: what oneOf and not turn on.

Generated values are fewer than valid ones (an object has no members that nothing names, see Shape.is_open), and only
the generated ones count here. "Maybe" is answered as if it were yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_engine.grammar.accepts import accepts, accepts_shape, listed
from ollama_engine.grammar.automaton import TooManyStates, intersection
from ollama_engine.grammar.schema import Node
from ollama_engine.grammar.shape import Shape, merge

if TYPE_CHECKING:
    from ollama_engine.grammar.alternatives import Alternatives

MAX_DEPTH = 3
"""Members of members that are compared."""


class Overlap:
    """Compares shapes of one document."""

    def __init__(self, alternatives: Alternatives) -> None:
        self._alternatives = alternatives

    def is_excluded(self, shape: Shape, node: Node, depth: int = 0) -> bool:
        """Whether nothing that `shape` generates satisfies `node`."""
        if shape.values is not None:
            return not any(accepts(self._alternatives, (node,), value) for value in listed(self._alternatives, shape))
        return all(
            self._is_apart(shape, merge(self._alternatives.document, tuple(n for n in nodes if not n.negated)), depth)
            for nodes in self._alternatives.flatten((node,))
        )

    def _is_apart(self, shape: Shape, other: Shape, depth: int) -> bool:
        if other.values is not None:
            return not any(accepts_shape(self._alternatives, shape, value) for value in other.values)
        by_type = {
            "number": self._numbers_apart,
            "string": self._strings_apart,
            "array": self._arrays_apart,
            "object": self._objects_apart,
        }
        return all(name in by_type and by_type[name](shape, other, depth) for name in shape.types & other.types)

    def _numbers_apart(self, shape: Shape, other: Shape, depth: int) -> bool:
        ours, theirs = shape.range, other.range
        for low, high, touch in (
            (ours.low, theirs.high, ours.low_open or theirs.high_open),
            (theirs.low, ours.high, theirs.low_open or ours.high_open),
        ):
            if low is not None and high is not None and (low > high or (low == high and touch)):
                return True
        return False

    def _strings_apart(self, shape: Shape, other: Shape, depth: int) -> bool:
        for one, two in ((shape, other), (other, shape)):
            if one.max_length is not None and one.max_length < two.min_length:
                return True
        try:
            ours, theirs = shape.text(), other.text()
            return ours is not None and theirs is not None and intersection(ours, theirs).is_empty
        except TooManyStates:
            return False

    def _arrays_apart(self, shape: Shape, other: Shape, depth: int) -> bool:
        for one, two in ((shape, other), (other, shape)):
            if one.max_items is not None and one.max_items < two.min_items:
                return True
        written = max(shape.min_items, shape.prefix_length)
        if shape.max_items is not None:
            written = min(written, shape.max_items)
        return any(self._conjunctions_apart(shape.item(i), other.item(i), depth) for i in range(min(written, 20)))

    def _objects_apart(self, shape: Shape, other: Shape, depth: int) -> bool:
        if any(name not in shape.named for name in other.required) and not shape.is_open:
            return True
        for name in shape.required:
            if self._conjunctions_apart(shape.member(name), other.member(name), depth):
                return True
        return any(
            name in other.required and self._conjunctions_apart(shape.member(name), other.member(name), depth)
            for name in shape.named
        )

    def _conjunctions_apart(self, ours: tuple[Node, ...], theirs: tuple[Node, ...], depth: int) -> bool:
        """Whether no value of the conjunction `ours` satisfies all of `theirs`."""
        if depth >= MAX_DEPTH:
            return False
        shapes = [
            merge(self._alternatives.document, tuple(node for node in nodes if not node.negated))
            for nodes in self._alternatives.flatten(ours)
        ]
        return all(any(self.is_excluded(shape, node, depth + 1) for node in theirs) for shape in shapes)
