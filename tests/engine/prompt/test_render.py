"""Prompts as the engine asks for them: which template speaks, what it is given, and how older forms are replayed."""

from __future__ import annotations

import pytest

from ollama_engine.errors import InvalidRequest, TemplateError
from ollama_engine.prompt.capabilities import template_capabilities
from ollama_engine.prompt.collate import collate, mark_images
from ollama_engine.prompt.render import GoChat, JinjaChat, render_generate, select_template
from ollama_engine.types import Message, Think, ToolCall, ToolCallFunction

TURNS = [
    Message("system", "Be brief."),
    Message("user", "Hi"),
    Message("assistant", "Yo"),
    Message("user", "Go on"),
]

LEGACY = (
    "{{ if .System }}<|system|>{{ .System }}<|end|>{{ end }}{{ if .Prompt }}<|user|>{{ .Prompt }}<|end|>{{ end }}"
    "<|assistant|>{{ .Response }}<|end|>"
)
MESSAGES = (
    "{{- range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}<|{{ .Role }}|>{{ .Content }}"
    "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    "{{ range .ToolCalls }}<call>"
    '{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}</call>{{ end }}'
    '<|end|>{{ if and $last (ne .Role "assistant") }}<|assistant|>{{ end }}{{ end }}'
)
TOOL = {
    "type": "function",
    "strict": True,
    "function": {
        "name": "get_weather",
        "description": "Weather <now>",
        "parameters": {
            "type": "object",
            "properties": {
                "unit": {"type": ["string", "null"], "enum": ["C", "F"], "title": "dropped"},
                "city": {"type": "string", "description": "its name"},
            },
            "required": ["city"],
        },
    },
}


def go(source: str, messages: list[Message], tools: list[dict] | None = None, think: Think = None) -> str:
    return GoChat(source).render(messages, tools=tools, think=think)


def test_a_template_of_messages_gets_the_whole_conversation() -> None:
    assert go(MESSAGES, TURNS) == (
        "<|system|>Be brief.<|end|><|user|>Hi<|end|><|assistant|>Yo<|end|><|user|>Go on<|end|><|assistant|>"
    )


def test_system_text_and_an_empty_response_stand_beside_the_messages() -> None:
    turns = [Message("system", "a"), Message("user", "b"), Message("system", "c")]
    assert go("{{ .System }}|{{ len .Messages }}|{{ .Response }}|{{ .Prompt }}", turns) == "a\n\nc|3||<no value>"


def test_calls_and_reasoning_reach_a_go_template() -> None:
    call = ToolCall(ToolCallFunction("f", {"b": 1, "a": "<x>"}, index=2), id="call_1")
    turns = [
        Message("user", "?"),
        Message("assistant", thinking="hm", tool_calls=[call]),
        Message("tool", "12", tool_name="f", tool_call_id="call_1"),
    ]
    assert (
        '<|assistant|><think>hm</think><call>{"name": "f", "arguments": {"b":1,"a":"\\u003cx\\u003e"}}</call><|end|>'
        in (go(MESSAGES, turns))
    )
    source = (
        "{{ range .Messages }}{{ .ToolName }},{{ .ToolCallID }},{{ range .ToolCalls }}{{ json . }}{{ end }};{{ end }}"
    )
    assert go(source, turns) == (
        ',,;,,{"id":"call_1","function":{"index":2,"name":"f","arguments":{"b":1,"a":"\\u003cx\\u003e"}}};f,call_1,;'
    )


def test_tools_print_as_json_with_the_keys_that_ollama_knows() -> None:
    expected = (
        '{"type":"function","function":{"name":"get_weather","description":"Weather \\u003cnow\\u003e","parameters":'
        '{"type":"object","required":["city"],"properties":{"unit":{"type":["string","null"],"enum":["C","F"]},'
        '"city":{"type":"string","description":"its name"}}}}}'
    )
    turns = [Message("user", "?")]
    assert go("{{ range .Tools }}{{ . }}{{ end }}{{ if .Messages }}{{ end }}", turns, [TOOL]) == expected
    assert go("{{ .Tools }}{{ if .Messages }}{{ end }}", turns, [TOOL]) == f"[{expected}]"
    assert go("{{ if .Tools }}yes{{ else }}no{{ end }}{{ if .Messages }}{{ end }}", turns) == "no"


