"""What a conjunction of subschemas asks of a value, keyword by keyword, once alternatives are resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.automaton import Automaton, intersection, lengths
from ollama_engine.grammar.formats import FORMATS
from ollama_engine.grammar.numbers import Range
from ollama_engine.grammar.pattern import pattern_automaton
from ollama_engine.grammar.schema import TYPES, Document, Node

LEAF_KEYWORDS = frozenset(
    (
        *("type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format"),
        *("properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "required"),
        *("propertyNames", "minProperties", "maxProperties"),
        *("items", "prefixItems", "additionalItems", "unevaluatedItems", "minItems", "maxItems", "uniqueItems"),
        *("contains", "minContains", "maxContains"),
    )
)
"""Keywords that a shape is made of; the other ones that mean anything are resolved before."""
REFUSED = {
    "contains": "Describe the items with items or prefixItems.",
    "minContains": "Describe the items with items or prefixItems.",
    "maxContains": "Describe the items with items or prefixItems.",
}


@dataclass(frozen=True)
class ArrayRules:
    """One subschema's say about items: `prefix` for the first ones, `rest` for the others (None: nothing said)."""

    prefix: tuple[Node, ...]
    rest: Node | None


@dataclass(frozen=True)
class ObjectRules:
    """One subschema's say about members: by name, by pattern, and `rest` for all others (None: nothing said)."""

    named: dict[str, Node]
    by_pattern: tuple[tuple[Automaton, Node], ...]
    rest: Node | None


@dataclass
class Shape:
    """The conjunction. Lists hold one entry for each subschema that says something; all of them must hold."""

    types: frozenset[str] = frozenset(TYPES)
    values: list[Any] | None = None
    range: Range = field(default_factory=Range)
    min_length: int = 0
    max_length: int | None = None
    patterns: list[Automaton] = field(default_factory=list)
    arrays: list[ArrayRules] = field(default_factory=list)
    min_items: int = 0
    max_items: int | None = None
    unique: bool = False
    objects: list[ObjectRules] = field(default_factory=list)
    required: list[str] = field(default_factory=list)
    min_members: int = 0
    max_members: int | None = None
    names: list[Node] = field(default_factory=list)
    unevaluated: Node | None = None
    path: str = "#"

    def text(self) -> Automaton | None:
        """What the content of a string must be; None where only its length is limited, or nothing is.

        Raises:
            TooManyStates: patterns and lengths together are too much.
        """
        if not self.patterns:
            return None
        automaton = self.patterns[0]
        for other in self.patterns[1:]:
            automaton = intersection(automaton, other)
        if self.min_length or self.max_length is not None:
            automaton = intersection(automaton, lengths(self.min_length, self.max_length))
        return automaton

    def member(self, name: str) -> tuple[Node, ...]:
        """What the value of member `name` must satisfy, were there one."""
        nodes: list[Node] = []
        evaluated = False
        for rules in self.objects:
            found = [node for automaton, node in rules.by_pattern if automaton.matches(name)]
            if name in rules.named:
                found.insert(0, rules.named[name])
            if not found and rules.rest is not None:
                found = [rules.rest]
            nodes += found
            evaluated |= bool(found)
        if not evaluated and self.unevaluated is not None:
            nodes.append(self.unevaluated)
        return tuple(dict.fromkeys(nodes))

    def item(self, index: int) -> tuple[Node, ...]:
        """What the item at `index` must satisfy."""
        nodes = [
            rules.prefix[index] if index < len(rules.prefix) else rules.rest
            for rules in self.arrays
            if index < len(rules.prefix) or rules.rest is not None
        ]
        return tuple(dict.fromkeys(node for node in nodes if node is not None))

    @property
    def prefix_length(self) -> int:
        return max((len(rules.prefix) for rules in self.arrays), default=0)

    @property
    def named(self) -> list[str]:
        """The members that are written by name: those of `properties` in their order, then what else is required."""
        return list(dict.fromkeys([name for rules in self.objects for name in rules.named] + self.required))

    @property
    def is_open(self) -> bool:
        """Whether members may be written that no subschema names: where that is said, or nothing is named at all."""
        if any(rules.by_pattern for rules in self.objects):
            return True
        if self.unevaluated is not None and self.unevaluated.value is not False:
            return True
        rests = [rules.rest for rules in self.objects if rules.rest is not None]
        if any(rest.value is False for rest in rests) or self.unevaluated is not None:
            return False
        return bool(rests) or not self.named


def merge(document: Document, nodes: tuple[Node, ...]) -> Shape:
    """The shape that satisfies all of `nodes`, of which only LEAF_KEYWORDS are read.

    Raises:
        InvalidRequest: a keyword is malformed or not supported.
    """
    shape = Shape(path=nodes[0].path if nodes else "#")
    for node in nodes:
        for keyword, hint in REFUSED.items():
            if keyword in node:
                raise unsupported(node, keyword, hint)
        _merge_values(shape, node)
        _merge_numbers(shape, node)
        _merge_arrays(shape, node, document)
        _merge_strings(shape, node, document)
        _merge_objects(shape, node, document, outermost=node is nodes[0])
    return shape


def unsupported(node: Node, keyword: str, hint: str) -> InvalidRequest:
    return InvalidRequest(
        f"JSON schema at {node.at(keyword)}: {keyword} is not supported for structured output", hint=hint
    )


