"""The `langchain-ollama` package from PyPI, unchanged, against a live server."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.settings import HostAddress
from tests.clients.conftest import CELLS, TEXT, Make, settle
from tests.support.gguf_models import scripted_model
from tests.support.media_models import picture

langchain_ollama = pytest.importorskip("langchain_ollama", reason="the extra `clients` is not installed")
pydantic = pytest.importorskip("pydantic", reason="the extra `clients` is not installed")

import ollama  # noqa: E402 - what langchain-ollama stands on


class Place(pydantic.BaseModel):
    """Where it is."""

    city: str


def weather(city: str) -> str:
    """Weather of a city."""
    return city


def chat(server: HostAddress, model: str, **fields: object) -> langchain_ollama.ChatOllama:
    return langchain_ollama.ChatOllama(model=model, base_url=server.url, **fields)


async def test_it_chats(server: HostAddress, story: str) -> None:
    # Its check is a blocking call, and the server runs in this very loop.
    model = await asyncio.to_thread(chat, server, story, validate_model_on_init=True)
    answer = await model.ainvoke("Tell me.")
    assert answer.content == TEXT
    assert answer.response_metadata["done_reason"] == "stop"
    assert answer.usage_metadata["output_tokens"] > 10
    short = await chat(server, story, num_predict=3, num_ctx=512, keep_alive="1m").ainvoke([("human", "Tell me.")])
    assert (short.content, short.response_metadata["done_reason"]) == (TEXT[:9], "length")
    assert (await chat(server, story, stop=["café"]).ainvoke("x")).content == TEXT.partition("café")[0]


async def test_it_streams(server: HostAddress, story: str) -> None:
    parts = [part async for part in chat(server, story).astream("Tell me.")]
    assert "".join(part.content for part in parts) == TEXT
    assert len(parts) > 2

    def read() -> str:
        return "".join(part.content for part in chat(server, story).stream("Tell me."))

    assert await asyncio.to_thread(read) == TEXT


async def test_it_calls_tools(server: HostAddress, caller: str) -> None:
    bound = chat(server, caller).bind_tools([weather])
    answer = await bound.ainvoke("Tell me.")
    [call] = answer.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Paris"})
    result = {"role": "tool", "tool_call_id": call["id"], "content": "rain"}
    assert (await bound.ainvoke([("human", "Tell me."), answer, result])).tool_calls


async def test_it_keeps_to_a_schema(server: HostAddress, make: Make, tmp_path: Path) -> None:
    model = await make("json", scripted_model(tmp_path / "json.gguf", '{"city": "Paris"}'))
    assert await chat(server, model).with_structured_output(Place).ainvoke("Tell me.") == Place(city="Paris")
    loose = await chat(server, model, format="json").ainvoke("Tell me.")
    assert loose.content == '{"city": "Paris"}'


async def test_it_shows_pictures(server: HostAddress, eyes: str) -> None:
    url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"

    async def count(*parts: object) -> int:
        content = [{"type": "text", "text": "What is it?"}, *parts]
        answer = await chat(server, eyes, num_predict=3).ainvoke([{"role": "user", "content": content}])
        return answer.usage_metadata["input_tokens"]

    assert await count({"type": "image_url", "image_url": {"url": url}}) == await count() + CELLS


async def test_it_embeds(server: HostAddress, bert: str) -> None:
    embeddings = langchain_ollama.OllamaEmbeddings(model=bert, base_url=server.url)
    vectors = await embeddings.aembed_documents(["the cat", "hello"])
    assert [len(vector) for vector in vectors] == [64, 64]
    assert await embeddings.aembed_query("hello") == pytest.approx(vectors[1], abs=1e-4)


async def test_it_meets_errors(server: HostAddress) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as error:
        await chat(server, "nope").ainvoke("x")
    assert error.value.status_code == 404


async def test_a_client_that_stops_reading_frees_the_slot(server: HostAddress, engine: Engine, loop: str) -> None:
    parts = chat(server, loop).astream("x")
    async for _ in parts:
        break
    await parts.aclose()
    async with asyncio.timeout(20):
        await settle(engine, loop)