def test_a_template_can_walk_a_tool_s_properties() -> None:
    source = (
        "{{ range .Tools }}{{ with .Function }}{{ .Name }}({{ range $name, $p := .Parameters.Properties }}{{ $name }}: "
        "{{ toTypeScriptType $p }} {{ $p.Type }}{{ if $p.Enum }} {{ json $p.Enum }}{{ end }}, {{ end }}) "
        "{{ .Parameters.Required }}{{ end }}{{ end }}{{ if .Messages }}{{ end }}"
    )
    assert go(source, [Message("user", "?")], [TOOL]) == (
        'get_weather(city: string string, unit: string | null [string null] ["C","F"], ) [city]'
    )


def test_broken_tool_definitions_do_not_break_the_prompt() -> None:
    for tool in ({}, {"function": None}, {"type": "function", "function": {"parameters": {"properties": []}}}):
        assert "function" in go("{{ .Tools }}{{ if .Messages }}{{ end }}", [Message("user", "?")], [tool])


@pytest.mark.parametrize(
    ("think", "expected"),
    [(None, "false||false"), (False, "false||true"), (True, "true|medium|true"), ("high", "true|high|true")],
)
def test_think_has_three_variables(think: Think, expected: str) -> None:
    source = "{{ .Think }}|{{ .ThinkLevel }}|{{ .IsThinkSet }}"
    assert go(source + "{{ if .Messages }}{{ end }}", [Message("user", "?")], think=think) == expected
    assert go(source + "{{ .Response }}", [Message("user", "?")], think=think) == expected


def test_an_older_template_is_replayed_turn_by_turn_and_ends_at_the_response() -> None:
    assert go(LEGACY, TURNS) == (
        "<|system|>Be brief.<|end|><|user|>Hi<|end|><|assistant|>Yo<|end|><|user|>Go on<|end|><|assistant|>"
    )


def test_an_older_template_goes_on_from_the_assistant_s_last_words() -> None:
    assert go(LEGACY, TURNS[:3]) == "<|system|>Be brief.<|end|><|user|>Hi<|end|><|assistant|>Yo"


def test_a_system_message_between_turns_opens_a_new_one() -> None:
    turns = [Message("user", "a"), Message("system", "s"), Message("user", "b")]
    assert go(LEGACY, turns) == "<|user|>a<|end|><|assistant|><|end|><|system|>s<|end|><|user|>b<|end|><|assistant|>"


