"""Any conversation through any template, whole or damaged: text comes out, or one of the project's own errors."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollama_engine.errors import EngineError
from ollama_engine.output.dialects import markers_for
from ollama_engine.prompt.render import ChatTemplate, GoChat, JinjaChat
from ollama_engine.types import JSON, Message, ToolCall, ToolCallFunction
from tests.engine.output.test_invented_templates import DIALECTS

_PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "chat_templates"
_PATHS = sorted(_PUBLISHED.glob("*.jinja"))
_GO = {name: dialect.template.source for name, dialect in DIALECTS.items() if isinstance(dialect.template, GoChat)}
_LEGACY = "{{ if .System }}<<SYS>>{{ .System }}<</SYS>>{{ end }}{{ .Prompt }} {{ .Response }} {{ .Suffix }}"
_GO["legacy"] = _LEGACY

_KEYS = st.sampled_from(["type", "function", "name", "description", "parameters", "properties", "required", "a", "é"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(_KEYS, _VALUES, max_size=4)
_CALLS = st.builds(ToolCall, st.builds(ToolCallFunction, st.text(max_size=5), _OBJECTS), st.text(max_size=9))
_MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool", "critic", ""]),
    content=st.text(max_size=8) | st.sampled_from(["<think>", "</think>x", "[img]", "{{ x }}"]),
    thinking=st.text(max_size=4),
    images=st.none() | st.lists(st.just("aGk="), max_size=2),
    tool_calls=st.none() | st.lists(_CALLS, max_size=2),
    tool_name=st.text(max_size=3),
    tool_call_id=st.text(max_size=9),
)
_CONVERSATIONS = st.lists(_MESSAGES, max_size=5)
_TOOLS = st.none() | st.lists(
    _OBJECTS | st.fixed_dictionaries({"type": st.just("function"), "function": _OBJECTS}), max_size=2
)
_THINK = st.sampled_from([None, True, False, "high"])
_LIMITS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(template: ChatTemplate, messages: list[Message], tools: list[JSON] | None, think: Any) -> None:
    with suppress(EngineError):
        assert isinstance(template.render(messages, tools=tools, think=think), str)


@cache
def published(path: Path) -> JinjaChat:
    return JinjaChat(path.read_text(encoding="utf-8"), "<s>", "</s>")


@pytest.mark.skipif(not _PATHS, reason="shared/vectors/chat_templates is not beside this checkout")
@_LIMITS
@given(st.data(), _CONVERSATIONS, _TOOLS, _THINK)
def test_any_conversation_through_a_published_template(
    data: st.DataObject, messages: list[Message], tools: list[JSON] | None, think: Any
) -> None:
    for path in data.draw(st.lists(st.sampled_from(_PATHS), min_size=1, max_size=6, unique=True)):
        check(published(path), messages, tools, think)


@pytest.mark.parametrize("name", _GO)
@_LIMITS
@given(_CONVERSATIONS, _TOOLS, _THINK)
def test_any_conversation_through_a_go_template(
    name: str, messages: list[Message], tools: list[JSON] | None, think: Any
) -> None:
    check(GoChat(_GO[name]), messages, tools, think)
    with suppress(EngineError):
        GoChat(_GO[name]).render_insert("a", "b")


def damaged(data: st.DataObject, source: str) -> str:
    """Some spans taken out, doubled, or put elsewhere."""
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(source)))
        end = min(len(source), begin + data.draw(st.integers(0, 60)))
        to = data.draw(st.integers(0, len(source)))
        piece = source[begin:end] if data.draw(st.booleans()) else data.draw(st.text(max_size=3))
        rest = source[:begin] + source[end:] if data.draw(st.booleans()) else source
        source = rest[:to] + piece + rest[to:]
    return source


@pytest.mark.skipif(not _PATHS, reason="shared/vectors/chat_templates is not beside this checkout")
@_LIMITS
@given(st.data(), _CONVERSATIONS, _TOOLS, _THINK)
def test_a_damaged_jinja_template_fails_in_our_words(
    data: st.DataObject, messages: list[Message], tools: list[JSON] | None, think: Any
) -> None:
    source = damaged(data, data.draw(st.sampled_from(_PATHS)).read_text(encoding="utf-8"))
    with suppress(EngineError):
        template = JinjaChat(source, "<s>", "</s>")
        check(template, messages, tools, think)
        markers_for(template)


@settings(_LIMITS, max_examples=100)
@given(st.data(), _CONVERSATIONS, _TOOLS, _THINK)
def test_a_damaged_go_template_fails_in_our_words(
    data: st.DataObject, messages: list[Message], tools: list[JSON] | None, think: Any
) -> None:
    source = damaged(data, data.draw(st.sampled_from(sorted(_GO.values()))))
    with suppress(EngineError):
        template = GoChat(source)
        check(template, messages, tools, think)
        markers_for(template)
