"""A live server with real models, for programs that know nothing of this project."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.local import LocalEngine
from ollama_engine.settings import HostAddress, Settings
from ollama_engine.types import CreateRequest
from tests.support.embedding_models import bert_model
from tests.support.gguf_models import looping_model, scripted_model
from tests.support.live_server import live_server
from tests.support.media_models import text_model, vision_projector

TEXT = "Once upon a time, a café served 🦙s."

Make = Callable[..., Awaitable[str]]
"""A name and GGUF files to the name of the model."""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """The engine behind `server`."""
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        yield engine


@pytest.fixture
async def server(engine: Engine, tmp_path: Path) -> AsyncIterator[HostAddress]:
    async with live_server(engine, Settings(models=tmp_path / "models")) as address:
        yield address


@pytest.fixture
def make(engine: Engine) -> Make:
    """Makes a model of GGUF files, for clients that cannot."""

    async def upload(path: Path) -> str:
        data = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"

        async def body() -> AsyncIterator[bytes]:
            yield data

        await engine.put_blob(digest, body())
        return digest

    async def make(name: str, *paths: Path) -> str:
        files = {path.name: await upload(path) for path in paths}
        async for _ in engine.create(CreateRequest(name, files=files)):
            pass
        return name

    return make


@pytest.fixture
async def story(make: Make, tmp_path: Path) -> str:
    """A model that says TEXT."""
    return await make("story", scripted_model(tmp_path / "story.gguf", TEXT))


@pytest.fixture
async def loop(make: Make, tmp_path: Path) -> str:
    """A model that never ends by itself."""
    return await make("loop", looping_model(tmp_path / "loop.gguf"))


@pytest.fixture
async def caller(make: Make, tmp_path: Path) -> str:
    """A model that calls the tool `weather` for Paris."""
    text = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    return await make("caller", scripted_model(tmp_path / "caller.gguf", text, template=TOOLS))


@pytest.fixture
async def bert(make: Make, tmp_path: Path) -> str:
    """A model that embeds, in 64 dimensions."""
    return await make("bert", bert_model(tmp_path / "bert.gguf"))


@pytest.fixture
async def eyes(make: Make, tmp_path: Path) -> str:
    """A model that sees: a picture is CELLS tokens to it."""
    return await make("eyes", text_model(tmp_path / "text.gguf"), vision_projector(tmp_path / "vision.gguf"))


CELLS = 16


async def settle(engine: Engine, model: str) -> None:
    """Wait until no slot of `model` is busy; for ever where one is not freed, which is the test's time-out."""
    while any(running.name.startswith(model) and running.slots_busy for running in await engine.running()):
        pass


TOOLS = (
    "{% if tools %}<|im_start|>system\n# Tools\n<tools>\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "</tools>\n"
    "For each call answer with a json object within <tool_call></tool_call> XML tags:\n"
    '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n{% endif %}'
    "{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n"
    "</tool_response><|im_end|>\n{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% if m.tool_calls %}{% for call in m.tool_calls %}\n<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}{% endif %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template with tools, as Qwen's has them."""