def json_key(value: Any) -> Any:
    """A hashable stand-in: equal for what JSON counts as equal (1 and 1.0 are, 1 and true are not)."""
    match value:
        case bool() | None | str():
            return type(value).__name__, value
        case int() | float():
            return "number", value
        case list():
            return "array", tuple(json_key(item) for item in value)
        case dict():
            return "object", frozenset((name, json_key(item)) for name, item in value.items())
        case _:
            return "other", repr(value)


def type_of(value: Any) -> str:
    """The JSON Schema type of a value, `number` for integers too."""
    match value:
        case bool():
            return "boolean"
        case None:
            return "null"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


# -- by type ---------------------------------------------------------------------------------------------------


def _merge_values(shape: Shape, node: Node) -> None:
    if "type" in node:
        types, integer = node.types()
        shape.types &= types
        if integer:
            shape.range = _narrowed(shape.range, integer=True)
    values = node.get("enum")
    if "enum" in node and not isinstance(values, list):
        raise node.bad("enum", "a list of values")
    for given in [values] if "enum" in node else []:
        _keep_values(shape, given)
    if "const" in node:
        _keep_values(shape, [node.get("const")])


def _keep_values(shape: Shape, values: list[Any]) -> None:
    keys = {json_key(value): value for value in values}
    if shape.values is None:
        shape.values = list(keys.values())
    else:
        shape.values = [value for value in shape.values if json_key(value) in keys]


def _narrowed(old: Range, **changes: Any) -> Range:
    return Range(**{name: changes.get(name, getattr(old, name)) for name in Range.__dataclass_fields__})


def _merge_numbers(shape: Shape, node: Node) -> None:
    for keyword, exclusive in (("minimum", False), ("exclusiveMinimum", True)):
        if keyword in node and not isinstance(node.get(keyword), bool):
            low = node.number(keyword)
            exclusive = exclusive or node.get("exclusiveMinimum") is True
            old = shape.range.low
            if low is not None and (old is None or low > old or (low == old and exclusive)):
                shape.range = _narrowed(shape.range, low=low, low_open=exclusive)
    for keyword, exclusive in (("maximum", False), ("exclusiveMaximum", True)):
        if keyword in node and not isinstance(node.get(keyword), bool):
            high = node.number(keyword)
            exclusive = exclusive or node.get("exclusiveMaximum") is True
            old = shape.range.high
            if high is not None and (old is None or high < old or (high == old and exclusive)):
                shape.range = _narrowed(shape.range, high=high, high_open=exclusive)
    step = node.number("multipleOf")
    if step is not None:
        if step <= 0:
            raise node.bad("multipleOf", "greater than 0")
        shape.range = _narrowed(shape.range, steps=tuple(dict.fromkeys((*shape.range.steps, step))))


def _merge_strings(shape: Shape, node: Node, document: Document) -> None:
    shape.min_length = max(shape.min_length, node.count("minLength") or 0)
    shape.max_length = _lesser(shape.max_length, node.count("maxLength"))
    if (pattern := node.text("pattern")) is not None:
        shape.patterns.append(_automaton(document, pattern, node.at("pattern")))
    if (name := node.text("format")) is not None and name in FORMATS:
        shape.patterns.append(_automaton(document, FORMATS[name], node.at("format")))


def _automaton(document: Document, pattern: str, where: str) -> Automaton:
    if pattern not in document.automata:
        document.automata[pattern] = pattern_automaton(pattern, where)
    return document.automata[pattern]


def _lesser(old: int | None, new: int | None) -> int | None:
    return old if new is None else new if old is None else min(old, new)


def _merge_arrays(shape: Shape, node: Node, document: Document) -> None:
    shape.min_items = max(shape.min_items, node.count("minItems") or 0)
    shape.max_items = _lesser(shape.max_items, node.count("maxItems"))
    shape.unique |= node.flag("uniqueItems")
    if isinstance(node.get("items"), list):
        prefix, rest = document.children(node, "items"), document.child(node, "additionalItems")
    else:
        prefix, rest = document.children(node, "prefixItems"), document.child(node, "items")
    if "unevaluatedItems" in node:
        unevaluated = document.child(node, "unevaluatedItems")
        if rest is None and unevaluated is not None and unevaluated.value is not False:
            raise unsupported(node, "unevaluatedItems", "Use items.")
        rest = rest or unevaluated
    if prefix or rest is not None:
        shape.arrays.append(ArrayRules(tuple(prefix), rest))


def _merge_objects(shape: Shape, node: Node, document: Document, *, outermost: bool) -> None:
    shape.required += [name for name in node.texts("required") if name not in shape.required]
    shape.min_members = max(shape.min_members, node.count("minProperties") or 0)
    shape.max_members = _lesser(shape.max_members, node.count("maxProperties"))
    names = document.child(node, "propertyNames")
    if names is not None:
        shape.names.append(names)
    named = document.named_children(node, "properties")
    by_pattern = tuple(
        (_automaton(document, pattern, node.at("patternProperties", pattern)), child)
        for pattern, child in document.named_children(node, "patternProperties").items()
    )
    rest = document.child(node, "additionalProperties")
    if named or by_pattern or rest is not None:
        shape.objects.append(ObjectRules(named, by_pattern, rest))
    if "unevaluatedProperties" in node:
        if not outermost:
            raise unsupported(node, "unevaluatedProperties", "Say it once, at the outermost level.")
        shape.unevaluated = document.child(node, "unevaluatedProperties")
