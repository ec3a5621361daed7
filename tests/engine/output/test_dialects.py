"""Named dialects: each PARSER of Modelfiles reads its model's answers, and template text gives the rest away."""

from __future__ import annotations

import pytest

from ollama_engine.output.dialects import DEEPSEEK, GRANITE, LFM2, PARSERS, markers_for
from ollama_engine.output.syntax import Markers, ThinkTags
from ollama_engine.prompt.render import GoChat, JinjaChat
from tests.engine.output.answers import TOOLS, parse, splits

_QWEN = '<tool_call>\n{"name": "get_time", "arguments": {"zone": "Rome"}}\n</tool_call>'
_XML = "<tool_call>\n<function=get_time>\n<parameter=zone>\nRome\n</parameter>\n</function>\n</tool_call>"
_GLM = "<tool_call>get_time\n<arg_key>zone</arg_key>\n<arg_value>Rome</arg_value>\n</tool_call>"
_LFM2 = '<|tool_call_start|>[get_time(zone="Rome")]<|tool_call_end|>'
_GEMMA = '<|tool_call>call:get_time{zone:<|"|>Rome<|"|>}<tool_call|>'
_DEEPSEEK = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>"
    '{"zone": "Rome"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
)
_OLMO = '<function_calls>\nget_time(zone="Rome")\n</function_calls>'
_COHERE = (
    '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "get_time", "parameters": {"zone": "Rome"}}]<|END_ACTION|>'
)

ANSWERS = {
    "qwen3": _QWEN,
    "qwen3-thinking": _QWEN,
    "qwen3.5": _XML,
    "ornith": _XML,
    "qwen3-coder": _XML,
    "qwen3-vl-instruct": _QWEN,
    "qwen3-vl-thinking": _QWEN,
    "ministral": '[TOOL_CALLS]get_time[ARGS]{"zone": "Rome"}',
    "harmony": '<|channel|>commentary to=functions.get_time<|message|>{"zone": "Rome"}',
    "cogito": _DEEPSEEK.replace("begin｜>get_time", "begin｜>function<｜tool▁sep｜>get_time").replace(
        'time<｜tool▁sep｜>{"zone": "Rome"}', 'time\n```json\n{"zone": "Rome"}\n```'
    ),
    "deepseek3": _DEEPSEEK,
    "olmo3": _OLMO,
    "nemotron-3-nano": _XML,
    "nemotron-3.5-nano": _XML,
    "functiongemma": "<start_function_call>call:get_time{zone:<escape>Rome<escape>}<end_function_call>",
    "glm-4.7": _GLM,
    "glm-ocr": _GLM,
    "gemma4": _GEMMA,
    "gemma4-no-thinking": _GEMMA,
    "lfm2": _LFM2,
    "lfm2-thinking": _LFM2,
    "laguna": _GLM,
    "poolside-v1": _GLM,
    "cohere": _COHERE,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_parser_reads_its_models_calls_at_every_split(name: str) -> None:
    for pieces in splits(ANSWERS[name]):
        assert parse(PARSERS[name], pieces, tools=TOOLS).order == [("call", ("get_time", {"zone": "Rome"}, 0))], pieces


def test_every_parser_name_has_its_answer_here_but_those_without_calls() -> None:
    assert set(PARSERS) - set(ANSWERS) == {"passthrough", "olmo3-think"}


def test_parallel_python_calls_stand_one_a_line() -> None:
    text = "<function_calls>\nget_time(zone=\"a\")\nget_weather(city='b', days=-1)\n</function_calls> Done"
    calls = [("call", ("get_time", {"zone": "a"}, 0)), ("call", ("get_weather", {"city": "b", "days": -1}, 1))]
    for pieces in splits(text):
        assert parse(PARSERS["olmo3"], pieces, tools=TOOLS).order == [*calls, ("content", "Done")]


def test_loose_objects_hold_lists_numbers_words_and_braces_in_text() -> None:
    text = (
        '<|tool_call>call:f{a:<|"|>x,{y}: "z"<|"|>,b:[1,-2.5,<|"|>q<|"|>],'
        'c:{d:true,e:null},g:word,h:<|"|><|"|>}<tool_call|>'
        "<|tool_call>call:g{}<tool_call|>"
    )
    arguments = {"a": 'x,{y}: "z"', "b": [1, -2.5, "q"], "c": {"d": True, "e": None}, "g": "word", "h": ""}
    for pieces in splits(text):
        assert parse(PARSERS["gemma4"], pieces, tools=TOOLS).calls == [("f", arguments), ("g", {})]


def test_passthrough_passes_everything() -> None:
    assert parse(PARSERS["passthrough"], list(_QWEN), tools=TOOLS).order == [("content", _QWEN)]


def test_a_parser_name_wins_over_the_template_and_an_unknown_one_is_ignored() -> None:
    template = GoChat("{{ .Prompt }} <|tool_list_start|>")
    assert markers_for(template, parser="deepseek3").calls[0] == DEEPSEEK
    assert markers_for(template, parser="nobody's").calls == (LFM2,)


def test_template_text_gives_away_what_rendering_does_not_show() -> None:
    granite = JinjaChat("<|start_of_role|>{# <|tool_call|> #}{{ messages[0].content }}")
    assert markers_for(granite).calls == (GRANITE,)
    harmony = GoChat("<|start|>{{ .Prompt }}<|channel|><|message|>")
    assert markers_for(harmony) == Markers(harmony=True)
    stripping = JinjaChat("{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}")
    assert markers_for(stripping).thinking == ThinkTags("<think>", "</think>")


def test_the_ggufs_template_tells_what_the_speaking_one_does_not() -> None:
    assert markers_for(GoChat("{{ .Prompt }}"), source="<｜tool▁calls▁begin｜> <｜tool▁sep｜>").calls[1] == DEEPSEEK
    assert markers_for(GoChat("{{ .Prompt }}")) == Markers()


def test_the_way_of_saying_that_no_tool_is_called_is_no_call() -> None:
    template = GoChat("{{ .Prompt }} Action: ```json directly-answer")
    text = 'Action:\n```json\n[{"tool_name": "directly-answer", "parameters": {}}]```\nHi'
    assert parse(markers_for(template), list(text), tools=TOOLS).order == [("content", "Hi")]


def test_two_thinking_tags_of_several_words_are_read_with_any_whitespace() -> None:
    text = "<|channel>\nthought\nhm\n<channel|>Hi"
    for pieces in splits(text):
        assert parse(PARSERS["gemma4"], pieces).order == [("thinking", "hm"), ("content", "Hi")]
