"""Forced calls: whatever the grammar lets through in a model's own syntax is read back as calls that validate.

Real llama.cpp, the bundled model at temperatures at which all that the grammar lets through is about as likely.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio

from ollama_engine.constraint import answer_grammar, reading_markers
from ollama_engine.errors import InvalidRequest
from ollama_engine.output.dialects import PARSERS, markers_for
from ollama_engine.output.frame import call_block
from ollama_engine.output.parser import Call, Event, OutputParser
from ollama_engine.output.syntax import Markers
from ollama_engine.prompt.render import JinjaChat
from ollama_engine.runner.client import Runner
from ollama_engine.types import JSON, ChatRequest
from tests.engine.output.test_invented_templates import DIALECTS
from tests.support.grammar_answers import answers, toy_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")

WILD = 20.0
_PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "chat_templates"


def tool(name: str, properties: JSON, **more: Any) -> JSON:
    parameters = {"type": "object", "properties": properties, "required": list(properties), **more}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


SHORT = {"type": "string", "maxLength": 8}
PLAIN = tool("look_up", {"query": SHORT, "count": {"type": "integer", "minimum": 0, "maximum": 99}})
RICH = tool(
    "plan",
    {
        "unit": {"type": "string", "enum": ["day", "12", "true", "<b>", 'say "x"']},
        "when": {"type": "string", "pattern": "^[<>0-9]{2,4}$"},
        "maybe": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 3}, {"type": "null"}, {"type": "number"}]},
        "any_of": {"enum": ["a", "1", 1, None, True]},
        "tags": {"type": "array", "items": SHORT, "maxItems": 2},
        "place": {"$ref": "#/$defs/place"},
        "sure": {"type": "boolean"},
    },
    required=["unit", "when", "maybe"],
    **{"$defs": {"place": {"type": "object", "properties": {"town": SHORT, "zip": {"const": "0<1"}}}}},
)
BARE = {"type": "function", "function": {"name": "stop_it", "description": "Stop"}}
SPACED = tool("odd-name", {"first name": SHORT})
TOOLS = [PLAIN, RICH, BARE]


def dialects() -> dict[str, Markers]:
    found = {name: markers for name, markers in PARSERS.items() if markers.calls or markers.harmony}
    found |= {name: markers_for(dialect.template) for name, dialect in DIALECTS.items()}
    for path in sorted(_PUBLISHED.glob("*.jinja")):
        markers = markers_for(JinjaChat(path.read_text(encoding="utf-8"), "<s>", "</s>"))
        if markers.calls or markers.harmony:
            found[path.stem] = markers
    found["no way to call"] = Markers()
    return found


MARKERS = dialects()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[Runner]:
    async with toy_runner() as runner:
        yield runner


def ask(tools: list[JSON], choice: Any = "required", **fields: Any) -> ChatRequest:
    return ChatRequest("m", tools=tools, tool_choice=choice, **fields)


async def calls_of(
    runner: Runner, markers: Markers, request: ChatRequest, seeds: range, *, temperature: float = WILD
) -> list[list[tuple[str, JSON]]]:
    """The calls of each answer that ended; every answer is nothing but calls, and all of them validate."""
    grammar = answer_grammar(request, markers, None)
    reading = reading_markers(request, markers)
    schemas = {each["function"]["name"]: each["function"].get("parameters", {}) for each in request.tools or ()}
    found: list[list[tuple[str, JSON]]] = []
    for answer in await answers(runner, grammar, seeds, temperature=temperature):
        if not answer.finished or "\ufffd" in answer.text:  # see test_answers.judge
            continue
        parser = OutputParser(reading, tools=request.tools)
        events: list[Event] = [*parser.push(answer.text), *parser.finish()]
        calls = [
            (event.call.function.name, event.call.function.arguments) for event in events if isinstance(event, Call)
        ]
        assert len(calls) == len(events) > 0, (answer.text, events)
        for name, arguments in calls:
            jsonschema.validate(arguments, schemas[name])
        found.append(calls)
    return found


@pytest.mark.parametrize("name", MARKERS)
async def test_every_forced_answer_is_calls_that_validate(runner: Runner, name: str) -> None:
    found = await calls_of(runner, MARKERS[name], ask(TOOLS, parallel_tool_calls=False), range(3))
    assert len(found) >= 1
    assert all(len(calls) == 1 for calls in found)
    found = await calls_of(runner, MARKERS[name], ask([PLAIN, BARE]), range(2))
    assert call_block(MARKERS[name]).several or all(len(calls) == 1 for calls in found)


@pytest.mark.parametrize(
    "name", ["qwen3", "qwen3-coder", "olmo3", "lfm2", "deepseek3", "glm-4.7", "cohere", "ministral"]
)
async def test_several_calls_where_the_syntax_can_hold_them(runner: Runner, name: str) -> None:
    found = await calls_of(runner, MARKERS[name], ask([BARE]), range(12))
    assert any(len(calls) > 1 for calls in found)


@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "gemma4", "lfm2", "harmony", "deepseek3", "glm-4.7"])
async def test_a_named_tool_is_called_once(runner: Runner, name: str) -> None:
    choice = {"type": "function", "function": {"name": "plan"}}
    found = await calls_of(runner, MARKERS[name], ask(TOOLS, choice), range(4))
    assert {tuple(call for call, _ in calls) for calls in found} == {("plan",)}


@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "gemma4", "lfm2", "deepseek3", "jinja, guillemets"])
async def test_names_that_the_syntax_has_no_form_for_are_called_as_json(runner: Runner, name: str) -> None:
    found = await calls_of(runner, MARKERS[name], ask([SPACED]), range(4))
    assert {call for calls in found for call, _ in calls} == {"odd-name"}


@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "gemma4", "lfm2"])
async def test_free_members_come_back(runner: Runner, name: str) -> None:
    anything = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 2,
        "additionalProperties": {"type": ["integer", "boolean"]},
    }
    free = {"type": "function", "function": {"name": "note", "parameters": anything}}
    found = await calls_of(runner, MARKERS[name], ask([free]), range(24))
    assert any(arguments for calls in found for _, arguments in calls)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tool_choice": "required"}, "'required' is only allowed when tools are specified"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "'f' is only allowed when tools"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}}, "there is no function 'f'"),
        ({"tools": TOOLS, "tool_choice": "always"}, "invalid tool_choice: always"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "invalid tool_choice"),
        ({"tools": TOOLS, "tool_choice": "required", "format": "json"}, "format and tool_choice cannot be kept both"),
        ({"tools": [{"type": "function"}], "tool_choice": "required"}, "must have a function with a name"),
        ({"tools": [tool("f", {"a": {"type": "dolphin"}})], "tool_choice": "required"}, "function 'f': .*dolphin"),
        ({"tools": [tool("f", {"a": {"enum": []}}), PLAIN], "tool_choice": "required"}, "function 'f': no arguments"),
        ({"tools": [tool("f", {}, type="string")], "tool_choice": "required"}, "function 'f': no arguments satisfy"),
        ({"tools": [tool("f", {"a": {"contains": 1}})], "tool_choice": "required"}, "function 'f': .*contains"),
    ],
)
async def test_what_cannot_be_forced_is_refused_by_name(fields: JSON, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        answer_grammar(ChatRequest("m", **fields), MARKERS["qwen3"], None)


async def test_auto_and_none_force_nothing() -> None:
    for choice in (None, "auto", "none"):
        assert answer_grammar(ask(TOOLS, choice), MARKERS["qwen3"], None) == ""
        assert answer_grammar(ChatRequest("m", tool_choice=choice), MARKERS["qwen3"], None) == ""


async def test_text_between_markers_never_holds_the_closing_marker(runner: Runner) -> None:
    """Long texts, too: what limits their length counts characters where an automaton would be too large."""
    text = {"type": "string", "minLength": 3000, "maxLength": 3001}
    grammar = answer_grammar(ask([tool("write", {"text": text})]), MARKERS["qwen3-coder"], None)
    given = await answers(runner, grammar, range(2), max_tokens=200, temperature=WILD)
    assert all("<" not in answer.text.partition("<parameter=text>")[2] for answer in given)
    assert all(len(answer.text) > 150 for answer in given)
