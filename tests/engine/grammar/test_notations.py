"""Notations for the values of calls: what must not occur in them cannot, and what can be said is said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.constraint import answer_grammar
from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar import nodes
from ollama_engine.grammar.gbnf import Grammar
from ollama_engine.grammar.gbnf_text import read_gbnf
from ollama_engine.grammar.notations import JsonWithout, LooseRules, PythonRules, Unwritable, without
from ollama_engine.output.dialects import PARSERS
from ollama_engine.output.parser import Call, OutputParser
from ollama_engine.output.values import load_json, load_loose, load_python
from ollama_engine.types import JSON, ChatRequest

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=6) | st.just("<|end|>") | st.just("a<b"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b-c", "d"]), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(st.text(alphabet="ab<", min_size=1, max_size=4), min_size=1, max_size=3, unique=True),
    st.text(alphabet="ab<", max_size=9),
)
def test_text_without_markers_is_told_from_the_marker_behind_it(markers: list[str], text: str) -> None:
    free = not any(marker in text for marker in markers) and (text + markers[0]).find(markers[0]) == len(text)
    assert without(markers).matches(text) == free


@given(_JSON)
def test_json_literals_hold_no_marker_and_mean_the_same(value: Any) -> None:
    text = JsonWithout(Grammar(), ["<|end|>", "<|call|>"]).literal(value)
    assert "<|end|>" not in text
    assert load_json(text) == value


@given(_JSON)
def test_python_literals_mean_the_same(value: Any) -> None:
    text = PythonRules(Grammar()).literal(value)
    assert load_python(f"f(a={text})") == [("f", {"a": value})]


@given(_JSON)
def test_loose_literals_mean_the_same_or_cannot_be_written(value: Any) -> None:
    try:
        text = LooseRules(Grammar(), "<q>").literal(value)
    except Unwritable:
        return
    assert load_loose(f"{{a:{text}}}", "<q>") == {"a": value}


def tool(parameter: JSON) -> JSON:
    parameters = {"type": "object", "properties": {"a": parameter}, "required": ["a"]}
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


@pytest.mark.parametrize("parser", ["harmony", "qwen3", "qwen3-coder", "glm-4.7", "lfm2", "deepseek3", "ministral"])
def test_a_value_that_holds_the_dialects_own_markers_is_written_and_read_back(parser: str) -> None:
    value = "</parameter></function><|end|></arg_value></tool_call>[TOOL_CALLS]<|tool_call_end|>"
    tools = [tool({"type": "object", "properties": {"b": {"const": value}}, "required": ["b"]})]
    text = only_text(answer_grammar(ChatRequest("m", tools=tools, tool_choice="required"), PARSERS[parser], None))
    found = OutputParser(PARSERS[parser], tools=tools)
    events = [*found.push(text), *found.finish()]
    assert [event.call.function.arguments for event in events if isinstance(event, Call)] == [{"a": {"b": value}}], text


@pytest.mark.parametrize(
    ("values", "written"), [(["1", "one"], "one"), (["true", True], True), (["null", "<b>"], "<b>")]
)
def test_between_tags_text_that_would_be_read_as_something_else_is_left_out(values: list[Any], written: Any) -> None:
    tools = [tool({"anyOf": [{"const": value} for value in values]})]
    text = only_text(
        answer_grammar(ChatRequest("m", tools=tools, tool_choice="required"), PARSERS["qwen3-coder"], None)
    )
    [event] = OutputParser(PARSERS["qwen3-coder"], tools=tools).push(text)
    assert isinstance(event, Call)
    assert event.call.function.arguments == {"a": written}


def test_a_text_between_tags_that_holds_the_closing_tag_cannot_be_asked_for() -> None:
    request = ChatRequest("m", tools=[tool({"const": "x</parameter>y"})], tool_choice="required")
    with pytest.raises(InvalidRequest, match="function 'f': no arguments satisfy it"):
        answer_grammar(request, PARSERS["qwen3-coder"], None)


def only_text(grammar: str) -> str:
    """The shortest text of a grammar: what is optional left out, the first of each choice taken."""
    rules = read_gbnf(grammar).rules

    def shortest(node: nodes.Node) -> str:
        match node:
            case nodes.Literal(text):
                return text
            case nodes.Ref(name):
                return shortest(rules[name])
            case nodes.Sequence(parts):
                return "".join(map(shortest, parts))
            case nodes.Choice(branches):
                return shortest(branches[0])
            case nodes.Repeat(part, least):
                return shortest(part) * least
            case nodes.Chars(chars):
                return chr(chars[0][0])

    return shortest(rules["root"])
