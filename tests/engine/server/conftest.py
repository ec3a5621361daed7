from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from ollama_engine.server.app import create_app
from ollama_engine.settings import Settings
from tests.support.scripted_engine import ScriptedEngine


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def http(engine: ScriptedEngine) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app itself, with no socket between; answers arrive whole."""
    transport = httpx.ASGITransport(app=create_app(engine, Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:11434") as client:
        yield client
