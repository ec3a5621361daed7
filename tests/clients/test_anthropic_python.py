"""The `anthropic` package from PyPI, unchanged, against a live server."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.settings import HostAddress
from tests.clients.conftest import CELLS, TEXT, Make, settle
from tests.support.gguf_models import scripted_model
from tests.support.media_models import picture

anthropic = pytest.importorskip("anthropic", reason="the anthropic package is not installed")

ASK = [{"role": "user", "content": "Tell me."}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "weather", "description": "Weather of a city.", "input_schema": SCHEMA}]


@pytest.fixture
def client(server: HostAddress) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0)


async def test_it_talks(client: anthropic.AsyncAnthropic, story: str) -> None:
    answer = await client.messages.create(model=story, max_tokens=100, messages=ASK, system="Be brief.")
    assert ([block.text for block in answer.content], answer.stop_reason) == ([TEXT], "end_turn")
    assert answer.usage.output_tokens > 10
    counted = await client.messages.count_tokens(model=story, messages=ASK, system="Be brief.")
    usage = answer.usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0) > 0
    short = await client.messages.create(model=story, max_tokens=3, messages=ASK)
    assert (short.content[0].text, short.stop_reason) == (TEXT[:9], "max_tokens")
    stopped = await client.messages.create(model=story, max_tokens=100, messages=ASK, stop_sequences=["never", "café"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "café")
    assert stopped.content[0].text == TEXT.partition("café")[0]


async def test_it_streams(client: anthropic.AsyncAnthropic, story: str) -> None:
    async with client.messages.stream(model=story, max_tokens=100, messages=ASK) as stream:
        texts = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert "".join(texts) == TEXT
    assert (final.content[0].text, final.stop_reason) == (TEXT, "end_turn")
    assert final.usage.output_tokens > 10
    events = [e async for e in await client.messages.create(model=story, max_tokens=9, messages=ASK, stream=True)]
    assert events[0].type == "message_start"
    counted = await client.messages.count_tokens(model=story, messages=ASK)
    assert events[0].message.usage.input_tokens == counted.input_tokens
    assert events[-1].type == "message_stop"


async def test_it_calls_tools(client: anthropic.AsyncAnthropic, caller: str) -> None:
    answer = await client.messages.create(model=caller, max_tokens=100, messages=ASK, tools=TOOLS)
    assert answer.stop_reason == "tool_use"
    [use] = [block for block in answer.content if block.type == "tool_use"]
    assert (use.name, use.input) == ("weather", {"city": "Paris"})
    counted = await client.messages.count_tokens(model=caller, messages=ASK, tools=TOOLS)
    assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    again = await client.messages.create(
        model=caller, max_tokens=100, messages=ASK, tools=TOOLS, tool_choice={"type": "tool", "name": "weather"}
    )
    assert again.stop_reason == "tool_use"
    assert (again.usage.cache_read_input_tokens or 0) > 0
    none = await client.messages.create(
        model=caller, max_tokens=100, messages=ASK, tools=TOOLS, tool_choice={"type": "none"}
    )
    assert [block.type for block in none.content] == ["text"]
    async with client.messages.stream(model=caller, max_tokens=100, messages=ASK, tools=TOOLS) as stream:
        final = await stream.get_final_message()
    assert [block.input for block in final.content if block.type == "tool_use"] == [{"city": "Paris"}]
    history = [
        *ASK,
        {"role": "assistant", "content": [block.model_dump() for block in answer.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "rain"}]},
    ]
    assert (await client.messages.create(model=caller, max_tokens=100, messages=history, tools=TOOLS)).content


async def test_it_keeps_to_a_schema(client: anthropic.AsyncAnthropic, make: Make, tmp_path: Path) -> None:
    model = await make("json", scripted_model(tmp_path / "json.gguf", '{"city": "Paris"}'))
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
    answer = await client.messages.create(
        model=model, max_tokens=99, messages=ASK, extra_body={"output_config": wanted}
    )
    assert answer.content[0].text == '{"city": "Paris"}'


async def test_it_shows_pictures(client: anthropic.AsyncAnthropic, eyes: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(picture()).decode()}
    text = {"type": "text", "text": "What is it?"}

    async def count(*blocks: object) -> int:
        messages = [{"role": "user", "content": [*blocks, text]}]
        answer = await client.messages.create(model=eyes, max_tokens=3, messages=messages)
        counted = await client.messages.count_tokens(model=eyes, messages=messages)
        tokens = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
        assert counted.input_tokens == tokens
        return tokens

    assert await count({"type": "image", "source": source}) == await count() + CELLS


async def test_it_meets_errors_with_their_kind(client: anthropic.AsyncAnthropic, story: str, bert: str) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model 'nope' not found"):
        await client.messages.create(model="nope", max_tokens=9, messages=ASK)
    with pytest.raises(anthropic.BadRequestError, match="does not support chat"):
        await client.messages.create(model=bert, max_tokens=9, messages=ASK)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens is required and must be positive"):
        await client.messages.create(model=story, max_tokens=0, messages=ASK)
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.count_tokens(model="nope", messages=ASK)


async def test_a_model_that_dies_ends_the_stream_with_an_error(
    client: anthropic.AsyncAnthropic, engine: Engine, loop: str
) -> None:
    stream = await client.messages.create(model=loop, max_tokens=100_000, messages=ASK, stream=True)
    await anext(aiter(stream))
    [running] = await engine.running()
    os.kill(running.pid, signal.SIGKILL)
    with pytest.raises(anthropic.APIError, match="model runner has unexpectedly stopped"):
        _ = [event async for event in stream]


async def test_a_client_that_stops_reading_frees_the_slot(
    client: anthropic.AsyncAnthropic, engine: Engine, loop: str
) -> None:
    stream = await client.messages.create(model=loop, max_tokens=100_000, messages=ASK, stream=True)
    async for _ in stream:
        break
    await stream.close()
    async with asyncio.timeout(20):
        await settle(engine, loop)


async def test_the_synchronous_client_does_the_same(server: HostAddress, story: str) -> None:
    def use() -> tuple[str, str]:
        client = anthropic.Anthropic(base_url=server.url, api_key="none")
        whole = client.messages.create(model=story, max_tokens=100, messages=ASK).content[0].text
        with client.messages.stream(model=story, max_tokens=100, messages=ASK) as stream:
            return whole, "".join(stream.text_stream)

    assert await asyncio.to_thread(use) == (TEXT, TEXT)
