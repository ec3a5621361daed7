"""The `litellm` package from PyPI, unchanged, against a live server: by each of the three dialects it knows."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.engine import Engine
from ollama_engine.remote import RemoteEngine
from ollama_engine.settings import HostAddress, Settings
from tests.clients.conftest import CELLS, TEXT, Make, settle
from tests.support.gguf_models import scripted_model
from tests.support.live_server import threaded_server
from tests.support.media_models import picture

ASK = [{"role": "user", "content": "Tell me."}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather.", "parameters": SCHEMA}}]

DIALECTS = ["ollama_chat", "openai", "anthropic"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HostAddress]:
    """In a thread: this package asks Ollama what it knows of a model by calls that block the event loop."""
    with threaded_server(Settings(models=tmp_path / "models")) as address:
        yield address


@pytest.fixture
async def engine(server: HostAddress) -> AsyncIterator[Engine]:
    async with RemoteEngine(server) as engine:
        yield engine


@pytest.fixture(scope="module")
def litellm() -> Iterator[Any]:
    """The package, imported without the list of prices that it fetches otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        litellm = pytest.importorskip("litellm", reason="the extra `clients` is not installed")
        litellm.telemetry = False
        yield litellm


def target(server: HostAddress, dialect: str, model: str) -> dict[str, Any]:
    base = f"{server.url}/v1" if dialect == "openai" else server.url
    return {"model": f"{dialect}/{model}", "api_base": base, "api_key": "none", "num_retries": 0, "max_retries": 0}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_it_chats(litellm: Any, server: HostAddress, story: str, dialect: str) -> None:
    to = target(server, dialect, story)
    answer = await litellm.acompletion(messages=ASK, **to)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (TEXT, "stop")
    assert answer.usage.completion_tokens > 10
    short = await litellm.acompletion(messages=ASK, max_tokens=3, **to)
    # Of Ollama's answers this package reads no done_reason but of calls.
    reason = "stop" if dialect == "ollama_chat" else "length"
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == (TEXT[:9], reason)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_it_streams(litellm: Any, server: HostAddress, story: str, dialect: str) -> None:
    stream = await litellm.acompletion(messages=ASK, stream=True, **target(server, dialect, story))
    parts = [part async for part in stream]
    assert "".join(part.choices[0].delta.content or "" for part in parts) == TEXT
    assert parts[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_it_calls_tools(litellm: Any, server: HostAddress, caller: str, dialect: str) -> None:
    answer = await litellm.acompletion(messages=ASK, tools=TOOLS, **target(server, dialect, caller))
    assert answer.choices[0].finish_reason == "tool_calls"
    [call] = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})


@pytest.mark.parametrize("dialect", ["ollama_chat", "openai"])
async def test_it_keeps_to_a_schema(
    litellm: Any, server: HostAddress, make: Make, tmp_path: Path, dialect: str
) -> None:
    model = await make("json", scripted_model(tmp_path / "json.gguf", '{"city": "Paris"}'))
    wanted = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    answer = await litellm.acompletion(messages=ASK, response_format=wanted, **target(server, dialect, model))
    assert json.loads(answer.choices[0].message.content) == {"city": "Paris"}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_it_shows_pictures(litellm: Any, server: HostAddress, eyes: str, dialect: str) -> None:
    url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    text = {"type": "text", "text": "What is it?"}

    async def count(*parts: object) -> int:
        messages = [{"role": "user", "content": [text, *parts]}]
        answer = await litellm.acompletion(messages=messages, max_tokens=3, **target(server, dialect, eyes))
        return answer.usage.prompt_tokens

    assert await count({"type": "image_url", "image_url": {"url": url}}) == await count() + CELLS


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
async def test_it_embeds(litellm: Any, server: HostAddress, bert: str, dialect: str) -> None:
    to = target(server, dialect, bert)
    extra = {"encoding_format": "float"} if dialect == "openai" else {}
    answer = await litellm.aembedding(input=["the cat", "hello"], **to, **extra)
    assert [len(entry["embedding"]) for entry in answer.data] == [64, 64]


async def test_it_responds(litellm: Any, server: HostAddress, story: str) -> None:
    answer = await litellm.aresponses(input="Tell me.", **target(server, "openai", story))
    assert answer.output[0].content[0].text == TEXT


async def test_it_meets_errors(litellm: Any, server: HostAddress) -> None:
    for dialect in ("openai", "anthropic"):
        with pytest.raises(litellm.NotFoundError, match="model 'nope' not found"):
            await litellm.acompletion(messages=ASK, **target(server, dialect, "nope"))
    with pytest.raises(litellm.APIConnectionError, match="model 'nope' not found"):
        await litellm.acompletion(messages=ASK, **target(server, "ollama_chat", "nope"))


async def test_a_client_that_stops_reading_frees_the_slot(
    litellm: Any, server: HostAddress, engine: Engine, loop: str
) -> None:
    # (Its streams of Anthropic's dialect do not close the connection when they are closed.)
    to = target(server, "openai", loop)
    stream = await litellm.acompletion(messages=ASK, stream=True, max_tokens=100_000, **to)
    async for _ in stream:
        break
    await stream.aclose()
    async with asyncio.timeout(20):
        await settle(engine, loop)
