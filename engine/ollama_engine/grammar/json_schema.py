"""JSON Schema to GBNF, so that llama.cpp's grammar sampler lets only text through that parses and validates.

Kept: `type`, `nullable`, `enum`, `const`, `$ref` within the schema (recursion included), `allOf`, `anyOf`;
`properties`, `required`, `additionalProperties`, `patternProperties`, `propertyNames`, `minProperties`,
`maxProperties`, `dependentRequired`, `dependentSchemas`, `unevaluatedProperties` at the outermost level; `items`,
`prefixItems`, `minItems`, `maxItems`; `minLength`, `maxLength`, `pattern`, `format` (those of `formats.py`); `minimum`,
`maximum`, both exclusive ones, `multipleOf`; what drafts 4 to 7 say otherwise.

Kept where it can be, and else refused with the place that is in the way: `oneOf`, `not`, `if`/`then`/`else` (see
`alternatives.py`), patterns with lookaround or backreferences (`pattern.py`), `minProperties` of free members, a
`multipleOf` that is very fine or coarse (`numbers.py`).

Refused: `contains`, references to other documents.

Not kept: `uniqueItems` over items that are not chosen from a list; a `format` that is not listed. Ignored: annotations
and unknown keywords.

Narrower than the schema: objects have no members that the schema does not speak of; tuples are written in full; numbers
have 15 digits; counts stop at 100,000; white space is bounded. Members come in the order of the schema.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.accepts import accepts_shape, listed
from ollama_engine.grammar.alternatives import Alternatives, Nodes
from ollama_engine.grammar.arrays import array_node
from ollama_engine.grammar.automaton import TooManyStates
from ollama_engine.grammar.gbnf import Grammar
from ollama_engine.grammar.json_rules import JsonRules
from ollama_engine.grammar.limits import SMALLER
from ollama_engine.grammar.nodes import Literal, Node, Ref, choice
from ollama_engine.grammar.numbers import RangeError, range_automaton
from ollama_engine.grammar.objects import object_node
from ollama_engine.grammar.schema import Document
from ollama_engine.grammar.shape import Shape


def schema_to_gbnf(schema: dict[str, Any] | bool) -> str:
    """A GBNF grammar, with the rule `root`, whose every text parses as JSON and validates against `schema`.

    Raises:
        InvalidRequest: the schema is malformed, contradicts itself, is too large, or asks for what is not supported;
            the message has the JSON pointer of the place.
    """
    try:
        return Compiler(schema).text()
    except RecursionError:
        raise InvalidRequest("the JSON schema is nested too deeply", hint="Flatten it, or use $defs.") from None


class Compiler:
    """One schema's way into a grammar: each conjunction of subschemas that is met becomes a rule, once."""

    def __init__(self, schema: dict[str, Any] | bool, rules: JsonRules | None = None) -> None:
        self.document = Document(schema)
        self.alternatives = Alternatives(self.document)
        self.json = rules or JsonRules(Grammar())
        self.grammar = self.json.grammar
        self._refs: dict[frozenset[int], Ref] = {}
        self._shapes: dict[frozenset[int], Ref] = {}
        self._todo: deque[tuple[Ref, Nodes, Shape | None, str]] = deque()

    def text(self) -> str:
        root = self.ref((self.document.root,), "root")
        self.finish()
        return self.grammar.text(root)

    def finish(self) -> None:
        """Give every rule its body that `ref` has promised."""
        while self._todo:
            ref, nodes, shape, hint = self._todo.popleft()
            self.grammar.define(ref, self._body(nodes, hint) if shape is None else self.shape(shape, hint))

    def ref(self, nodes: Nodes, hint: str) -> Ref:
        """The rule of a conjunction; it gets its body later, so that schemas may refer to themselves."""
        key = frozenset(id(node) for node in nodes)
        if key not in self._refs:
            self._refs[key] = self.grammar.reserve(hint)
            self._todo.append((self._refs[key], nodes, None, hint))
        return self._refs[key]

    def _shape_ref(self, nodes: Nodes, shape: Shape, hint: str) -> Ref:
        """The rule of one alternative, shared by all conjunctions that have it."""
        key = frozenset(id(node) for node in nodes)
        if key not in self._shapes:
            self._shapes[key] = self.grammar.reserve(hint)
            self._todo.append((self._shapes[key], nodes, shape, hint))
        return self._shapes[key]

    def _body(self, nodes: Nodes, hint: str) -> Node:
        shapes = self.alternatives.shapes(nodes)
        branches: list[Node] = []
        for plain, shape in shapes:
            if not plain:
                return self.json.value
            branches.append(self.shape(shape, hint) if len(shapes) == 1 else self._shape_ref(plain, shape, hint))
        return choice(branches)

    def shape(self, shape: Shape, hint: str) -> Node:
        """What a value of this shape is written as."""
        if shape.values is not None:
            return choice(Literal(self.json.literal(value)) for value in listed(self.alternatives, shape))
        kinds = {
            "object": lambda: object_node(self, shape, hint),
            "array": lambda: array_node(self, shape, hint),
            "string": lambda: self._string(shape, hint),
            "number": lambda: self._number(shape, hint),
            "boolean": lambda: self.json.boolean,
            "null": lambda: self.json.null,
        }
        try:
            return choice(make() for kind, make in kinds.items() if kind in shape.types)
        except TooManyStates:
            raise InvalidRequest(
                f"JSON schema at {shape.path}: its patterns and lengths together are too large", hint=SMALLER
            ) from None

    def _string(self, shape: Shape, hint: str) -> Node:
        text = shape.text()
        if text is not None:
            return self.json.quoted(text, f"{hint}-text")
        if shape.min_length == 0 and shape.max_length is None:
            return self.json.string
        if shape.max_length is not None and shape.max_length < shape.min_length:
            return choice([])
        chars = self.grammar.repeat(self.json.char, shape.min_length, shape.max_length, f"{hint}-text")
        return self.json.text(chars)

    def _number(self, shape: Shape, hint: str) -> Node:
        if shape.range.is_free:
            return self.json.integer if shape.range.integer else self.json.number
        try:
            return self.json.bare(range_automaton(shape.range), f"{hint}-number")
        except RangeError as error:
            raise InvalidRequest(f"JSON schema at {shape.path}: {error}") from None

    def listed_values(self, nodes: Nodes) -> list[Any] | None:
        """All values of a conjunction where enum, const, true/false and null list them; None where they do not."""
        values: list[Any] = []
        for _, shape in self.alternatives.shapes(nodes):
            if shape.values is not None:
                values += listed(self.alternatives, shape)
            elif shape.types <= {"boolean", "null"}:
                values += [value for value in (True, False, None) if accepts_shape(self.alternatives, shape, value)]
            else:
                return None
        return values
