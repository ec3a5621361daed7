"""The `openai` package from PyPI, unchanged, against a live server."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.settings import HostAddress
from tests.clients.conftest import CELLS, TEXT, Make, settle
from tests.support.gguf_models import scripted_model
from tests.support.media_models import picture

openai = pytest.importorskip("openai", reason="the openai package is not installed")
pydantic = pytest.importorskip("pydantic", reason="the openai package is not installed")

ASK = [{"role": "user", "content": "Tell me."}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "Weather of a city.", "parameters": SCHEMA}


class Place(pydantic.BaseModel):
    city: str


@pytest.fixture
def client(server: HostAddress) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


async def test_it_chats(client: openai.AsyncOpenAI, story: str) -> None:
    answer = await client.chat.completions.create(model=story, messages=ASK)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (TEXT, "stop")
    assert answer.usage
    assert answer.usage.completion_tokens > 10
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    again = await client.chat.completions.create(model=story, messages=ASK)
    assert again.usage
    assert again.usage.prompt_tokens_details
    assert (again.usage.prompt_tokens_details.cached_tokens or 0) > 0
    short = await client.chat.completions.create(model=story, messages=ASK, max_completion_tokens=3, n=2)
    assert [choice.finish_reason for choice in short.choices] == ["length", "length"]
    assert {choice.message.content for choice in short.choices} == {TEXT[:9]}
    stopped = await client.chat.completions.create(model=story, messages=ASK, stop=["café"])
    assert stopped.choices[0].message.content == TEXT.partition("café")[0]
    own = await client.chat.completions.create(model=story, messages=ASK, extra_body={"options": {"num_predict": 1}})
    assert own.choices[0].message.content == TEXT[:3]


async def test_it_streams(client: openai.AsyncOpenAI, story: str) -> None:
    stream = await client.chat.completions.create(
        model=story, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    parts = [part async for part in stream]
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == TEXT
    assert len(parts) > 3
    assert parts[-1].usage
    assert parts[-1].usage.completion_tokens > 10
    async with client.chat.completions.stream(model=story, messages=ASK) as events:
        final = await events.get_final_completion()
    assert final.choices[0].message.content == TEXT


async def test_it_calls_tools(client: openai.AsyncOpenAI, caller: str) -> None:
    tools = [{"type": "function", "function": WEATHER}]
    answer = await client.chat.completions.create(model=caller, messages=ASK, tools=tools)
    assert answer.choices[0].finish_reason == "tool_calls"
    [call] = answer.choices[0].message.tool_calls or ()
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})
    async with client.chat.completions.stream(model=caller, messages=ASK, tools=tools) as events:
        final = await events.get_final_completion()
    [streamed] = final.choices[0].message.tool_calls or ()
    assert streamed.function.arguments == call.function.arguments
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        forced = await client.chat.completions.create(
            model=caller, messages=ASK, tools=tools, tool_choice=choice, parallel_tool_calls=False
        )
        assert [each.function.name for each in forced.choices[0].message.tool_calls or ()] == ["weather"]
    kept = await client.chat.completions.create(model=caller, messages=ASK, tools=tools, tool_choice="none")
    assert kept.choices[0].message.tool_calls is None
    assert "weather" in (kept.choices[0].message.content or "")
    history = [
        *ASK,
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    assert (await client.chat.completions.create(model=caller, messages=history, tools=tools)).choices


async def test_it_keeps_to_a_schema(client: openai.AsyncOpenAI, make: Make, tmp_path: Path) -> None:
    model = await make("json", scripted_model(tmp_path / "json.gguf", '{"city": "Paris"}'))
    answer = await client.chat.completions.parse(model=model, messages=ASK, response_format=Place)
    assert answer.choices[0].message.parsed == Place(city="Paris")
    loose = await client.chat.completions.create(
        model="bard", messages=ASK, response_format={"type": "json_object"}, max_tokens=200, seed=1
    )
    if loose.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(loose.choices[0].message.content or ""), dict)


async def test_it_shows_pictures(client: openai.AsyncOpenAI, eyes: str) -> None:
    url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    text = {"type": "text", "text": "What is it?"}

    async def count(*parts: object) -> int:
        answer = await client.chat.completions.create(
            model=eyes, messages=[{"role": "user", "content": [text, *parts]}], max_tokens=3
        )
        assert answer.usage
        return answer.usage.prompt_tokens

    assert await count({"type": "image_url", "image_url": {"url": url}}) == await count() + CELLS
    seen = await client.responses.create(
        model=eyes,
        max_output_tokens=3,
        input=[{"role": "user", "content": [{"type": "input_image", "image_url": url, "detail": "auto"}]}],
    )
    assert seen.usage
    assert seen.usage.input_tokens > CELLS


async def test_it_completes(client: openai.AsyncOpenAI, story: str) -> None:
    answer = await client.completions.create(model=story, prompt=["a", "b"])
    assert [choice.text for choice in answer.choices] == [TEXT, TEXT]
    parts = [part async for part in await client.completions.create(model=story, prompt="a", stream=True)]
    assert "".join(part.choices[0].text for part in parts) == TEXT


async def test_it_embeds(client: openai.AsyncOpenAI, bert: str) -> None:
    floats = await client.embeddings.create(model=bert, input=["the cat", "hello"], encoding_format="float")
    packed = await client.embeddings.create(model=bert, input=["the cat", "hello"])  # as base64: the client's own way
    assert [len(entry.embedding) for entry in packed.data] == [64, 64]
    assert packed.data[1].embedding == pytest.approx(floats.data[1].embedding, abs=1e-6)
    assert packed.usage.prompt_tokens == 2 + 1 + 2 * 2
    few = await client.embeddings.create(model=bert, input="the cat", dimensions=16)
    assert len(few.data[0].embedding) == 16


async def test_it_responds(client: openai.AsyncOpenAI, story: str, caller: str) -> None:
    first = await client.responses.create(model=story, input="Tell me.", instructions="Be brief.")
    assert (first.output_text, first.status, first.error) == (TEXT, "completed", None)
    assert first.usage
    assert first.usage.output_tokens > 10
    second = await client.responses.create(model=story, input="More.", previous_response_id=first.id)
    assert second.usage
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    assert (await client.responses.retrieve(second.id)).output_text == TEXT
    await client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(second.id)
    short = await client.responses.create(model=story, input="x", max_output_tokens=3)
    assert short.incomplete_details
    assert (short.output_text, short.incomplete_details.reason) == (TEXT[:9], "max_output_tokens")
    tools = [{"type": "function", "strict": False, **WEATHER}]
    called = await client.responses.create(model=caller, input="Tell me.", tools=tools)
    [call] = [item for item in called.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Paris"})
    output = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
    again = await client.responses.create(model=caller, input=output, previous_response_id=called.id, tools=tools)
    assert again.status == "completed"


async def test_it_streams_responses(client: openai.AsyncOpenAI, engine: Engine, story: str, loop: str) -> None:
    async with client.responses.stream(model=story, input="Tell me.") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    assert final.output_text == TEXT
    stream = await client.responses.create(model=loop, input="x", stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    async with asyncio.timeout(20):
        await settle(engine, loop)
    stream = await client.responses.create(model=loop, input="x", stream=True)
    async for event in stream:
        if event.type == "response.output_text.delta":
            [pid] = [running.pid for running in await engine.running() if running.name.startswith(loop)]
            os.kill(pid, signal.SIGKILL)
            break
    last = [event async for event in stream][-2:]
    assert [event.type for event in last] == ["error", "response.failed"]
    assert "model runner has unexpectedly stopped" in last[0].message


async def test_it_keeps_responses_to_a_schema(client: openai.AsyncOpenAI, make: Make, tmp_path: Path) -> None:
    model = await make("json", scripted_model(tmp_path / "json.gguf", '{"city": "Paris"}'))
    answer = await client.responses.parse(model=model, input="Tell me.", text_format=Place)
    assert answer.output_parsed == Place(city="Paris")


async def test_it_lists_models(client: openai.AsyncOpenAI, story: str) -> None:
    models = [model async for model in client.models.list()]
    assert {model.id for model in models} == {"bard:latest", "story:latest"}
    assert all(model.created > 1_700_000_000 and model.owned_by == "library" for model in models)
    assert (await client.models.retrieve("story")).id == "story"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nope")


async def test_it_meets_errors_with_their_kind(client: openai.AsyncOpenAI, story: str, bert: str) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'nope' not found") as error:
        await client.chat.completions.create(model="nope", messages=ASK)
    assert error.value.type == "not_found_error"
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="nope", messages=ASK, stream=True)
    with pytest.raises(openai.BadRequestError, match='"bert" does not support chat'):
        await client.chat.completions.create(model=bert, messages=ASK)
    with pytest.raises(openai.BadRequestError, match="does not support tools"):
        await client.chat.completions.create(
            model=story, messages=ASK, tools=[{"type": "function", "function": WEATHER}]
        )


async def test_a_model_that_dies_ends_the_stream_with_an_error(
    client: openai.AsyncOpenAI, engine: Engine, loop: str
) -> None:
    stream = await client.chat.completions.create(model=loop, messages=ASK, stream=True)
    await anext(aiter(stream))
    [running] = await engine.running()
    os.kill(running.pid, signal.SIGKILL)
    with pytest.raises(openai.APIError, match="model runner has unexpectedly stopped"):
        _ = [part async for part in stream]


async def test_a_client_that_stops_reading_frees_the_slot(
    client: openai.AsyncOpenAI, engine: Engine, loop: str
) -> None:
    stream = await client.chat.completions.create(model=loop, messages=ASK, stream=True, n=2)
    async for _ in stream:
        break
    await stream.close()
    async with asyncio.timeout(20):
        await settle(engine, loop)


async def test_the_synchronous_client_does_the_same(server: HostAddress, story: str) -> None:
    def use() -> tuple[str, str]:
        client = openai.OpenAI(base_url=f"{server.url}/v1/", api_key="none")
        whole = client.chat.completions.create(model=story, messages=ASK).choices[0].message.content or ""
        parts = client.chat.completions.create(model=story, messages=ASK, stream=True)
        return whole, "".join(part.choices[0].delta.content or "" for part in parts)

    assert await asyncio.to_thread(use) == (TEXT, TEXT)
