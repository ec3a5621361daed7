"""The negation of a subschema, said in keywords again, as far as that goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.automaton import difference, lengths, words
from ollama_engine.grammar.schema import TYPES, Document, Node
from ollama_engine.grammar.shape import LEAF_KEYWORDS, type_of

REFUSED = frozenset(
    ["oneOf", "if", "dependentRequired", "dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef"]
)
OPPOSITES = {
    "minimum": ("number", "exclusiveMaximum", 0),
    "maximum": ("number", "exclusiveMinimum", 0),
    "exclusiveMinimum": ("number", "maximum", 0),
    "exclusiveMaximum": ("number", "minimum", 0),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
"""What a value of the type satisfies when it fails the keyword, and what is added to the bound."""


def negate(document: Document, node: Node) -> list[tuple[Node, ...]]:
    """Conjunctions, of which a value satisfies one where it fails `node` (and only there).

    Raises:
        InvalidRequest: `node` uses a keyword whose negation has no keyword.
    """
    if isinstance(node.value, bool):
        return [] if node.value else [()]
    return [nodes for keyword in node.value for nodes in _negated_keyword(document, node, keyword)]


def _negated_keyword(document: Document, node: Node, keyword: str) -> Iterable[tuple[Node, ...]]:
    def made(value: dict[str, Any], *key: Any) -> tuple[Node]:
        return (document.make(value, node.at(keyword), "not", *key),)

    if keyword in OPPOSITES:
        kind, opposite, change = OPPOSITES[keyword]
        bound = node.get(keyword)
        if isinstance(bound, bool):  # draft 4
            raise _refused(node, keyword)
        bound = bound if change == 0 else (node.count(keyword) or 0) + change
        if change == 0 or bound >= 0:
            yield made({"type": kind, opposite: bound})
        return
    match keyword:
        case "type":
            types, integer = node.types()
            if integer:
                raise _refused(node, keyword)
            yield made({"type": [name for name in TYPES if name not in types]})
        case "const" | "enum":
            values = [node.get("const")] if keyword == "const" else node.get("enum")
            if not isinstance(values, list):
                raise node.bad("enum", "a list of values")
            yield from _other_values(document, node.at(keyword), values, _refused(node, keyword))
        case "required":
            for name in node.texts("required"):
                yield made({"type": "object", "properties": {name: False}}, name)
        case "properties":
            for name, child in document.named_children(node, "properties").items():
                yield made({"type": "object", "required": [name], "properties": {name: {"not": child.value}}}, name)
        case "not":
            yield (document.node(node.get("not"), node.at("not")),)
        case "$ref":
            yield (document.negation(document.target(node, "$ref")),)
        case "allOf":
            for child in document.children(node, "allOf"):
                yield (document.negation(child),)
        case "anyOf":
            yield tuple(document.negation(child) for child in document.children(node, "anyOf"))
        case _ if keyword in LEAF_KEYWORDS or keyword in REFUSED:
            raise _refused(node, keyword)
        case _:
            return


def _other_values(
    document: Document, path: str, values: list[Any], refusal: InvalidRequest
) -> Iterable[tuple[Node, ...]]:
    """Everything but `values`: type by type, as numbers between them, texts without them."""
    by_type: dict[str, list[Any]] = {name: [] for name in TYPES}
    for value in values:
        by_type[type_of(value)].append(value)
    if by_type["array"] or by_type["object"]:
        raise refusal
    left = [value for value in (True, False, None) if value not in by_type["boolean"] + by_type["null"]]
    yield (document.make({"enum": left}, path, "not", "values"),)
    free = [name for name in ("string", "number", "array", "object") if not by_type[name]]
    yield (document.make({"type": free}, path, "not", "types"),)
    if by_type["string"]:
        # No pattern of a user's begins like this: `(?` is followed by something else wherever it parses.
        name = f"(?except{sorted(by_type['string'])!r})"
        document.automata[name] = difference(lengths(0, None), words(by_type["string"]))
        yield (document.make({"type": "string", "pattern": name}, path, "not", "texts"),)
    bounds: list[Any] = sorted(by_type["number"])
    for index in range(len(bounds) + 1 if bounds else 0):
        gap: dict[str, Any] = {"type": "number"}
        gap |= {"exclusiveMinimum": bounds[index - 1]} if index > 0 else {}
        gap |= {"exclusiveMaximum": bounds[index]} if index < len(bounds) else {}
        yield (document.make(gap, path, "not", "numbers", index),)


def _refused(node: Node, keyword: str) -> InvalidRequest:
    return InvalidRequest(
        f"JSON schema at {node.at(keyword)}: what must not match this cannot be told from what may",
        hint="In oneOf, give the branches different constants or required members, or use anyOf.",
    )
