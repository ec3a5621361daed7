"""A schema as alternatives, each a conjunction of plain subschemas: references, allOf, anyOf, oneOf, not, if resolved.

`oneOf` and `not` ask that a value does not satisfy something. Most often no text that the other keywords let through
could (branches with different constants, or members that the other branch lacks), and then there is nothing to do. Else
the negation is written out where it can be said in keywords; where it cannot, the schema is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.negation import negate
from ollama_engine.grammar.overlap import Overlap
from ollama_engine.grammar.schema import Document, Node
from ollama_engine.grammar.shape import LEAF_KEYWORDS, Shape, merge

MAX_ALTERNATIVES = 300
"""Of one conjunction, once everything is multiplied out."""
MAX_DEPTH = 80
"""References and combinations that lead from one to the next without a member or an item in between."""

Nodes = tuple[Node, ...]


class Alternatives:
    """Resolves conjunctions of one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._shapes: dict[Nodes, list[tuple[Nodes, Shape]]] = {}
        self._flat: dict[Nodes, list[Nodes]] = {}

    def shapes(self, nodes: Nodes) -> list[tuple[Nodes, Shape]]:
        """The alternatives of a conjunction: any value that satisfies one of the shapes satisfies all of `nodes`.

        Raises:
            InvalidRequest: something is malformed, endless, or cannot be said as a grammar.
        """
        if nodes not in self._shapes:
            self._shapes[nodes] = self._resolve(nodes)
        return self._shapes[nodes]

    def _resolve(self, nodes: Nodes) -> list[tuple[Nodes, Shape]]:
        overlap = Overlap(self)
        resolved: dict[Nodes, Shape] = {}
        todo = list(reversed(self.flatten(nodes)))
        steps = 0
        while todo:
            steps += 1
            if steps > 4 * MAX_ALTERNATIVES:
                raise _too_many(nodes)
            alternative = todo.pop()
            plain = tuple(node for node in alternative if not node.negated)
            shape = merge(self.document, plain)
            if not shape.types:
                continue
            forbidden = [self.document.negation(node) for node in alternative if node.negated]
            reached = [node for node in forbidden if not overlap.is_excluded(shape, node)]
            if not reached:
                resolved[plain] = shape
                continue
            others = tuple(node for node in alternative if node is not self.document.negation(reached[0]))
            for negation in reversed(negate(self.document, reached[0])):
                todo += [tuple(dict.fromkeys(others + more)) for more in reversed(self.flatten(negation))]
        return list(resolved.items())

    def flatten(self, nodes: Nodes) -> list[Nodes]:
        """The conjunctions of plain and negated subschemas that `nodes` is the disjunction of; [()] for anything."""
        if nodes not in self._flat:
            self._flat[nodes] = self._product([self._flatten(node, ()) for node in nodes], nodes)
        return self._flat[nodes]

    def _product(self, factors: Iterable[list[Nodes]], nodes: Nodes) -> list[Nodes]:
        product: list[Nodes] = [()]
        for factor in factors:
            if len(product) * len(factor) > MAX_ALTERNATIVES:
                raise _too_many(nodes)
            product = [tuple(dict.fromkeys(left + right)) for left in product for right in factor]
        return list(dict.fromkeys(product))

    def _flatten(self, node: Node, within: Nodes) -> list[Nodes]:
        if isinstance(node.value, bool):
            return [()] if node.value else []
        if node.negated:
            return [(node,)]
        if (node,) in self._flat:
            return self._flat[node,]
        if node in within:
            raise InvalidRequest(
                f"invalid JSON schema at {node.path}: it refers to itself without anything in between",
                hint="A recursive reference must be inside properties or items.",
            )
        if len(within) >= MAX_DEPTH:
            raise InvalidRequest(
                f"JSON schema at {node.path}: more than {MAX_DEPTH} references and combinations in a row"
            )
        factors = [self._flatten_all(group, node, within) for group in self._combinations(node)]
        leaf: list[Nodes] = [(node,)] if LEAF_KEYWORDS & node.value.keys() else [()]
        self._flat[node,] = self._product([leaf, *factors], (node,))
        return self._flat[node,]

    def _flatten_all(self, branches: list[Nodes], node: Node, within: Nodes) -> list[Nodes]:
        found = [
            alternative
            for branch in branches
            for alternative in self._product([self._flatten(one, (*within, node)) for one in branch], (node,))
        ]
        if len(found) > MAX_ALTERNATIVES:
            raise _too_many((node,))
        return list(dict.fromkeys(found))

    def _combinations(self, node: Node) -> Iterable[list[Nodes]]:
        """Each keyword that combines subschemas, as a list of branches of which one must hold."""
        document = self.document
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if keyword in node:
                yield [(document.target(node, keyword),)]
        for child in document.children(node, "allOf"):
            yield [(child,)]
        for keyword in ("anyOf", "oneOf", "allOf"):
            if node.get(keyword) == []:
                raise node.bad(keyword, "a list of at least one schema")
        if "anyOf" in node:
            yield [(child,) for child in document.children(node, "anyOf")]
        if "oneOf" in node:
            branches = document.children(node, "oneOf")
            yield [
                (branch, *(document.negation(other) for j, other in enumerate(branches) if j != i))
                for i, branch in enumerate(branches)
            ]
        if (denied := document.child(node, "not")) is not None:
            yield [(document.negation(denied),)]
        if (condition := document.child(node, "if")) is not None:
            then = document.child(node, "then") or document.true
            otherwise = document.child(node, "else") or document.true
            yield [(condition, then), (document.negation(condition), otherwise)]
        yield from self._dependencies(node)

    def _dependencies(self, node: Node) -> Iterable[list[Nodes]]:
        """dependentRequired, dependentSchemas and draft 7's dependencies: without the member, or with what it needs."""
        for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
            needs = node.get(keyword) if keyword in node else {}
            if not isinstance(needs, dict):
                raise node.bad(keyword, "an object")
            for name, need in needs.items():
                path = node.at(keyword, name)
                if isinstance(need, list) and keyword != "dependentSchemas":
                    if not all(isinstance(one, str) for one in need):
                        raise node.bad(keyword, "lists of strings")
                    needed = self.document.make({"required": need}, path, "needed")
                elif keyword != "dependentRequired":
                    needed = self.document.node(need, path)
                else:
                    raise node.bad(keyword, "lists of strings")
                without = self.document.make({"properties": {name: False}}, path, "without")
                present = self.document.make({"required": [name]}, path, "present")
                yield [(present, needed), (without,)]


def _too_many(nodes: Nodes) -> InvalidRequest:
    where = nodes[0].path if nodes else "#"
    return InvalidRequest(
        f"JSON schema at {where} has more than {MAX_ALTERNATIVES} alternatives when they are multiplied out",
        hint="Use fewer anyOf and oneOf beside each other.",
    )
