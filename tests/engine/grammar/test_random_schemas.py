"""Schemas nobody wrote: llama.cpp takes the grammar of each, and short answers validate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.json_schema import schema_to_gbnf
from ollama_engine.runner.client import Runner
from tests.engine.grammar.judge import problems
from tests.support.grammar_answers import answers, toy_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = st.sampled_from(["a", "b", "ab", "c d", 'q"', "é"])
PATTERNS = ["^a+$", "b", "^[a-c]{1,3}$", "^(x|yy)*z$", "[^a]$", "^\\w\\d?$", "^$", "a|^b"]
values = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from([1.5, -0.25, 1e10, "", "a", 'é"', [1], {"a": 1}])
)


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any subset of these keywords."""
    return st.fixed_dictionaries({}, optional=keywords)


numbers = some(
    minimum=st.integers(-30, 30) | st.sampled_from([0.5, -2.25]),
    maximum=st.integers(-30, 200) | st.sampled_from([0.75, 1e3]),
    exclusiveMinimum=st.integers(-30, 30),
    exclusiveMaximum=st.integers(-30, 99),
    multipleOf=st.sampled_from([1, 2, 3, 0.5, 10]),
)
strings = some(
    minLength=st.integers(0, 4),
    maxLength=st.integers(0, 9),
    pattern=st.sampled_from(PATTERNS),
    format=st.sampled_from(["date", "ipv4", "uuid", "none"]),
)


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = some(
        items=inner,
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        minItems=st.integers(0, 3),
        maxItems=st.integers(0, 4),
    )
    objects = some(
        properties=st.dictionaries(NAMES, inner, max_size=3),
        required=st.lists(NAMES, max_size=2, unique=True),
        additionalProperties=inner,
        patternProperties=st.dictionaries(st.sampled_from(["^a", "b$", "^[c-e]+$"]), inner, max_size=2),
        propertyNames=st.sampled_from([{"maxLength": 3}, {"pattern": "^[a-d]"}, True]),
        maxProperties=st.integers(0, 3),
        minProperties=st.integers(0, 2),
        dependentRequired=st.dictionaries(NAMES, st.lists(NAMES, max_size=1), max_size=1),
    )
    combined = some(
        allOf=st.lists(inner, min_size=1, max_size=2),
        anyOf=st.lists(inner, min_size=1, max_size=3),
        oneOf=st.lists(inner, min_size=1, max_size=3),
        **{"not": inner, "if": inner, "then": inner, "else": inner},
    )
    typed = st.one_of(
        arrays.map(lambda schema: {"type": "array"} | schema),
        objects.map(lambda schema: {"type": "object"} | schema),
        arrays,
        objects,
    )
    return st.one_of(typed, typed, combined, st.tuples(typed, combined).map(lambda both: both[0] | both[1]))


leaves = st.one_of(
    st.booleans(),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["integer", "null"]}, {"$ref": "#/$defs/leaf"}]),
    values.map(lambda value: {"const": value}),
    st.lists(values, min_size=1, max_size=4).map(lambda listed: {"enum": listed}),
    numbers.map(lambda schema: {"type": "integer"} | schema),
    numbers.map(lambda schema: {"type": "number"} | schema),
    strings.map(lambda schema: {"type": "string", "maxLength": 9} | schema),
    strings,
    st.just({"$ref": "#"}),
)
schemas = st.recursive(leaves, compound, max_leaves=8).map(
    lambda schema: {"$defs": {"leaf": {"enum": ["leaf", 1]}}} | schema if isinstance(schema, dict) else schema
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[Runner]:
    async with toy_runner() as runner:
        yield runner


@given(schema=schemas, seed=st.integers(0, 1000))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
async def test_llama_cpp_takes_the_grammar_and_short_answers_validate(runner: Runner, schema: Any, seed: int) -> None:
    try:
        grammar = schema_to_gbnf(schema)
    except InvalidRequest:
        return
    given = await answers(runner, grammar, [seed], max_tokens=60)
    given += await answers(runner, grammar, [seed], max_tokens=60, temperature=20.0)
    for answer in given:
        if answer.finished and "\ufffd" not in answer.text:
            assert not problems(answer.text, schema), answer.text
