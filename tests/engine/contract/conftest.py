"""Both engines over one store: the local one, and a remote one that asks a live server over the local one."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.local import LocalEngine
from ollama_engine.remote import RemoteEngine
from ollama_engine.settings import Settings
from ollama_engine.types import CreateRequest
from tests.support.gguf_models import looping_model, scripted_model
from tests.support.live_server import live_server

TEXT = "Once upon a time, a café served naïve 🦙s."

Import = Callable[[str, Path], Awaitable[str]]


@pytest.fixture(scope="session")
def gguf_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gguf")
    return {
        "story": scripted_model(folder / "story.gguf", TEXT),
        "loop": looping_model(folder / "loop.gguf"),
    }


@pytest.fixture(params=["local", "remote"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    settings = Settings(models=tmp_path / "models")
    async with LocalEngine(settings) as local:
        if request.param == "local":
            yield local
            return
        async with live_server(local, settings) as address, RemoteEngine(address) as remote:
            yield remote


async def import_gguf(engine: Engine, name: str, path: Path, **fields: object) -> None:
    """Make a model out of a file by the verbs every engine has."""
    data = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"

    async def body() -> AsyncIterator[bytes]:
        yield data

    await engine.put_blob(digest, body())
    request = CreateRequest(name, files={path.name: digest}, **fields)  # pyright: ignore[reportArgumentType]
    async for _ in engine.create(request):
        pass


@pytest.fixture
async def story(engine: Engine, gguf_files: dict[str, Path]) -> str:
    """A model that answers anything with TEXT."""
    await import_gguf(engine, "story", gguf_files["story"])
    return "story"


@pytest.fixture
async def loop(engine: Engine, gguf_files: dict[str, Path]) -> str:
    """A model that never ends by itself."""
    await import_gguf(engine, "loop", gguf_files["loop"])
    return "loop"
