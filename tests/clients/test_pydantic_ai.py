"""The `pydantic-ai` package from PyPI, unchanged, against a live server: as Ollama, OpenAI and Anthropic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.engine import Engine
from ollama_engine.settings import HostAddress
from tests.clients.conftest import CELLS, TEXT, TOOLS, Make, settle
from tests.support.gguf_models import scripted_model
from tests.support.media_models import picture

pydantic_ai = pytest.importorskip("pydantic_ai", reason="the extra `clients` is not installed")
pytest.importorskip("openai", reason="the openai package is not installed")
pytest.importorskip("anthropic", reason="the anthropic package is not installed")

import openai  # noqa: E402
from pydantic import BaseModel  # noqa: E402

Connect = Callable[[HostAddress, str], Any]


class Place(BaseModel):
    """Where it is."""

    city: str


def as_ollama(server: HostAddress, name: str) -> Any:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.ollama import OllamaProvider

    client = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    return OpenAIChatModel(name, provider=OllamaProvider(openai_client=client))


def as_responses(server: HostAddress, name: str) -> Any:
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    return OpenAIResponsesModel(name, provider=OpenAIProvider(openai_client=client))


def as_anthropic(server: HostAddress, name: str) -> Any:
    import anthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0)
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


@pytest.fixture(params=[as_ollama, as_responses, as_anthropic])
def connect(request: pytest.FixtureRequest) -> Connect:
    return request.param


async def test_it_chats(server: HostAddress, story: str, connect: Connect) -> None:
    agent = pydantic_ai.Agent(connect(server, story), instructions="Be brief.")
    first = await agent.run("Tell me.")
    assert first.output == TEXT
    assert first.usage.output_tokens > 10
    assert (await agent.run("More.", message_history=first.all_messages())).output == TEXT


async def test_it_embeds(server: HostAddress, bert: str) -> None:
    from pydantic_ai.embeddings import Embedder
    from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    embedder = Embedder(OpenAIEmbeddingModel(bert, provider=OpenAIProvider(openai_client=client)))
    answer = await embedder.embed_documents(["the cat", "hello"])
    assert [len(vector) for vector in answer.embeddings] == [64, 64]


async def test_it_streams(server: HostAddress, story: str, connect: Connect) -> None:
    agent = pydantic_ai.Agent(connect(server, story))
    async with agent.run_stream("Tell me.") as answer:
        texts = [text async for text in answer.stream_text(delta=True, debounce_by=None)]
    assert "".join(texts) == TEXT


async def test_it_calls_tools(server: HostAddress, caller: str, connect: Connect) -> None:
    asked: list[str] = []

    def weather(city: str) -> str:
        """Weather of a city."""
        asked.append(city)
        return "rain"

    agent = pydantic_ai.Agent(connect(server, caller), tools=[weather])
    with pytest.raises(pydantic_ai.UsageLimitExceeded):  # this model never says anything else
        await agent.run("Tell me.", usage_limits=pydantic_ai.UsageLimits(request_limit=2))
    assert asked == ["Paris", "Paris"]


async def test_it_keeps_to_a_schema(server: HostAddress, make: Make, tmp_path: Path, connect: Connect) -> None:
    text = '<tool_call>\n{"name": "final_result", "arguments": {"city": "Paris"}}\n</tool_call>'
    model = await make("final", scripted_model(tmp_path / "final.gguf", text, template=TOOLS))
    agent = pydantic_ai.Agent(connect(server, model), output_type=pydantic_ai.ToolOutput(Place))
    assert (await agent.run("Tell me.")).output == Place(city="Paris")


async def test_it_keeps_to_a_schema_by_its_format(server: HostAddress, make: Make, tmp_path: Path) -> None:
    model = await make("json", scripted_model(tmp_path / "json.gguf", '{"city": "Paris"}'))
    agent = pydantic_ai.Agent(as_ollama(server, model), output_type=pydantic_ai.NativeOutput(Place))
    assert (await agent.run("Tell me.")).output == Place(city="Paris")


async def test_it_shows_pictures(server: HostAddress, eyes: str, connect: Connect) -> None:
    agent = pydantic_ai.Agent(connect(server, eyes), model_settings={"max_tokens": 3})

    async def count(*parts: object) -> int:
        return (await agent.run(["What is it?", *parts])).usage.input_tokens

    seen = pydantic_ai.BinaryContent(picture(), media_type="image/png")
    assert await count(seen) >= await count() + CELLS


async def test_it_meets_errors(server: HostAddress, connect: Connect) -> None:
    with pytest.raises(pydantic_ai.ModelHTTPError, match="model 'nope' not found") as error:
        await pydantic_ai.Agent(connect(server, "nope")).run("Tell me.")
    assert error.value.status_code == 404


async def test_a_client_that_stops_reading_frees_the_slot(
    server: HostAddress, engine: Engine, loop: str, connect: Connect
) -> None:
    agent = pydantic_ai.Agent(connect(server, loop), model_settings={"max_tokens": 100_000})

    async def read() -> None:
        async with agent.run_stream("Tell me.") as answer:
            async for _ in answer.stream_text(delta=True, debounce_by=None):
                raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await read()
    async with asyncio.timeout(20):
        await settle(engine, loop)
