"""Forced calls end to end: a model of random weights, its template as published, the whole way through the engine."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ollama_engine.errors import InvalidRequest
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.types import ChatChunk, ChatRequest, Message
from tests.engine.contract.conftest import import_gguf
from tests.engine.grammar.test_tool_calls import BARE, PLAIN, RICH
from tests.engine.test_answers import ANSWER, HERMES, WEATHER
from tests.support.gguf_models import TINY, many_scripts_model, random_model, scripted_model, selector

_PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "chat_templates"
_TEMPLATES = {
    name: _PUBLISHED / f"{name}.jinja"
    for name in (
        *("Qwen-Qwen3-0.6B", "Qwen3-Coder", "openai-gpt-oss-120b", "meta-llama-Llama-3.1-8B-Instruct"),
        *(
            "mistralai-Mistral-Nemo-Instruct-2407",
            "google-gemma-4-31B-it",
            "LFM2.5-8B-A1B",
            "deepseek-ai-DeepSeek-V3.1",
        ),
    )
}
USER = [Message("user", "Plan it.")]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        yield engine


async def ask(engine: LocalEngine, **fields: Any) -> list[ChatChunk]:
    return [chunk async for chunk in engine.chat(ChatRequest("m", USER, **fields))]


def calls_of(chunks: list[ChatChunk]) -> list[tuple[str, Any]]:
    calls = [call for chunk in chunks for call in chunk.message.tool_calls or ()]
    assert all(re.fullmatch("call_[a-z0-9]{8}", call.id) for call in calls)
    return [(call.function.name, call.function.arguments) for call in calls]


@pytest.mark.parametrize("name", _TEMPLATES)
async def test_random_weights_yield_a_call_that_validates(engine: LocalEngine, tmp_path: Path, name: str) -> None:
    if not _TEMPLATES[name].is_file():
        pytest.skip("shared/vectors/chat_templates is not beside this checkout")
    template = _TEMPLATES[name].read_text(encoding="utf-8")
    await import_gguf(engine, "m", random_model(tmp_path / "m.gguf", **TINY, template=template, context_length=8192))
    tools = [PLAIN, RICH, BARE]
    schemas = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in tools}
    named = {"type": "function", "function": {"name": "plan"}}
    for seed, choice in enumerate(["required", named, "required"]):
        options = {"seed": seed, "num_ctx": 8192}
        chunks = await ask(
            engine,
            tools=[PLAIN, RICH, BARE],
            tool_choice=choice,
            parallel_tool_calls=False,
            options=options,
            think=False,
        )
        [(tool, arguments)] = calls_of(chunks)
        assert tool == "plan" or choice == "required"
        jsonschema.validate(arguments, schemas[tool])
        assert "".join(chunk.message.content for chunk in chunks) == ""
        assert chunks[-1].done_reason == "stop"


async def test_the_forced_call_comes_after_free_thinking(engine: LocalEngine, tmp_path: Path) -> None:
    call = b'<tool_call>\n{"name": "weather", "arguments": {"town": "Rome"}}\n</tool_call>'
    scripts = [[b"<think>\nIs it {so}?", b"\n</think>", call], [b"<think>\nHm.\n</think>", b"\n\nIn words."]]
    template = HERMES.replace("{% if enable_thinking is", "{{ messages[-1].content }}{% if enable_thinking is")
    await import_gguf(engine, "m", many_scripts_model(tmp_path / "m.gguf", scripts, template=template))

    async def answer(k: int, **fields: Any) -> list[ChatChunk]:
        request = ChatRequest(
            "m",
            [Message("user", selector(k))],
            tools=[WEATHER],
            options={"temperature": 0, "num_predict": 60},
            **fields,
        )
        return [chunk async for chunk in engine.chat(request)]

    forced = await answer(0, tool_choice="required")
    assert "".join(chunk.message.thinking for chunk in forced) == "Is it {so}?"
    assert calls_of(forced) == [("weather", {"town": "Rome"})]
    assert calls_of(await answer(1)) == []
    held = await answer(1, tool_choice="required", think=True)
    assert "".join(chunk.message.thinking for chunk in held) == "Hm."
    assert "words" not in "".join(chunk.message.content for chunk in held)


async def test_none_hides_the_tools_and_reads_no_calls(engine: LocalEngine, tmp_path: Path) -> None:
    await import_gguf(engine, "m", scripted_model(tmp_path / "m.gguf", ANSWER, template=HERMES))
    chunks = await ask(engine, tools=[WEATHER], tool_choice="none")
    assert calls_of(chunks) == []
    assert "<tool_call>" in "".join(chunk.message.content for chunk in chunks)
    (shown,) = await ask(engine, tools=[WEATHER], tool_choice="none", debug_render_only=True)
    assert shown.debug_info is not None
    assert "weather" not in shown.debug_info.rendered_template


async def test_one_call_is_enough_where_no_parallel_ones_are_wanted(engine: LocalEngine, tmp_path: Path) -> None:
    await import_gguf(engine, "m", scripted_model(tmp_path / "m.gguf", ANSWER, template=HERMES))
    assert len(calls_of(await ask(engine, tools=[WEATHER]))) == 2
    assert len(calls_of(await ask(engine, tools=[WEATHER], parallel_tool_calls=False))) == 1


async def test_what_cannot_be_forced_is_refused_before_the_model_is_asked(engine: LocalEngine, tmp_path: Path) -> None:
    await import_gguf(engine, "m", scripted_model(tmp_path / "m.gguf", ANSWER, template=HERMES))
    for fields, words in (
        ({"tool_choice": "required"}, "only allowed when tools are specified"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}, "tools": [WEATHER]}, "no function 'x'"),
        ({"tool_choice": 7, "tools": [WEATHER]}, "invalid tool_choice: 7"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            await ask(engine, **fields)
    assert await engine.running() == []
