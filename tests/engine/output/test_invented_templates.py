"""Dialects that nobody has published: what the template shows is all that the parser needs to know."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_engine.output.dialects import markers_for
from ollama_engine.output.frame import call_block, call_frame
from ollama_engine.output.markers import infer_markers
from ollama_engine.output.syntax import ThinkTags
from ollama_engine.prompt.render import ChatTemplate, GoChat, JinjaChat
from tests.engine.output.answers import TOOLS, parse, splits


@dataclass(frozen=True)
class Dialect:
    """A template and two answers in its dialect: one call, and the reasoning and two calls of `_BOTH`."""

    template: ChatTemplate
    one: str
    two: str
    thinking: ThinkTags | None = None


_BOTH = [("get_weather", {"city": 'a "b" }{ <x> c', "days": 3}), ("get_time", {"zone": "Rome"})]
_FIRST, _SECOND = '{"city": "a \\"b\\" }{ <x> c", "days": 3}', '{"zone": "Rome"}'


def jinja(assistant: str, *, prompt: str = "") -> JinjaChat:
    """A template with these words for an assistant's turn; `m` is the message, `c` each call's function after EACH."""
    assistant = assistant.replace("EACH", "{% for t in m.tool_calls or [] %}{% set c = t.function %}")
    return JinjaChat(
        "{% if tools %}{{ '(tools)' + (tools | tojson) + '(end)' }}{% endif %}{% for m in messages %}"
        "{% if m.role == 'assistant' %}((bot)) " + assistant + "((over))"
        "{% else %}(({{ m.role }})) {{ m.content }}((over)){% endif %}{% endfor %}((bot)) " + prompt
    )


def go(assistant: str) -> GoChat:
    """As `jinja`, in the way of Ollama's Go templates."""
    return GoChat(
        "{{ if .Tools }}TOOLS {{ .Tools }} END\n{{ end }}{{ range $i, $m := .Messages }}"
        '{{ $last := eq (len (slice $.Messages $i)) 1 }}{{ if eq .Role "user" }}#user\n{{ .Content }}#stop\n'
        '{{ else if eq .Role "tool" }}#tool\n{{ .Content }}#stop\n{{ else if eq .Role "assistant" }}#bot\n'
        + assistant
        + '{{ if not $last }}#stop\n{{ end }}{{ end }}{{ if and $last (ne .Role "assistant") }}#bot\n{{ end }}{{ end }}'
    )


_ASKED_TO_THINK = """{{ range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 -}}
{{ if eq .Role "user" }}[U]{{ .Content }}{{ if $.Think }} /do{{ else if $.IsThinkSet }} /dont{{ end }}[/U]
{{ else if eq .Role "assistant" }}[A]
{{ if and $.IsThinkSet .Thinking $last }}<consider>{{ .Thinking }}</consider>
{{ end }}{{ .Content }}{{ if not $last }}[/A]
{{ end }}{{ end }}{{ if and $last (ne .Role "assistant") }}[A]
{{ end }}{{ end }}"""
_GO_CALL = '{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}'

