"""A schema that is wrong, endless, contradictory or too large is refused in words that name the place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.format import JSON_GRAMMAR, format_to_grammar
from ollama_engine.grammar.gbnf import Grammar
from ollama_engine.grammar.json_rules import JsonRules
from ollama_engine.grammar.json_schema import schema_to_gbnf
from ollama_engine.grammar.shape import LEAF_KEYWORDS

DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]
WIDE = {"allOf": [{"anyOf": [{"type": "string", "minLength": i * 10 + j} for j in range(10)]} for i in range(5)]}
TWICE = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/e{i + 1}"}]} for i in range(30)}
TWICE |= {f"e{i}": {"anyOf": [{"$ref": f"#/$defs/e{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]} for i in range(30)}
TWICE |= {"d30": {"const": 1}, "e30": {"const": 2}}

REFUSED: dict[str, tuple[Any, str]] = {
    "an unknown type": ({"properties": {"a": {"type": "text"}}}, "#/properties/a/type"),
    "a type that is no name": ({"type": 3}, "#/type"),
    "properties that are a list": ({"items": {"properties": []}}, "#/items/properties"),
    "a property that is no schema": ({"properties": {"a/b": 1}}, "#/properties/a~1b"),
    "required that is a string": ({"required": "a"}, "#/required"),
    "an enum that is no list": ({"enum": "a"}, "#/enum"),
    "an enum with what is no JSON": ({"enum": [float("nan")]}, "not JSON"),
    "a negative length": ({"minLength": -1}, "#/minLength"),
    "a length with a fraction": ({"maxItems": 1.5}, "#/maxItems"),
    "a bound that is a string": ({"type": "integer", "minimum": "0"}, "#/minimum"),
    "an infinite bound": ({"type": "number", "maximum": float("inf")}, "#/maximum"),
    "a multiple of nothing": ({"multipleOf": 0}, "#/multipleOf"),
    "an empty anyOf": ({"anyOf": []}, "#/anyOf"),
    "an anyOf of strings": ({"anyOf": ["string"]}, "#/anyOf/0"),
    "a pattern that does not parse": ({"type": "string", "pattern": "(a"}, "#/pattern"),
    "lookaround": ({"pattern": "^(?!x)y$"}, "lookaround"),
    "a count that dialects read differently": ({"pattern": "a{,3}"}, "{0,n}"),
    "a backreference": ({"pattern": r"(a)\1"}, "backreference"),
    "a pattern that explodes": ({"pattern": "(a|b)*a(a|b){15}"}, "too large"),
    "a pattern with a length that explodes": ({"pattern": "(ab|b)*a.{12}", "minLength": 90000}, "too large"),
    "a reference to nowhere": ({"$ref": "#/$defs/x"}, "#/$ref"),
    "a reference to another document": ({"$ref": "https://example.com/schema.json"}, "outside of the schema"),
    "a reference to an unknown anchor": ({"$ref": "#nobody"}, "nobody"),
    "a reference to itself": ({"$ref": "#"}, "refers to itself"),
    "references in a circle": (
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        "refers to itself",
    ),
    "contradicting types": ({"type": "string", "allOf": [{"type": "integer"}]}, "no value satisfies"),
    "contradicting bounds": ({"type": "integer", "minimum": 5, "maximum": 4}, "no value satisfies"),
    "contradicting patterns": ({"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "^b"}]}, "no value"),
    "false": (False, "no value satisfies"),
    "a required member that may not be": (
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        "no value",
    ),
    "an endless tree": (
        {"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]},
        "no value satisfies",
    ),
    "contains": ({"type": "array", "contains": {"type": "null"}}, "#/contains"),
    "oneOf whose branches overlap": ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "#/oneOf/1/type"),
    "not of a pattern": ({"type": "string", "not": {"pattern": "x"}}, "#/not/pattern"),
    "two free members at least": (
        {"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 2},
        "minProperties",
    ),
    "steps that are too fine": ({"type": "number", "multipleOf": 1e-30, "minimum": 0}, "multipleOf"),
    "a value nested beyond all measure": ({"const": DEEP}, "nested too deeply"),
    "alternatives beyond all measure": (WIDE, "alternatives"),
    "a grammar beyond all measure": (
        {"enum": [f"{i:0100}" for i in range(3000)]},
        "symbols",
    ),
    "too large a lower bound": ({"type": "string", "minLength": 10**9}, "#/minLength"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_place(name: str) -> None:
    schema, words = REFUSED[name]
    with pytest.raises(InvalidRequest) as caught:
        schema_to_gbnf(schema)
    assert words in caught.value.message


def test_alternatives_that_meet_again_stay_few() -> None:
    grammar = schema_to_gbnf({"$defs": TWICE, "$ref": "#/$defs/d0"})
    assert grammar.count("\n") < 20


@pytest.mark.parametrize("value", [None, ""])
def test_no_format_is_no_grammar(value: Any) -> None:
    assert format_to_grammar(value) == ""


def test_format_json_is_the_grammar_of_objects() -> None:
    grammar = Grammar()
    assert format_to_grammar("json") == JSON_GRAMMAR == grammar.text(JsonRules(grammar).object)


def test_a_schema_as_format_is_compiled() -> None:
    assert format_to_grammar({"const": 1}) == schema_to_gbnf({"const": 1}) == 'root ::= "1"\n'


@pytest.mark.parametrize(("value", "shown"), [("xml", "xml"), (3, "3"), ([1], "[1]"), (1.5, "1.5")])
def test_another_format_is_refused_in_ollamas_words(value: Any, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        format_to_grammar(value)
    assert caught.value.message == f'invalid format: "{shown}"; expected "json" or a valid JSON Schema object'


# -- anything at all -------------------------------------------------------------------------------------------

KEYWORDS = sorted(
    LEAF_KEYWORDS
    | {"$ref", "$defs", "definitions", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "nullable", "$anchor"}
    | {"dependentRequired", "dependentSchemas", "dependencies", "$id", "title", "$dynamicRef"}
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**310),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["string", "integer", "object", "array", "#", "#/$defs/a", "^a+$", "a{3}|[b", "date"]),
)
malformed = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from([*KEYWORDS, "a", "b"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.one_of(st.dictionaries(st.sampled_from(KEYWORDS), malformed, max_size=6), st.booleans()))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_schema_is_it_compiles_or_is_refused(schema: Any) -> None:
    try:
        grammar = schema_to_gbnf(schema)
    except InvalidRequest:
        return
    assert grammar.startswith("root ::= ")
