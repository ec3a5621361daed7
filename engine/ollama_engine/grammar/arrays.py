"""Arrays as grammar.

Tuples are written in full: JSON Schema would allow to stop early, nobody who writes prefixItems means it. What follows
a tuple is written only where `items` says what it is, or `minItems` asks for more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ollama_engine.grammar.nodes import NEVER, NOTHING, Node, choice, optional, seq
from ollama_engine.grammar.shape import Shape, json_key

if TYPE_CHECKING:
    from ollama_engine.grammar.json_schema import Compiler

MAX_DISTINCT = 64
"""Values of an item among which uniqueItems is kept."""


def array_node(compiler: Compiler, shape: Shape, hint: str) -> Node:
    """An array of this shape; uniqueItems is kept where items are chosen from a list (each at most once, in its
    order), else it is not."""
    json_rules = compiler.json
    least, most = shape.min_items, shape.max_items
    prefix = shape.prefix_length if most is None else min(shape.prefix_length, most)
    items = [compiler.ref(shape.item(index), f"{hint}-{index + 1}") for index in range(prefix)]
    rest_nodes = shape.item(shape.prefix_length)
    if shape.prefix_length and least <= prefix and not any(rules.rest is not None for rules in shape.arrays):
        most = prefix
    if most is not None and most < least:
        return NEVER
    if not prefix and not rest_nodes and least == 0 and most is None and not shape.unique:
        return json_rules.array
    if not prefix and shape.unique and (values := _listed(compiler, shape)) is not None:
        return json_rules.brackets(_distinct(compiler, values, least, most, hint))
    if most == prefix:
        return json_rules.brackets(_joined(compiler, items))
    rest = compiler.ref(rest_nodes, f"{hint}-item")
    following = seq(json_rules.comma, rest)
    if prefix:
        more = compiler.grammar.repeat(
            following, max(0, least - prefix), None if most is None else most - prefix, f"{hint}-items"
        )
        return json_rules.brackets(seq(_joined(compiler, items), more))
    more = compiler.grammar.repeat(following, max(0, least - 1), None if most is None else most - 1, f"{hint}-items")
    some = seq(rest, more)
    return json_rules.brackets(some if least else optional(some))


def _joined(compiler: Compiler, items: Iterable[Node]) -> Node:
    return seq(*(part for index, item in enumerate(items) for part in ([compiler.json.comma] * (index > 0) + [item])))


def _listed(compiler: Compiler, shape: Shape) -> list[str] | None:
    """The texts of all values an item may have, if they are few."""
    values = compiler.listed_values(shape.item(0))
    if values is None or len(values) > MAX_DISTINCT:
        return None
    return [compiler.json.literal(value) for value in {json_key(value): value for value in values}.values()]


def _distinct(compiler: Compiler, values: list[str], least: int, most: int | None, hint: str) -> Node:
    """Some of `values`, each at most once, in their order."""
    most = len(values) if most is None else min(most, len(values))
    # after[count] is what may follow when `count` values were taken from those before the index.
    after: list[Node] = [NOTHING if least <= count <= most else NEVER for count in range(most + 1)]
    for index in reversed(range(len(values))):
        following: list[Node] = []
        for count in range(most + 1):
            comma = [compiler.json.comma] if count else []
            branches = [after[count]]
            if count < most and count <= index:
                branches.insert(0, seq(*comma, values[index], after[count + 1]))
            following.append(compiler.grammar.rule(f"{hint}-choice", choice(branches)) if count <= index else NEVER)
        after = following
    return after[0]
