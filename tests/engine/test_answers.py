"""Thinking and tool calls end to end: real llama.cpp says an exact text, the engine tells it apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.types import ChatRequest, GenerateRequest, Message, ToolCall, ToolCallFunction
from tests.engine.contract.conftest import import_gguf
from tests.support.gguf_models import scripted_model

HERMES = """{%- if tools %}<|im_start|>system
# Tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}For each call answer <tool_call>{"name": <name>, "arguments": <object>}</tool_call><|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.reasoning_content or m.thinking %}<think>
{{ m.reasoning_content or m.thinking }}
</think>

{% endif %}{{ m.content }}{% for call in m.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}{% endif %}"""

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
ANSWER = (
    "<think>\nThe user wants weather; I have a tool.\n</think>\n\nLet me look.\n"
    '<tool_call>\n{"name": "weather", "arguments": {"town": "Köln {west}"}}\n</tool_call>\n'
    '<tool_call>\n{"name": "weather", "arguments": {"town": "Rome"}}\n</tool_call>'
)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        yield engine


async def says(engine: LocalEngine, folder: Path, text: str, *, split: int = 3) -> str:
    await import_gguf(engine, "says", scripted_model(folder / "says.gguf", text, split=split, template=HERMES))
    return "says"


@pytest.mark.parametrize("split", [2, 3, 7])
async def test_thinking_content_and_calls_come_apart_wherever_tokens_end(
    engine: LocalEngine, tmp_path: Path, split: int
) -> None:
    model = await says(engine, tmp_path, ANSWER, split=split)
    request = ChatRequest(model, [Message("user", "Weather?")], tools=[WEATHER])
    chunks = [chunk async for chunk in engine.chat(request)]
    thinking = "".join(chunk.message.thinking for chunk in chunks)
    content = "".join(chunk.message.content for chunk in chunks)
    calls = [call for chunk in chunks for call in chunk.message.tool_calls or []]
    assert thinking.strip() == "The user wants weather; I have a tool."
    assert content.strip() == "Let me look."
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("weather", {"town": "Köln {west}"}),
        ("weather", {"town": "Rome"}),
    ]
    assert len({call.id for call in calls}) == 2
    assert (chunks[-1].done_reason, chunks[-1].message.content) == ("stop", "")
    assert not any("<" in chunk.message.content or "{" in chunk.message.content for chunk in chunks)


async def test_thinking_comes_first(engine: LocalEngine, tmp_path: Path) -> None:
    model = await says(engine, tmp_path, ANSWER)
    chunks = [chunk async for chunk in engine.chat(ChatRequest(model, [Message("user", "Hm?")]))]
    kinds = ["thinking" if chunk.message.thinking else "content" for chunk in chunks[:-1]]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"thinking", "content"}


async def test_without_tools_a_call_is_text(engine: LocalEngine, tmp_path: Path) -> None:
    model = await says(engine, tmp_path, ANSWER)
    chunks = [chunk async for chunk in engine.chat(ChatRequest(model, [Message("user", "Weather?")]))]
    assert "<tool_call>" in "".join(chunk.message.content for chunk in chunks)
    assert not any(chunk.message.tool_calls for chunk in chunks)


async def test_a_call_cut_off_by_the_token_limit_is_not_lost(engine: LocalEngine, tmp_path: Path) -> None:
    call = '<tool_call>\n{"name": "weather", "arguments": {"town": "Rome"}}\n</tool_call>'
    model = await says(engine, tmp_path, call)
    request = ChatRequest(model, [Message("user", "?")], tools=[WEATHER], options={"num_predict": 10})
    chunks = [chunk async for chunk in engine.chat(request)]
    content = "".join(chunk.message.content for chunk in chunks)
    assert chunks[-1].done_reason == "length"
    assert content
    assert call.startswith(content)


async def test_generate_gives_thinking_in_its_own_field(engine: LocalEngine, tmp_path: Path) -> None:
    model = await says(engine, tmp_path, "<think>\nHmm.\n</think>\n\nForty-two.")
    chunks = [chunk async for chunk in engine.generate(GenerateRequest(model, "Well?"))]
    assert "".join(chunk.thinking for chunk in chunks).strip() == "Hmm."
    assert "".join(chunk.response for chunk in chunks) == "Forty-two."


async def test_tools_and_earlier_calls_reach_the_template(engine: LocalEngine, tmp_path: Path) -> None:
    model = await says(engine, tmp_path, "Sunny.")
    call = ToolCall(ToolCallFunction("weather", {"town": "Rome"}))
    request = ChatRequest(
        model,
        [Message("user", "Weather?"), Message("assistant", tool_calls=[call]), Message("tool", "22 °C")],
        tools=[WEATHER],
        debug_render_only=True,
    )
    (chunk,) = [chunk async for chunk in engine.chat(request)]
    assert chunk.debug_info is not None
    text = chunk.debug_info.rendered_template
    assert "The weather of a town" in text
    assert '{"name": "weather", "arguments": {"town": "Rome"}}' in text
    assert "22 °C" in text