DIALECTS = {
    "jinja, guillemets": Dialect(
        jinja(
            "{% if m.reasoning_content %}«hm»{{ m.reasoning_content }}«/hm»{% endif %}{{ m.content }}"
            'EACH«do»{"tool": "{{ c.name }}", "args": {{ c.arguments | tojson }}}«done»{% endfor %}'
        ),
        f'«do»{{"tool": "get_weather", "args": {_FIRST}}}«done»',
        f'«hm»Why not «hm?«/hm»«do»{{"tool": "get_weather", "args": {_FIRST}}}«done»'
        f'«do»{{"tool": "get_time", "args": {_SECOND}}}«done»',
        ThinkTags("«hm»", "«/hm»"),
    ),
    "jinja, unusual keys in a list": Dialect(
        jinja(
            "{{ m.content }}{% if m.tool_calls %}<<ACT>>[EACH"
            '{"verb": "{{ c.name }}", "with": {{ c.arguments | tojson }}}{{ ", " if not loop.last }}{% endfor %}]'
            "<<END>>{% endif %}"
        ),
        f'<<ACT>>[{{"verb": "get_weather", "with": {_FIRST}}}]<<END>>',
        f'<<ACT>> [ {{"verb": "get_weather", "with": {_FIRST}}},\n{{"with": {_SECOND}, "verb": "get_time"}} ] <<END>>',
    ),
    "jinja, name then JSON": Dialect(
        jinja(
            "{% if m.thinking %}<reflect>\n{{ m.thinking }}\n</reflect>\n{% endif %}{{ m.content }}"
            "EACH<|use|>{{ c.name }}<|with|>{{ c.arguments | tojson }}<|used|>{% endfor %}",
            prompt="<reflect>\n",
        ),
        f"<|use|>get_weather<|with|>{_FIRST}<|used|>",
        f"<reflect>Why not «hm?</reflect><|use|>get_weather <|with|>\n{_FIRST}<|use|>get_time<|with|>{_SECOND}<|used|>",
        ThinkTags("<reflect>", "</reflect>"),
    ),
    "jinja, an element for each argument": Dialect(
        jinja(
            "{{ m.content }}{% if m.tool_calls %}\n<calls>EACH\n  <call to='{{ c.name }}'>"
            "{% for k, v in c.arguments.items() %}<arg key='{{ k }}'>{{ v }}</arg>{% endfor %}</call>{% endfor %}"
            "\n</calls>{% endif %}"
        ),
        "<calls><call to='get_weather'><arg key='city'>a \"b\" }{ <x> c</arg><arg key='days'>3</arg></call></calls>",
        "<calls>\n<call to='get_weather'>\n<arg key='city'>a \"b\" }{ <x> c</arg>\n<arg key='days'>3</arg></call>\n"
        "<call to='get_time'><arg key='zone'>Rome</arg></call>\n</calls>\n",
    ),
    "jinja, JSON in elements": Dialect(
        jinja(
            "{{ m.content }}EACH<run tool={{ c.name }}>"
            "{% for k, v in c.arguments.items() %}<in name={{ k }}>{{ v | tojson }}</in>{% endfor %}</run>{% endfor %}"
        ),
        '<run tool=get_weather><in name=city>"a \\"b\\" }{ <x> c"</in><in name=days>3</in></run>',
        '<run tool=get_weather><in name=city>"a \\"b\\" }{ <x> c"</in><in name=days>3</in></run>'
        '<run tool=get_time><in name=zone>"Rome"</in></run>',
    ),
    "jinja, a program": Dialect(
        jinja(
            "{{ m.content }}{% if m.tool_calls %}[[py]][EACH{{ c.name }}({% for k, v in c.arguments.items() %}"
            "{{ k }}={{ v | tojson }}{{ ', ' if not loop.last }}{% endfor %}){{ ', ' if not loop.last }}"
            "{% endfor %}][[/py]]{% endif %}"
        ),
        '[[py]][get_weather(city="a \\"b\\" }{ <x> c", days=3)][[/py]]'.replace("<x>", "\\x3cx\\x3e"),
        "[[py]][get_weather(city='a \"b\" }{ \\x3cx\\x3e c', days=3), get_time(zone='Rome')][[/py]]",
    ),
    "go, tags": Dialect(
        go(
            "{{ if .Thinking }}<muse>{{ .Thinking }}</muse>\n{{ end }}{{ .Content }}"
            "{{ range .ToolCalls }}<invoke>\n" + _GO_CALL + "\n</invoke>\n{{ end }}"
        ),
        f'<invoke>\n{{"name": "get_weather", "arguments": {_FIRST}}}\n</invoke>',
        f'<muse>Why not «hm?</muse>\n<invoke>{{"name": "get_weather", "arguments": {_FIRST}}}</invoke>\n'
        f'<invoke>\n{{"name": "get_time", "arguments": {_SECOND}}}</invoke>',
        ThinkTags("<muse>", "</muse>"),
    ),
    "go, a list under a heading": Dialect(
        go(
            "{{ if .Content }}{{ .Content }}{{ else }}[INVOKE] [{{ range $n, $c := .ToolCalls }}{{ if $n }}, {{ end }}"
            '{"function": {{ json .Function.Name }}, "parameters": {{ .Function.Arguments }}}{{ end }}]{{ end }}'
        ),
        f'[INVOKE][{{"function": "get_weather", "parameters": {_FIRST}}}]',
        f'[INVOKE] [{{"function": "get_weather", "parameters": {_FIRST}}}, '
        f'{{"function": "get_time", "parameters": {_SECOND}}}]',
    ),
    "go, bare JSON": Dialect(
        go("{{ .Content }}{{ range .ToolCalls }}" + _GO_CALL + "{{ end }}"),
        f'{{"name": "get_weather", "arguments": {_FIRST}}}',
        f'{{"name": "get_weather", "arguments": {_FIRST}}}; {{"name": "get_time", "arguments": {_SECOND}}}',
    ),
    "go, reasoning kept only when asked to think": Dialect(
        go(
            "{{ if and $.Think .Thinking }}<ponder>\n{{ .Thinking }}\n</ponder>\n{{ end }}{{ .Content }}"
            "{{ range .ToolCalls }}@@{{ .Function.Name }} {{ .Function.Arguments }}@@{{ end }}"
        ),
        f"@@get_weather {_FIRST}@@",
        f"<ponder>\nWhy not «hm?\n</ponder>\n@@get_weather {_FIRST}@@ @@get_time {_SECOND}@@",
        ThinkTags("<ponder>", "</ponder>"),
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_call_is_read_at_every_split(name: str) -> None:
    dialect = DIALECTS[name]
    markers = infer_markers(dialect.template)
    for pieces in splits(dialect.one):
        assert parse(markers, pieces, tools=TOOLS).order == [("call", (*_BOTH[0], 0))], pieces


@pytest.mark.parametrize("name", DIALECTS)
def test_reasoning_and_parallel_calls_are_read_at_every_split(name: str) -> None:
    dialect = DIALECTS[name]
    markers = infer_markers(dialect.template)
    thought = [("thinking", "Why not «hm?")] if dialect.thinking else []
    calls = [("call", (*call, index)) for index, call in enumerate(_BOTH)]
    assert markers.thinking == dialect.thinking
    for pieces in splits(dialect.two):
        assert parse(markers, pieces, tools=TOOLS).order == [*thought, *calls], pieces


@pytest.mark.parametrize("name", DIALECTS)
def test_content_that_is_no_call_is_left_as_it_is(name: str) -> None:
    markers = infer_markers(DIALECTS[name].template)
    text = 'No: {"a": 1} <b> [x] «q» @ [[p]] @@ [INVOKE] <run> <<ACT it.'
    for pieces in splits(text):
        assert parse(markers, pieces, tools=TOOLS).order == [("content", text)]


def test_a_prompt_that_opens_the_thinking_block_is_told_from_one_that_does_not() -> None:
    opened = infer_markers(DIALECTS["jinja, name then JSON"].template)
    closed = infer_markers(DIALECTS["jinja, guillemets"].template)
    assert (opened.opens_thinking, closed.opens_thinking) == (True, False)
    assert parse(opened, ["mu", "st</refl", "ect>\n\nGo."], starts_in_thinking=True).order == [
        ("thinking", "must"),
        ("content", "Go."),
    ]


def test_words_about_thinking_in_the_question_are_no_part_of_the_tag() -> None:
    assert infer_markers(GoChat(_ASKED_TO_THINK)).thinking == ThinkTags("<consider>", "</consider>")


def test_an_empty_thinking_block_is_no_part_of_a_call() -> None:
    template = jinja(
        "{% if loop.last %}<hm>{{ m.thinking }}</hm>{% endif %}{{ m.content }}EACH<do>{{ c | tojson }}</do>{% endfor %}"
    )
    [call] = infer_markers(template).calls
    assert (call.block_open, call.call_open, call.call_close) == ("", "<do>", "</do>")


def test_a_template_without_tools_and_thinking_has_no_markers() -> None:
    assert infer_markers(go("{{ .Content }}")).calls == ()
    assert infer_markers(GoChat("{{ .System }} {{ .Prompt }}")).thinking is None


def test_markers_that_may_be_special_tokens_are_reported() -> None:
    markers = infer_markers(DIALECTS["jinja, name then JSON"].template)
    assert markers.preserved == ("<reflect>", "</reflect>", "<|use|>", "<|used|>", "<|with|>")


_WORDS = st.sampled_from(
    [
        "<a>", "</a>", "[X]", "{{ '{' }}", "{{ '}' }}", '"', "'", "(", ")", "[", "]", ":", ",", " ", "\n", "<", ">",
        "|", "é", "END", "name",
        "{{ m.content }}", "{{ m.thinking }}", "{{ c.name }}", "{{ c.arguments | tojson }}", "{{ c | tojson }}",
        "{{ c.arguments }}", "{% for k, v in c.arguments.items() %}{{ k }}:{{ v }}</v>{% endfor %}",
        "{% for k in c.arguments %}<k>{{ k }}={{ c.arguments[k] }}{% endfor %}",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(_WORDS, max_size=5), st.lists(_WORDS, max_size=12), st.lists(_WORDS, max_size=4))
def test_any_template_has_markers_that_a_parser_can_use(before: list[str], call: list[str], after: list[str]) -> None:
    body = "{% set c = {} %}" + "".join(before) + "EACH" + "".join(call) + "{% endfor %}" + "".join(after)
    template = jinja(body)
    markers = markers_for(template)
    text = "".join(word for word in (*before, *call, *after) if "{{" not in word and "{%" not in word) + "get_time {}"
    assert parse(markers, list(text), tools=TOOLS) == parse(markers, [text], tools=TOOLS)
    assert call_block(markers).open + call_frame(markers, "get_time").before
    assert all(markers.preserved)