def test_a_template_with_neither_form_gets_the_response_at_its_end() -> None:
    turns = [Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    assert go("{{ .Prompt }}", turns) == "abc"
    assert go("[{{ .Prompt }}]", turns) == "[a]b[c]"


def test_the_template_layer_wins_over_jinja_and_the_bare_prompt_is_last() -> None:
    assert isinstance(select_template("{{ .Prompt }}", "{{ messages }}"), GoChat)
    assert isinstance(select_template(None, "{{ messages }}"), JinjaChat)
    assert isinstance(select_template("", "{{ messages }}"), JinjaChat)
    assert select_template(None, None).render(TURNS[1:2], tools=None, think=None) == "Hi"
    with pytest.raises(TemplateError, match="line 1"):
        select_template("{{ .Prompt", None)


def test_special_tokens_reach_jinja() -> None:
    chat = select_template(None, "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", "<s>", "</s>")
    assert chat.render([Message("user", "x")], tools=None, think=None) == "<s>x</s>"


ALTERNATING = (
    "{% for m in messages %}{% if loop.previtem is defined and loop.previtem.role == m.role %}"
    "{{ raise_exception('must alternate') }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_jinja_goes_on_from_the_assistant_s_last_words() -> None:
    assert JinjaChat(ALTERNATING).render([Message("user", "a"), Message("assistant", "I say")]) == (
        "<user>a<assistant>I say"
    )


def test_neighbours_of_one_role_are_merged_for_a_template_that_wants_roles_to_alternate() -> None:
    assert JinjaChat(ALTERNATING).render([Message("user", "a"), Message("user", "b")]) == "<user>a\n\nb<assistant>"


def test_collation_merges_neighbours_and_keeps_tool_messages_apart() -> None:
    call = ToolCall(ToolCallFunction("f"))
    turns = [
        Message("system", "s"),
        Message("user", "a", images=["1"]),
        Message("user", "b", images=["2"]),
        Message("assistant", "c"),
        Message("assistant", "", tool_calls=[call]),
        Message("tool", "x"),
        Message("tool", "y"),
        Message("system", "t"),
    ]
    system, merged = collate(turns)
    assert system == "s\n\nt"
    assert [(m.role, m.content) for m in merged] == [
        ("system", "s"), ("user", "a\n\nb"), ("assistant", "c"), ("tool", "x"), ("tool", "y"), ("system", "t"),
    ]  # fmt: skip
    assert merged[1].images == ["1", "2"]
    assert merged[2].tool_calls == [call]


def test_images_become_numbered_markers() -> None:
    turns = [Message("user", "see", images=["x", "y"]), Message("user", "this [img] here", images=["z", "w"])]
    assert [m.content for m in mark_images(turns)] == ["[img-0][img-1]see", "[img-3]this [img-2] here"]
    assert turns[0].content == "see"


def test_generate_goes_the_way_of_chat() -> None:
    chat = GoChat(MESSAGES)
    history = [Message("user", "old"), Message("assistant", "older")]
    assert render_generate(chat, "new", system="S", history=history, images=["x"]) == (
        "<|system|>S<|end|><|user|>old<|end|><|assistant|>older<|end|><|user|>[img-0]new<|end|><|assistant|>"
    )


def test_a_request_s_own_template_speaks_in_place_of_the_model_s() -> None:
    assert render_generate(GoChat(MESSAGES), "p", system="S", template="{{ .System }}>{{ .Prompt }}") == "S>p"
    with pytest.raises(TemplateError):
        render_generate(GoChat(MESSAGES), "p", template="{{ if }}")


def test_a_suffix_is_filled_in_from_prompt_and_suffix_alone() -> None:
    source = "{{ if .Suffix }}<PRE>{{ .Prompt }}<SUF>{{ .Suffix }}<MID>{{ else }}{{ .System }}{{ .Prompt }}{{ end }}"
    assert render_generate(GoChat(source), "def f():", system="S", suffix="return") == "<PRE>def f():<SUF>return<MID>"
    for chat in (GoChat("{{ .Prompt }}"), JinjaChat("{{ messages }}")):
        with pytest.raises(InvalidRequest) as caught:
            render_generate(chat, "a", suffix="b")
        assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ .Prompt }}", []),
        ("{{ if .Suffix }}{{ .Suffix }}{{ end }}", ["insert"]),
        ("{{ if $.Tools }}{{ end }}", ["tools"]),
        (MESSAGES, ["thinking"]),
        (
            "{{ range .Messages }}{{ if $.Tools }}<t>{{ .Thinking }}</t>{{ end }}{{ end }}{{ .Suffix }}",
            ["tools", "insert", "thinking"],
        ),
        ("{{ .Thinking }}", []),
        ("{{ range .Messages }}{{ .Thinking }}{{ end }}", []),
    ],
)
def test_a_go_template_shows_what_the_model_can_do(source: str, expected: list[str]) -> None:
    assert template_capabilities(source) == expected
