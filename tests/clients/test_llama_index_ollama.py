"""The `llama-index-llms-ollama` package from PyPI, unchanged, against a live server. (It does not embed.)"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.settings import HostAddress
from tests.clients.conftest import CELLS, TEXT, Make, settle
from tests.support.gguf_models import scripted_model
from tests.support.media_models import picture

index_ollama = pytest.importorskip("llama_index.llms.ollama", reason="the extra `clients` is not installed")
core = pytest.importorskip("llama_index.core.llms", reason="the extra `clients` is not installed")
tools = pytest.importorskip("llama_index.core.tools", reason="the extra `clients` is not installed")
pydantic = pytest.importorskip("pydantic", reason="the extra `clients` is not installed")

import ollama  # noqa: E402 - what llama-index-llms-ollama stands on


class Place(pydantic.BaseModel):
    """Where it is."""

    city: str


def weather(city: str) -> str:
    """Weather of a city."""
    return city


ASK = [core.ChatMessage(role="user", content="Tell me.")]


def llm(server: HostAddress, model: str, **fields: object) -> index_ollama.Ollama:
    return index_ollama.Ollama(model=model, base_url=server.url, request_timeout=60, context_window=512, **fields)


async def test_it_chats(server: HostAddress, story: str) -> None:
    answer = await llm(server, story).achat(ASK)
    assert answer.message.content == TEXT
    assert answer.raw["done_reason"] == "stop"
    short = await llm(server, story, additional_kwargs={"num_predict": 3}).achat(ASK)
    assert short.message.content == TEXT[:9]
    assert (await llm(server, story).acomplete("Tell me.")).text == TEXT
    assert (await asyncio.to_thread(llm(server, story).chat, ASK)).message.content == TEXT


async def test_it_streams(server: HostAddress, story: str) -> None:
    parts = [part async for part in await llm(server, story).astream_chat(ASK)]
    assert "".join(part.delta or "" for part in parts) == TEXT
    assert parts[-1].message.content == TEXT
    assert len(parts) > 2


async def test_it_calls_tools(server: HostAddress, caller: str) -> None:
    model = llm(server, caller)
    tool = tools.FunctionTool.from_defaults(weather)
    answer = await model.achat_with_tools([tool], user_msg="Tell me.")
    [call] = model.get_tool_calls_from_response(answer)
    assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Paris"})


async def test_it_keeps_to_a_schema(server: HostAddress, make: Make, tmp_path: Path) -> None:
    model = await make("json", scripted_model(tmp_path / "json.gguf", '{"city": "Paris"}'))
    answer = await llm(server, model).as_structured_llm(Place).achat(ASK)
    assert answer.raw == Place(city="Paris")


async def test_it_shows_pictures(server: HostAddress, eyes: str, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(picture())

    async def count(*blocks: object) -> int:
        message = core.ChatMessage(role="user", blocks=[core.TextBlock(text="What is it?"), *blocks])
        answer = await llm(server, eyes, additional_kwargs={"num_predict": 3}).achat([message])
        return answer.raw["prompt_eval_count"]

    assert await count(core.ImageBlock(path=tmp_path / "cat.png")) == await count() + CELLS


async def test_it_meets_errors(server: HostAddress) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as error:
        await llm(server, "nope").achat(ASK)
    assert error.value.status_code == 404


async def test_a_client_that_stops_reading_frees_the_slot(server: HostAddress, engine: Engine, loop: str) -> None:
    parts = await llm(server, loop).astream_chat(ASK)
    async for _ in parts:
        break
    await parts.aclose()
    async with asyncio.timeout(20):
        await settle(engine, loop)
