"""The streaming parser: what is held back, what is a call, and that nothing is ever lost."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_engine.output.dialects import COHERE_WRAPPERS, HERMES, MISTRAL_ARGS, PARSERS, QWEN_XML, THINK
from ollama_engine.output.parser import Call, Content, OutputParser, Thinking
from ollama_engine.output.syntax import CallSyntax, Markers
from tests.engine.output.answers import TOOLS, Answer, parse, splits, tool

QWEN = Markers(THINK, (HERMES,))
BARE = Markers(None, (CallSyntax(),))
_ROME = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
_CALL = f"<tool_call>\n{_ROME}\n</tool_call>"
_ROME_CALL = ("call", ("get_weather", {"city": "Rome"}, 0))


def order(
    markers: Markers, text: str, *, starts_in_thinking: bool = False, **options: object
) -> list[tuple[str, object]]:
    """Kinds and values of a text read whole, the same at every split."""
    tools = options.get("tools", TOOLS)
    think = options.get("think")
    expected: Answer | None = None
    for pieces in splits(text):
        found = parse(markers, pieces, tools=tools, think=think, starts_in_thinking=starts_in_thinking)  # type: ignore[arg-type]
        expected = expected or found
        assert found == expected, pieces
    assert expected is not None
    return expected.order


def test_content_streams_as_it_comes_and_only_what_may_become_a_marker_waits() -> None:
    parser = OutputParser(QWEN, tools=TOOLS)
    assert parser.push("Hello") == [Content("Hello")]
    assert parser.push(" a < b") == [Content(" a < b")]
    assert parser.push(" and <tool") == [Content(" and")]
    assert parser.push("box>") == [Content(" <toolbox>")]
    assert parser.push(" ") == []
    assert parser.push("end") == [Content(" end")]
    assert parser.finish() == []


def test_thinking_streams_as_it_comes_and_only_what_may_close_it_waits() -> None:
    parser = OutputParser(QWEN, tools=TOOLS)
    assert parser.push("<thi") == []
    assert parser.push("nk>\nI see") == [Thinking("I see")]
    assert parser.push(" </thin") == []
    assert parser.push("gs") == [Thinking(" </things")]
    assert parser.push("</think>") == []
    assert parser.push("\n\nHi") == [Content("Hi")]


def test_a_call_comes_out_when_its_json_is_complete_without_waiting_for_the_closing_tag() -> None:
    parser = OutputParser(QWEN, tools=TOOLS)
    assert parser.push(f"<tool_call>{_ROME[:-1]}") == []
    [event] = parser.push("}")
    assert isinstance(event, Call)
    assert event.call.function.arguments == {"city": "Rome"}
    assert parser.push("</tool_call>") == []
    assert parser.finish() == []


def test_calls_have_ollamas_ids_and_are_counted() -> None:
    parser = OutputParser(QWEN, tools=TOOLS)
    calls = [event.call for event in parser.push(_CALL + _CALL) if isinstance(event, Call)]
    assert [call.function.index for call in calls] == [0, 1]
    assert all(re.fullmatch("call_[a-z0-9]{8}", call.id) for call in calls)
    assert calls[0].id != calls[1].id


def test_without_tools_and_thinking_text_passes_as_it_is() -> None:
    parser = OutputParser(Markers(None, (HERMES,)))
    assert parser.push("<tool_") == [Content("<tool_")]
    assert parser.push("  ") == [Content("  ")]
    assert parser.push("") == []
    assert parser.finish() == []


def test_think_false_leaves_the_tags_in_the_content() -> None:
    text = "<think>hm</think>\n\nHi"
    assert order(QWEN, text, think=False) == [("content", text)]
    assert order(QWEN, "hm</think>Hi", think=False, starts_in_thinking=True) == [("content", "hm</think>Hi")]
    assert order(QWEN, text, tools=None) == [("thinking", "hm"), ("content", "Hi")]


def test_whitespace_around_thinking_is_eaten_and_inside_it_kept() -> None:
    assert order(QWEN, "\n <think>\n\none\n\ntwo \n</think> \n\nHi\n there\n") == [
        ("thinking", "one\n\ntwo"),
        ("content", "Hi\n there\n"),
    ]
    assert order(QWEN, "<think>\n\n</think>\n\nHi") == [("content", "Hi")]


def test_a_thinking_tag_in_the_middle_of_content_is_content() -> None:
    text = "The tag <think>x</think> opens it."
    assert order(QWEN, text) == [("content", text)]


def test_an_answer_that_starts_in_thinking_needs_no_opening_tag_and_may_repeat_it() -> None:
    for text in ("hm</think>Hi", "\nhm\n</think>\nHi", "<think>hm</think>Hi"):
        assert order(QWEN, text, starts_in_thinking=True) == [("thinking", "hm"), ("content", "Hi")]


def test_thinking_that_is_never_closed_stays_thinking() -> None:
    assert order(QWEN, "<think>hm </thi") == [("thinking", "hm </thi")]
    assert order(QWEN, "hm", starts_in_thinking=True) == [("thinking", "hm")]
    assert order(QWEN, "<thi") == [("content", "<thi")]


def test_a_call_of_a_known_tool_inside_thinking_ends_the_thinking() -> None:
    assert order(QWEN, f"<think>so\n{_CALL}") == [("thinking", "so"), _ROME_CALL]
    draft = '<think>maybe <tool_call>{"name": "x"}</tool_call> no</think>ok'
    assert order(QWEN, draft) == [
        ("thinking", 'maybe <tool_call>{"name": "x"}</tool_call> no'),
        ("content", "ok"),
    ]


def test_content_stands_before_between_and_after_calls() -> None:
    text = f"Let me see.\n\n{_CALL}\nAnd\n{_CALL}\n\nDone."
    assert order(QWEN, text) == [
        ("content", "Let me see."),
        _ROME_CALL,
        ("content", "And"),
        ("call", ("get_weather", {"city": "Rome"}, 1)),
        ("content", "Done."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        "a <tool_call> b",
        "Use <tool_call>{json}</tool_call> to call.",
        "<tool_call>\n[1, 2]\n</tool_call>",
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Ro',
        '<tool_call>{"name": "get_weather", "arguments": {"city": Rome}}</tool_call>',
        '<tool_call>{"name": "get_weather", "arguments": "no object"}</tool_call>',
        '<tool_call>{"name": "get_weather", "arguments": {"n": NaN}}</tool_call>',
        '<tool_call>{"city": "Rome"}</tool_call> \n',
        '<tool_call>{"name": 5}</tool_call>',
        "<tool_call>" + "[" * 500,
        '<tool_call>{"name": "get_weather", "arguments": {]}}',
    ],
)
def test_what_is_no_call_comes_back_whole(text: str) -> None:
    assert order(QWEN, text) == [("content", text)]


def test_a_call_follows_what_only_looked_like_one() -> None:
    assert order(QWEN, f"<tool_call> is the tag: {_CALL}") == [("content", "<tool_call> is the tag:"), _ROME_CALL]


def test_arguments_hold_braces_quotes_markers_line_breaks_and_broken_surrogates() -> None:
    arguments = '{"a":"}{\\"</tool_call>\\\\","b":["line\nbreak"],"c":"\\ud83d"}'
    text = f'<tool_call>{{"name":"f","arguments":{arguments}}}</tool_call>'
    assert order(QWEN, text) == [("call", ("f", {"a": '}{"</tool_call>\\', "b": ["line\nbreak"], "c": "\ufffd"}, 0))]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"name": "get_time"}', ("get_time", {})),
        ('{"function": "get_time", "parameters": {"zone": "x"}}', ("get_time", {"zone": "x"})),
        ('{"type": "function", "function": {"name": "get_time", "arguments": {}}}', ("get_time", {})),
        ('{"name": "get_time", "arguments": "{\\"zone\\": \\"x\\"}"}', ("get_time", {"zone": "x"})),
        ('{"name": "get_time", "zone": "x", "id": "7"}', ("get_time", {"zone": "x"})),
        ('{"get_time": {"zone": "x"}}', ("get_time", {"zone": "x"})),
        ('{"name": "functions.get_time:0", "arguments": null}', ("get_time", {})),
        ('{"name": "unheard_of", "arguments": {"q": 1}}', ("unheard_of", {"q": 1})),
    ],
)
def test_json_calls_are_understood_under_the_usual_keys(body: str, expected: tuple[str, object]) -> None:
    assert order(QWEN, f"<tool_call>{body}</tool_call>") == [("call", (*expected, 0))]


def test_bare_json_is_a_call_only_as_the_first_thing_and_only_of_a_known_tool() -> None:
    assert order(BARE, f" {_ROME}") == [_ROME_CALL]
    assert order(BARE, f"[{_ROME}]") == [_ROME_CALL]
    for text in (
        f"See: {_ROME}",
        '{"name": "Ann", "arguments": {}}',
        '{"city": "Rome"}',
        '{"name": "get_weath',
        "[1, 2]",
    ):
        assert order(BARE, text) == [("content", text)]


def test_json_that_cannot_be_a_call_is_not_held_back() -> None:
    parser = OutputParser(BARE, tools=TOOLS)
    assert parser.push('{"city"') == [Content('{"city"')]
    assert parser.push(': "Ro') == [Content(': "Ro')]


def test_a_plain_word_announces_only_calls_of_known_tools() -> None:
    markers = Markers(None, (CallSyntax(block_open="functools["),))
    assert order(markers, f"functools[{_ROME}, {_ROME}]")[0] == _ROME_CALL
    text = 'functools[{"name": "unheard_of", "arguments": {}}]'
    assert order(markers, text) == [("content", text)]


def test_tagged_values_take_the_types_of_the_tools_schema() -> None:
    typed = tool(
        "set",
        text="string",
        whole="integer",
        real="number",
        flag="boolean",
        items="array",
        thing="object",
        maybe={"anyOf": [{"type": "integer"}, {"type": "null"}]},
        either={"type": ["string", "integer"]},
        free={"description": "anything"},
    )
    values = {
        "text": "12", "whole": "12", "real": "1.5", "flag": "True", "items": '["a"]', "thing": '{"b": 1}',
        "maybe": "null", "either": "7", "free": "false", "other": "<p>\n</parameter>\n</p>", "bad": "12 or so",
    }  # fmt: skip
    text = "<tool_call>\n<function=set>\n" + "".join(
        f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items()
    )
    found = order(Markers(None, (QWEN_XML,)), f"{text}</function>\n</tool_call>", tools=[typed])
    assert found == [
        ("call", ("set", {
            "text": "12", "whole": 12, "real": 1.5, "flag": True, "items": ["a"], "thing": {"b": 1},
            "maybe": None, "either": 7, "free": False, "other": "<p>\n</parameter>\n</p>", "bad": "12 or so",
        }, 0))
    ]  # fmt: skip


def test_a_tagged_call_cut_off_between_arguments_comes_back_as_content() -> None:
    text = "<tool_call>\n<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n"
    assert order(Markers(None, (QWEN_XML,)), text) == [("content", text)]


def test_a_call_inside_one_that_is_cut_off_is_no_call() -> None:
    inner = "<tool_call>\n<function=get_time>\n</function>\n</tool_call>"
    text = f"<tool_call>\n<function=get_weather>\n<parameter=city>\n{inner}\n"
    assert order(Markers(None, (QWEN_XML,)), text) == [("content", text)]


def test_a_list_of_calls_is_read_where_a_name_was_expected() -> None:
    found = order(Markers(None, (MISTRAL_ARGS,)), f"[TOOL_CALLS] [{_ROME}, {_ROME}]")
    assert found == [_ROME_CALL, ("call", ("get_weather", {"city": "Rome"}, 1))]


def test_wrappers_around_content_are_taken_out() -> None:
    markers = Markers(None, (), COHERE_WRAPPERS)
    assert order(markers, "<|START_RESPONSE|>Hi <there><|END_RESPONSE|>", tools=None) == [("content", "Hi <there>")]


def test_a_program_is_not_taken_for_calls() -> None:
    llama = CallSyntax("python", call_open="<|python_tag|>")
    assert order(Markers(None, (llama,)), '<|python_tag|>get_time.call(zone="x")') == [
        ("call", ("get_time", {"zone": "x"}, 0))
    ]
    code = "<|python_tag|>print(end='')\nimport os"
    assert order(Markers(None, (llama,)), code) == [("content", code)]


# Whatever a model writes

_PIECES = st.sampled_from(
    [
        "<tool_call>", "</tool_call>", "<think>", "</think>", _ROME, "<function=get_time>", "<parameter=zone>",
        "</parameter>", "</function>", "[TOOL_CALLS]", "[ARGS]", "get_weather", '{"a": 1}', "{", "}", "[", "]", '"',
        "\\", "'", "(", ")", "\n", " ", ",", ";", "<", "<|", "|>", "<|channel|>", "<|message|>", "<|start|>",
        "<|end|>", "analysis", "final", "to=f", "call:get_time{", '<|"|>', "<|tool_call>", "<tool_call|>",
        "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<arg_key>", "</arg_key>", "<arg_value>",
        "</arg_value>", "zone", "é", "x", "1", "```json",
        "<|START_ACTION|>", "<|tool_call_start|>", "[get_time(zone='x')]", "<function_calls>",
        "\ud800", "\x00",
    ]
)  # fmt: skip
_TEXTS = st.lists(st.one_of(_PIECES, st.text(max_size=4)), max_size=14)
_MARKERS = st.sampled_from([*PARSERS.values(), BARE, QWEN])


@settings(max_examples=300, deadline=None)
@given(_MARKERS, _TEXTS, st.data(), st.sampled_from([None, True, False]), st.booleans())
def test_any_text_gives_the_same_however_it_is_split(
    markers: Markers, parts: list[str], data: st.DataObject, think: bool | None, inside: bool
) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = parse(markers, [text], tools=TOOLS, think=think, starts_in_thinking=inside)
    assert parse(markers, pieces, tools=TOOLS, think=think, starts_in_thinking=inside) == whole
    assert parse(markers, list(text), tools=TOOLS, think=think, starts_in_thinking=inside) == whole


@settings(max_examples=200, deadline=None)
@given(_MARKERS.filter(lambda markers: not markers.harmony), _TEXTS)
def test_text_without_calls_is_lost_nowhere(markers: Markers, parts: list[str]) -> None:
    text = "".join(parts)
    found = parse(markers, list(text), tools=TOOLS, think=False)
    for wrapper in markers.wrappers:
        text = text.replace(wrapper, "")
    if not found.calls:
        assert "".join(found.content.split()) == "".join(text.split())
        if not markers.wrappers:
            assert found.content == text


@pytest.mark.parametrize("parser", ["qwen3", "qwen3-coder", "gemma4", "lfm2", "glm-4.7", "deepseek3", "harmony"])
def test_a_long_answer_takes_time_in_proportion(parser: str) -> None:
    markers = PARSERS[parser]
    opener = markers.calls[0].block_open + markers.calls[0].call_open if markers.calls else "<|start|>"
    began = time.process_time()
    for text in (opener * 4000, (opener + '{"') * 3000, opener + '{"a": "' + "x" * 200_000, "<" * 50_000, " " * 50_000):
        parse(markers, (text[at : at + 40] for at in range(0, len(text), 40)), tools=TOOLS)
    assert time.process_time() - began < 10
