"""Dialects over HTTP: real llama.cpp says an exact text, cut into tokens at every place; `/api/chat` tells it apart."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from tests.engine.contract.conftest import import_gguf
from tests.support.gguf_models import many_scripts_model, selector
from tests.support.live_server import live_server

TEMPLATE = """{%- if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}
{%- for call in m.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}
{{ messages[-1].content }}"""
"""Ends with the question, which says how the answer is cut."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a town",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
TOWN = "Köln {w"
_TOWN = json.dumps(TOWN, ensure_ascii=False)


@dataclass(frozen=True)
class Spoken:
    text: str
    thinking: str = ""
    content: str = ""
    calls: int = 1


DIALECTS = {
    "qwen3": Spoken(
        f'<think>\nSo <b.\n</think>\n\nLook:\n<tool_call>\n{{"name": "weather", "arguments": {{"town": {_TOWN}}}}}\n'
        f'</tool_call>\n<tool_call>{{"name": "weather", "arguments": {{"town": {_TOWN}}}}}</tool_call>',
        "So <b.",
        "Look:",
        2,
    ),
    "qwen3-coder": Spoken(
        f"Look:\n<tool_call>\n<function=weather>\n<parameter=town>\n{TOWN}\n</parameter>\n</function>\n</tool_call>",
        content="Look:",
    ),
    "harmony": Spoken(
        "<|channel|>analysis<|message|>So <b.<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
        f'<|constrain|>json<|message|>{{"town": {_TOWN}}}',
        "So <b.",
    ),
    "ministral": Spoken(f'[THINK]So <b.[/THINK][TOOL_CALLS]weather[ARGS]{{"town": {_TOWN}}}', "So <b."),
    "gemma4": Spoken(
        f'<|channel>thought\nSo <b.\n<channel|>Look:<|tool_call>call:weather{{town:<|"|>{TOWN}<|"|>}}<tool_call|>',
        "So <b.",
        "Look:",
    ),
    "deepseek3": Spoken(
        "<think>So <b.</think>Look:<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>"
        f'{{"town": {_TOWN}}}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        "So <b.",
        "Look:",
    ),
}


def cuts(text: str) -> list[list[bytes]]:
    """The text in two tokens, the cut at every byte of it."""
    data = text.encode()
    return [[data[:at], data[at:]] for at in range(1, len(data))]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, LocalEngine]]:
    settings = Settings(models=tmp_path / "models")
    async with (
        LocalEngine(settings) as engine,
        live_server(engine, settings) as address,
        httpx.AsyncClient(base_url=address.url, timeout=60) as client,
    ):
        yield client, engine


async def chat(client: httpx.AsyncClient, k: int, *, stream: bool, **fields: Any) -> list[dict[str, Any]]:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": selector(k)}],
        "stream": stream,
        "options": {"temperature": 0},
        **fields,
    }
    response = await client.post("/api/chat", json=body)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("parser", DIALECTS)
