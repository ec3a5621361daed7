"""Jinja chat templates: what Hugging Face gives, what no template may do, and what published templates need."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ollama_engine.errors import TemplateError
from ollama_engine.prompt.jinja import JinjaTemplate, TemplateRefusal
from ollama_engine.prompt.jinja_budget import JinjaLimits
from ollama_engine.prompt.render import JinjaChat
from ollama_engine.types import Message, ToolCall, ToolCallFunction

_PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "chat_templates"
_TEMPLATES = sorted(_PUBLISHED.glob("*.jinja"))
_FAST = JinjaLimits(seconds=0.2)

_ASK = [Message("user", "What is up?")]
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "its name"}},
            "required": ["city"],
        },
    },
}


def render(source: str, messages: list[Message] | None = None, **variables: Any) -> str:
    return JinjaTemplate(source, "<s>", "</s>", limits=_FAST).render(messages or _ASK, **variables)


def test_blocks_leave_no_line_behind() -> None:
    source = "{% for m in messages %}\n    {% if m.content %}\n[{{ m.content }}]\n    {% endif %}\n{% endfor %}\nend"
    assert render(source) == "[What is up?]\nend"


def test_the_special_tokens_the_generation_prompt_and_extra_names_reach_the_template() -> None:
    source = "{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}{{ tools }}{{ city }}"
    assert render(source, city="Rome") == "<s></s>TrueNoneRome"


def test_loops_can_break_and_continue() -> None:
    source = (
        "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}"
        "{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}"
    )
    assert render(source) == "023"


def test_tojson_keeps_characters_as_they_are_and_takes_python_options() -> None:
    source = "{{ {'b': '<é>', 'a': [1]} | tojson }}|{{ {'b': 1, 'a': 2} | tojson(indent=1, sort_keys=true) }}"
    assert render(source) == '{"b": "<é>", "a": [1]}|{\n "a": 2,\n "b": 1\n}'
    assert render("{{ {'a': 1, 'b': 2} | tojson(separators=(',', ':')) }}") == '{"a":1,"b":2}'
    assert render("{{ [{'f': 1}] | map(attribute='f') | tojson }}") == "[1]"


def test_generation_blocks_are_their_body() -> None:
    assert render("a{% generation %}{{ messages[0].content }}{% endgeneration %}b") == "aWhat is up?b"


def test_strftime_now_uses_the_clock() -> None:
    template = JinjaTemplate("{{ strftime_now('%d %b %Y') }}", now=lambda: datetime(2026, 2, 3))
    assert template.render(_ASK) == "03 Feb 2026"


def test_text_marked_safe_is_joined_without_escapes() -> None:
    assert render("{{ ('<a>' | safe) + '<b>' }}") == "<a><b>"


def test_think_sets_the_names_that_templates_know() -> None:
    source = "{{ enable_thinking is defined }} {{ enable_thinking }} {{ thinking }} {{ reasoning_effort }}"
    assert render(source) == "False   "
    assert render(source, think=False) == "True False False "
    assert render(source, think="high") == "True True True high"


def test_a_call_and_its_answer_reach_the_template_under_openai_names() -> None:
    call = ToolCall(ToolCallFunction("get_weather", {"city": "Rome"}), id="call_1")
    messages = [
        Message("assistant", thinking="hm", tool_calls=[call]),
        Message("tool", "12", tool_name="get_weather", tool_call_id="call_1"),
    ]
    source = (
        "{% for m in messages %}{% for c in m.tool_calls %}{{ c.type }} {{ c.function.name }} "
        "{{ c.function.arguments.city }} {{ m.reasoning_content }};{% endfor %}"
        "{{ m.name }} {{ m.tool_call_id }};{% endfor %}"
    )
    assert render(source, messages) == "function get_weather Rome hm; ;get_weather call_1;"


def test_a_template_that_joins_arguments_as_text_gets_them_as_json() -> None:
    call = ToolCall(ToolCallFunction("f", {"a": 1}))
    assert (
        render("{{ '' + messages[0].tool_calls[0].function.arguments }}", [Message("assistant", tool_calls=[call])])
        == '{"a": 1}'
    )


def test_calls_that_show_only_beside_null_content_are_not_lost() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'assistant' and m.content is none %}"
        "{% for c in m.tool_calls %}({{ c.function.name }}){% endfor %}"
        "{% else %}[{{ m.content }}]{% endif %}{% endfor %}"
    )
    called = Message("assistant", tool_calls=[ToolCall(ToolCallFunction("f", {}))])
    assert render(source, [*_ASK, called, Message("assistant"), Message("assistant", "b")]) == "[What is up?](f)[][b]"
    plain = "{% for m in messages %}[{{ m.content }}]{% for c in m.tool_calls %}({{ c.function.name }}){% endfor %}"
    assert render(plain + "{% endfor %}", [called]) == "[](f)"


def test_text_parts_are_joined_for_a_template_that_reads_strings() -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    assert JinjaTemplate("{{ '<' + messages[0].content + '>' }}").render([parts]) == "<ab>"


def test_a_string_becomes_a_part_for_a_template_that_reads_parts() -> None:
    source = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    assert render(source) == "What is up?"


def test_an_image_part_reaches_the_template() -> None:
    source = (
        "{% for p in messages[0].content %}{% if p is string %}{{ p }}{% elif p.type == 'image' %}<img>"
        "{% else %}{{ p.text }}{% endif %}{% endfor %}"
    )
    parts = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "see"}]}
    assert JinjaTemplate(source).render([parts]) == "<img>see"


_NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "[{{ m.role }}:{{ m.content }}]{% endfor %}"
)


def test_a_refused_system_message_goes_into_the_first_user_message() -> None:
    messages = [
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Yo"),
        Message("user", "Go"),
    ]
    assert render(_NO_SYSTEM, messages) == "[user:Be brief.\n\nHi][assistant:Yo][user:Go]"


def test_system_messages_out_of_place_go_to_the_front() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
        "{{ raise_exception('first!') }}{% endif %}"
        "[{{ m.role }}:{{ m.content }}]{% endfor %}"
    )
    messages = [Message("user", "Hi"), Message("system", "Be brief."), Message("user", "Go")]
    assert render(source, messages) == "[system:Be brief.][user:Hi][user:Go]"


def test_a_refusal_carries_the_template_s_own_words() -> None:
    with pytest.raises(TemplateRefusal, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n\n{% if %}", "line 3"),
        ("{% for x in messages %}", "line 1"),
        ("{{ 1 | no_such_filter }}", "no_such_filter"),
        ("{% include 'other' %}", "no loader"),
        ("a\nb\n{{ messages.x.y }}", "line 3"),
        ("a\n{{ 1 / 0 }}", "line 2: division by zero"),
        ("{{ '' + 1 }}", "concatenate"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.clear() }}", "unsafe"),
        ("{{ [] | tojson(indent=99) }}", "indent"),
        ("{{ strftime_now('%999999999d') }}", "strftime_now"),
        ("{{ 'a'.encode() }}", "not available"),
        ("{{ cycler | tojson }}", "no JSON form"),
    ],
)
def test_a_broken_template_is_one_clear_error(source: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        render(source)


_LOOP = "{% for i in range(99) %}"
_END = "{% endfor %}"
_NEST = "{% set a = namespace(s=[1]) %}" + _LOOP + "{% set a.s = [a.s, a.s] %}" + _END
_PAIRS = "{% set a = namespace(s=(1,)) %}" + _LOOP + "{% set a.s = (a.s, a.s) %}" + _END
_TEN = "'x' * 10000000"

_BOMBS = {
    "a huge range": "{% for i in range(10**9) %}{% endfor %}",
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "nested loops over text": "{% set s = 'x' * 99999 %}{% for a in s %}{% for b in s if false %}"
    + _END
    + "{% endfor %}",
    "a recursive loop": "{% for i in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "an endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "an exponential macro": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}"
    "{% endmacro %}{{ f(60) }}",
    "a block that calls itself": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "a huge product": "{{ 'x' * 10**10 }}",
    "a huge product at compile time": "{{ [1] * 10000000000 }}",
    "a huge power": "{{ 10 ** (10 ** 10) }}",
    "powers of powers": "{% set ns = namespace(n=3) %}" + _LOOP + "{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "doubling with +": "{% set ns = namespace(s='ab') %}" + _LOOP + "{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "doubling with ~": "{% set ns = namespace(s='ab') %}" + _LOOP + "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "doubling by capture": "{% set ns = namespace(s='ab') %}" + _LOOP + "{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}"
    "{% set ns.s = x %}{% endfor %}",
    "doubling lists": "{% set ns = namespace(s=[1]) %}" + _LOOP + "{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "a list of itself twice": _NEST + "{{ a.s }}",
    "comparing such lists": _NEST + _NEST.replace("a.s", "b.s").replace("set a", "set b") + "{{ a.s == b.s }}",
    "hashing such tuples": _PAIRS + "{{ {a.s: 1} }}",
    "such lists as JSON": _NEST + "{{ a.s | tojson }}",
    "such lists in format": _NEST + "{{ '{!r}'.format(a.s) }}",
    "kept slices": "{% set s = "
    + _TEN
    + " %}{% set l = [] %}{% for i in range(99999) %}{{ l.append(s[1:]) }}{% endfor %}",
    "a list that grows while it is read": "{% set l = [1] %}{% for x in l %}{% set _ = l.append(x) %}{% endfor %}",
    "ljust": "{{ 'x'.ljust(10000000000) }}",
    "zfill": "{{ 'x'.zfill(999999999) }}",
    "expandtabs": "{{ ('\\t' * 1000000).expandtabs(9999) }}",
    "replace": "{% set s = " + _TEN + " %}{{ s.replace('x', s) }}",
    "the replace filter": "{% set s = " + _TEN + " %}{{ s | replace('', s) }}",
    "join": "{% set s = " + _TEN + " %}{{ s.join(s) }}",
    "the join filter": "{% set s = " + _TEN + " %}{{ range(9999) | list | join(s) }}",
    "a format width": "{{ '%1000000000d' % 1 }}",
    "a format width by argument": "{{ '%*d' % (1000000000, 1) }}",
    "the format filter": "{{ '%1000000000d' | format(1) }}",
    "a long format": "{% set s = " + _TEN + " %}{{ ('%(s)s' * 99999) % {'s': s} }}",
    "str.format": "{{ '{:>1000000000}'.format(1) }}",
    "str.format by argument": "{{ '{:>{}}'.format(1, 1000000000) }}",
    "str.format over and over": "{% set s = " + _TEN + " %}{{ ('{0}' * 99999).format(s) }}",
    "center": "{{ 'x' | center(10000000000) }}",
    "indent": "{{ ('\\n' * 10000000) | indent(9999, blank=true) }}",
    "indent with text": "{% set s = " + _TEN + " %}{{ ('\\nx' * 99999) | indent(s) }}",
    "wordwrap": "{% set s = " + _TEN + " %}{{ s | wordwrap(1, wrapstring=s) }}",
    "batch": "{{ [1] | batch(10000000000, 0) | list }}",
    "slice": "{{ [1] | slice(10000000000) | list }}",
    "round": "{{ 5 | round(-1000000000) }}",
    "sum of lists": "{{ ([[1]] * 99999) | sum(start=[]) }}",
    "lots of output": "{% set s = " + _TEN + " %}{% for i in range(99999) %}{{ s }}{% endfor %}",
    "a template of parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "a template of blocks": "{% if 1 %}" * 500 + "{% endif %}" * 500,
    "a template of a megabyte": "x" * 1024 * 1024 + "x",
}


@pytest.mark.parametrize("source", _BOMBS.values(), ids=_BOMBS)
def test_no_template_runs_for_ever_or_fills_the_memory(source: str) -> None:
    started = time.monotonic()
    with pytest.raises(TemplateError):
        render(source)
    assert time.monotonic() - started < 5


def test_rendering_again_starts_with_a_fresh_budget() -> None:
    template = JinjaTemplate("{% for i in range(600) %}{% endfor %}ok", limits=JinjaLimits(steps=1000))
    assert [template.render(_ASK) for _ in range(3)] == ["ok"] * 3


def test_a_template_cannot_change_the_caller_s_messages() -> None:
    turn = {"role": "user", "content": "a", "list": []}
    JinjaTemplate("{% set _ = messages[0]['list'].append(1) %}").render([turn])
    assert turn["list"] == []


# fmt: off
_WORDS = (
    "{{", "{%", "%}", "}}", "messages", "content", ".", "[0]", "if", "for", "x", "in", "endif", "endfor", "else", "set",
    "=", "(", ")", "'", "|", "tojson", "trim", "*", "+", "~", "-", "range", "9", "namespace", "macro", "endmacro", "f",
)
# fmt: on


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(_WORDS) | st.text(max_size=4),
        max_size=25,
    ).map(" ".join)
)
def test_whatever_the_template_says_only_a_template_error_comes_out(source: str) -> None:
    with suppress(TemplateError):
        assert isinstance(render(source), str)


_CONVERSATIONS = {
    "one turn": [Message("user", "Hi there")],
    "system": [Message("system", "Be brief."), Message("user", "Hi there")],
    "multi-turn": [
        Message("system", "Be brief."),
        Message("user", "Hi there"),
        Message("assistant", "Good day."),
        Message("user", "And now?"),
    ],
}


@pytest.mark.skipif(not _TEMPLATES, reason="shared/vectors/chat_templates is not beside this checkout")
@pytest.mark.parametrize("path", _TEMPLATES, ids=[path.stem for path in _TEMPLATES])
def test_published_templates_show_every_message(path: Path) -> None:
    template = JinjaTemplate(path.read_text(), "<s>", "</s>")
    for messages, think in itertools.product(_CONVERSATIONS.values(), (None, True, False)):
        text = template.render(messages, think=think)
        at = 0
        for message in messages:
            if message.role != "system":  # some templates put it in front, some with the last user message
                at = text.index(message.content, at)
            assert message.content in text


@pytest.mark.skipif(not _TEMPLATES, reason="shared/vectors/chat_templates is not beside this checkout")
@pytest.mark.parametrize("path", _TEMPLATES, ids=[path.stem for path in _TEMPLATES])
def test_published_templates_take_text_parts_and_a_tool_round_trip(path: Path) -> None:
    template = JinjaTemplate(path.read_text(), "<s>", "</s>")
    assert "Hi there" in template.render([{"role": "user", "content": [{"type": "text", "text": "Hi there"}]}])
    call = ToolCall(ToolCallFunction("get_weather", {"city": "Rome"}), id="abcdefghi")
    messages = [
        Message("user", "How is it?"),
        Message("assistant", tool_calls=[call]),
        Message("tool", "12 degrees", tool_name="get_weather", tool_call_id="abcdefghi"),
    ]
    if path.stem in _NO_TOOL_TURNS:  # it says so in its own words
        with pytest.raises(TemplateRefusal, match="alternate"):
            template.render(messages, tools=[_TOOL])
        return
    text = template.render(messages, tools=[_TOOL])
    assert "How is it?" in text
    assert ("12 degrees" in text) == (path.stem not in _NO_TOOLS_AT_ALL)
    assert ("get_weather" in text and "Rome" in text) == (path.stem not in _NO_CALLS | _NO_TOOLS_AT_ALL)
    described = template.render([Message("user", "Hi there")], tools=[_TOOL])
    assert ("get_weather" in described) == (path.stem not in _NO_DESCRIPTIONS | _NO_TOOLS_AT_ALL)


_NO_TOOL_TURNS = {"google-gemma-2-2b-it"}
_NO_TOOLS_AT_ALL = {"llama-cpp-rwkv-world", "microsoft-Phi-3.5-mini-instruct"}
_NO_CALLS = {"LFM2-8B-A1B", "LFM2.5-Instruct", "ibm-granite-granite-3.3-2B-Instruct"}
_NO_DESCRIPTIONS = {
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-ai-DeepSeek-V3.1",
}
"""What the published templates leave out themselves: calls in the history, or the descriptions of the tools."""

_THINKS_OR_NOT = {
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "GLM-4.6",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "Qwen-QwQ-32B",
    "Qwen-Qwen3-0.6B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-ai-DeepSeek-V3.1",
    "google-gemma-4-31B-it",
    "google-gemma-4-31B-it-interleaved",
    "ibm-granite-granite-3.3-2B-Instruct",
    "llama-cpp-rwkv-world",
    "openbmb-MiniCPM5-1B",
}


@pytest.mark.skipif(not _TEMPLATES, reason="shared/vectors/chat_templates is not beside this checkout")
@pytest.mark.parametrize("path", _TEMPLATES, ids=[path.stem for path in _TEMPLATES])
def test_think_changes_what_published_templates_that_know_it_write(path: Path) -> None:
    template = JinjaTemplate(path.read_text(), "<s>", "</s>")
    on, off = (template.render(_ASK, think=think) for think in (True, False))
    assert (on != off) == (path.stem in _THINKS_OR_NOT)
    low, high = (template.render(_ASK, think=think) for think in ("low", "high"))
    assert (low != high) == (path.stem == "openai-gpt-oss-120b")


_PARTS_ONLY = """{% for message in messages %}{{ message['role'] | capitalize }}:{% for part in message['content'] -%}
{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}<image>{% endif -%}
{% endfor %}<end>
{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""


_SEEING = {path.stem: path.read_text() for path in _TEMPLATES} | {"parts only": _PARTS_ONLY}


@pytest.mark.parametrize("name", _SEEING)
def test_the_place_of_an_image_goes_through_as_text(name: str) -> None:
    """What stands around an image (`<|vision_start|>`, `<start_of_image>`) comes from llama.cpp with the image; a
    template that was given an image part would write it once more. llama.cpp's own server does the same."""
    chat = JinjaChat(_SEEING[name], "<s>", "</s>")
    turns = [
        Message("user", "What is it?", images=["a"]),
        Message("assistant", "A cat."),
        Message("user", "Is [img] like that one?", images=["b"]),
    ]
    marked = chat.render(turns, mark=lambda number: f"(place {number})")
    assert marked.count("(place 0)What is it?") == 1
    assert marked.count("Is (place 1) like that one?") == 1
    assert marked.count("(place ") == 2
    bare = chat.render([replace(turn, content=turn.content.replace("[img]", ""), images=None) for turn in turns])
    assert marked.replace("(place 0)", "").replace("(place 1)", "") == bare
