"""Every answer under a schema's grammar parses and validates: real llama.cpp, the bundled model, several seeds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from ollama_engine.grammar.format import JSON_GRAMMAR
from ollama_engine.grammar.json_schema import schema_to_gbnf
from ollama_engine.runner.client import Runner
from tests.engine.grammar.judge import problems
from tests.engine.grammar.schemas import DRAFT4, SCHEMAS
from tests.support.grammar_answers import answers, toy_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNBOUNDED = {"anything", "true", "any object", "any array"}
"""Answers that may go on for ever; they are only judged where they end."""
WILD_SEED = 100
WILD = 20.0
"""A temperature at which all that the grammar lets through is about as likely."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[Runner]:
    async with toy_runner() as runner:
        yield runner


async def judge(runner: Runner, schema: Any, grammar: str, *, least: int) -> None:
    """At least `least` of the answers must end; all that end must validate."""
    given = await answers(runner, grammar, range(3))
    given += await answers(runner, grammar, range(WILD_SEED, WILD_SEED + 3), temperature=WILD)
    # llama.cpp's grammar takes overlong encodings for the characters they would stand for, and this model has every
    # byte as a token: where all tokens are equally likely it writes bytes that are no UTF-8.
    given = [answer for answer in given if "\ufffd" not in answer.text or answer.seed < WILD_SEED]
    finished = [answer for answer in given if answer.finished]
    assert len(finished) >= least, [answer.text[:80] for answer in given]
    for answer in finished:
        assert not problems(answer.text, schema), (answer.seed, answer.text)


@pytest.mark.parametrize("name", SCHEMAS)
async def test_every_answer_validates(runner: Runner, name: str) -> None:
    schema = SCHEMAS[name]
    await judge(runner, schema, schema_to_gbnf(schema), least=0 if name in UNBOUNDED else 3)


@pytest.mark.parametrize("name", DRAFT4)
async def test_every_answer_validates_by_draft_4(runner: Runner, name: str) -> None:
    schema = DRAFT4[name]
    await judge(
        runner, schema | {"$schema": "http://json-schema.org/draft-04/schema#"}, schema_to_gbnf(schema), least=3
    )


async def test_nullable_lets_null_through(runner: Runner) -> None:
    grammar = schema_to_gbnf({"type": "boolean", "nullable": True})
    texts = {answer.text for answer in await answers(runner, grammar, range(12), temperature=WILD)}
    assert texts == {"true", "false", "null"}


async def test_format_json_gives_objects(runner: Runner) -> None:
    given = await answers(runner, JSON_GRAMMAR, range(8))
    finished = [answer for answer in given if answer.finished]
    assert len(finished) >= 4
    assert all(isinstance(json.loads(answer.text), dict) for answer in finished)
