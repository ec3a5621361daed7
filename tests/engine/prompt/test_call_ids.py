"""Histories with any ids reach templates that insist on nine letters and digits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ollama_engine.errors import TemplateError
from ollama_engine.prompt.call_ids import short_ids
from ollama_engine.prompt.jinja import JinjaTemplate
from ollama_engine.prompt.render import JinjaChat
from ollama_engine.types import JSON, Message, ToolCall, ToolCallFunction

_PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "chat_templates"
INSISTS = (
    "{% for m in messages %}{{ m.role }}:{% for c in m.tool_calls or [] %}"
    "{% if c.id|length != 9 %}{{ raise_exception('9!') }}{% endif %}[{{ c.function.name }} {{ c.id }}]{% endfor %}"
    "{% if m.role == 'tool' %}{% if m.tool_call_id|length != 9 %}{{ raise_exception('9!') }}{% endif %}"
    "({{ m.content }} {{ m.tool_call_id }}){% endif %}{% endfor %}"
)
TAKES_ALL = (
    "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.id }}{% endfor %}{{ m.tool_call_id }}{% endfor %}"
)


def history(first: str, second: str, *results: str) -> list[Message]:
    calls = [ToolCall(ToolCallFunction("f"), first), ToolCall(ToolCallFunction("g", index=1), second)]
    answers = [Message("tool", f"r{at}", tool_call_id=result) for at, result in enumerate(results)]
    return [Message("user", "q"), Message("assistant", tool_calls=calls), *answers]


def named(text: str) -> tuple[list[str], list[str]]:
    return re.findall(r"\[\w (\w+)\]", text), re.findall(r"\(\w+ (\w+)\)", text)


def test_results_keep_to_their_calls() -> None:
    template = JinjaTemplate(INSISTS)
    calls, results = named(template.render(history("call_a1b2c3d4", "call_e5f6g7h8", "call_e5f6g7h8", "call_a1b2c3d4")))
    assert results == calls[::-1]
    assert len({*calls}) == 2
    assert all(re.fullmatch("[A-Za-z0-9]{9}", name) for name in calls)


def test_the_same_history_always_gives_the_same_ids() -> None:
    short = history("call_a1b2c3d4", "x", "x")
    longer = [*short, Message("user", "and then?")]
    assert JinjaTemplate(INSISTS).render(longer).startswith(JinjaTemplate(INSISTS).render(short))


def test_ids_that_are_right_and_templates_that_take_any_are_left_alone() -> None:
    assert named(JinjaTemplate(INSISTS).render(history("abcdefgh1", "call_e5f6g7h8", "abcdefgh1")))[0][0] == "abcdefgh1"
    assert JinjaTemplate(TAKES_ALL).render(history("call_a", "call_b", "call_b")) == "call_acall_bcall_b"


def test_results_without_ids_belong_to_the_calls_in_their_order() -> None:
    calls, results = named(JinjaTemplate(INSISTS).render(history("", "", "", "")))
    assert results == calls
    assert calls[0] != calls[1]


def test_a_result_without_any_call_has_an_id_too() -> None:
    turns: list[JSON] = [{"role": "tool", "content": "r"}]
    assert re.fullmatch("[a-z0-9]{9}", short_ids(turns)[0]["tool_call_id"])


@pytest.mark.parametrize("path", sorted(_PUBLISHED.glob("*.jinja")), ids=lambda path: path.stem)
def test_every_published_template_takes_our_ids(path: Path) -> None:
    """Whatever it renders for ids in its own form, it renders for ours."""
    template = JinjaChat(path.read_text(encoding="utf-8"), "<s>", "</s>")
    properties = {"a": {"type": "integer", "description": "a"}}
    parameters = {"type": "object", "properties": properties, "required": ["a"]}
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": parameters}}

    def render(name: str) -> str:
        call = Message("assistant", tool_calls=[ToolCall(ToolCallFunction("f", {"a": 1}), name)])
        result = Message("tool", "sunny", tool_name="f", tool_call_id=name)
        return template.render([Message("user", "q"), call, result], tools=[tool]).replace(name, "ID")

    try:
        expected = render("abcdefgh1")
    except TemplateError:
        pytest.skip("the template takes no tool results")
    ours = re.sub(r"\b[0-9a-f]{9}\b", "ID", render("call_x1y2z3w4"))
    assert ours == expected