async def test_thinking_content_and_calls_come_apart_at_every_token_boundary(
    client: tuple[httpx.AsyncClient, LocalEngine], tmp_path: Path, parser: str
) -> None:
    http, engine = client
    spoken = DIALECTS[parser]
    scripts = cuts(spoken.text)
    path = many_scripts_model(tmp_path / "m.gguf", scripts, template=TEMPLATE)
    await import_gguf(engine, "m", path, parser=parser)
    await chat(http, 0, stream=False)  # brings the model in
    for first in range(0, len(scripts), 8):
        some = range(first, min(first + 8, len(scripts)))
        answers = await asyncio.gather(
            *(chat(http, k, stream=stream, tools=[WEATHER]) for k in some for stream in (True, False))
        )
        for index, chunks in enumerate(answers):
            check(spoken, chunks, streamed=index % 2 == 0, cut=scripts[first + index // 2])


def check(spoken: Spoken, chunks: list[dict[str, Any]], *, streamed: bool, cut: list[bytes]) -> None:
    messages = [chunk["message"] for chunk in chunks]
    thinking = "".join(message.get("thinking", "") for message in messages)
    content = "".join(message["content"] for message in messages)
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    assert (thinking.strip(), content.strip()) == (spoken.thinking, spoken.content), cut
    assert [(call["function"]["name"], call["function"]["arguments"]) for call in calls] == [
        ("weather", {"town": TOWN})
    ] * spoken.calls, cut
    assert all(re.fullmatch("call_[a-z0-9]{8}", call["id"]) for call in calls)
    assert (chunks[-1]["done"], chunks[-1]["done_reason"]) == (True, "stop")
    assert chunks[-1]["eval_count"] == 3  # two pieces and the end
    assert streamed or len(chunks) == 1


SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
JSON_TEXT = f'{{"town": {_TOWN}}}'
FORMATTED = {
    "qwen3": ("<think>\nIs it {so}? </think>", JSON_TEXT, "Is it {so}?"),
    "gemma4": ("<|channel>thought\nIs it {so}?\n<channel|>", JSON_TEXT, "Is it {so}?"),
    "harmony": (
        "<|channel|>analysis<|message|>Is it {so}?<|end|>",
        "<|start|>assistant<|channel|>final<|message|>" + JSON_TEXT,
        "Is it {so}?",
    ),
}
"""Thinking, the answer behind it, and what is to be read as thinking."""


@pytest.mark.parametrize("parser", FORMATTED)
async def test_a_formatted_answer_comes_after_free_thinking_with_one_prefill(
    client: tuple[httpx.AsyncClient, LocalEngine], tmp_path: Path, parser: str
) -> None:
    http, engine = client
    thought, said, thinking = FORMATTED[parser]
    scripts = [[*cut, said.encode()] for cut in cuts(thought) if cut[1] != b"<|end|>"]
    await import_gguf(engine, "m", many_scripts_model(tmp_path / "m.gguf", scripts, template=TEMPLATE), parser=parser)
    for k, script in enumerate(scripts):
        for stream in (True, False):
            chunks = await chat(http, k, stream=stream, format=SCHEMA)
            messages = [chunk["message"] for chunk in chunks]
            assert "".join(message.get("thinking", "") for message in messages).strip() == thinking, script
            assert "".join(message["content"] for message in messages) == JSON_TEXT, script
            assert (chunks[-1]["done_reason"], chunks[-1]["eval_count"]) == ("stop", 4)
    free = (await chat(http, 0, stream=False))[-1]
    held = (await chat(http, 0, stream=False, format=SCHEMA))[-1]
    assert held["prompt_eval_count"] == free["prompt_eval_count"]


async def test_an_answer_that_is_told_not_to_think_is_held_from_its_first_token(
    client: tuple[httpx.AsyncClient, LocalEngine], tmp_path: Path
) -> None:
    http, engine = client
    path = many_scripts_model(tmp_path / "m.gguf", [[b"<think>So.</think>", JSON_TEXT.encode()]], template=TEMPLATE)
    await import_gguf(engine, "m", path, parser="qwen3")
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"], "additionalProperties": False}
    for fields in ({"format": schema}, {"grammar": 'root ::= "{" [ ]? "\\"a\\":" " "? "1}"'}):
        (chunk,) = await chat(http, 0, stream=False, think=False, **fields)
        assert json.loads(chunk["message"]["content"]) == {"a": 1}
        assert "thinking" not in chunk["message"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tool_choice": "required"}, "only allowed when tools are specified"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}, "tools": [WEATHER]}, "no function 'x'"),
        ({"grammar": "root ::= ("}, "invalid grammar at line 1, column 11"),
        ({"grammar": 'root ::= "a"', "format": "json"}, "format and grammar cannot be kept both"),
    ],
)
async def test_what_cannot_be_kept_is_a_400_with_its_reason(
    client: tuple[httpx.AsyncClient, LocalEngine], tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    http, engine = client
    path = many_scripts_model(tmp_path / "m.gguf", [[b"Hello ", b"there"]], template=TEMPLATE)
    await import_gguf(engine, "m", path)
    response = await http.post(
        "/api/chat", json={"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    )
    assert response.status_code == 400
    assert words in response.json()["error"]
