from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from ollama_engine.server.app import create_app
from ollama_engine.server.description.document import openapi
from ollama_engine.server.routing import ExactRoute
from ollama_engine.settings import Settings
from tests.support.api_document import APIDocument
from tests.support.scripted_engine import ScriptedEngine


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def app(engine: ScriptedEngine) -> Starlette:
    return create_app(engine, Settings())


@pytest.fixture(scope="session")
def api() -> APIDocument:
    """What the server says of itself."""
    app = create_app(ScriptedEngine(), Settings())
    return APIDocument(openapi([route for route in app.routes if isinstance(route, ExactRoute)]))


@pytest.fixture
async def http(app: Starlette, api: APIDocument) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app itself, with no socket between; answers arrive whole, and must be as /openapi.json says."""

    async def check(response: httpx.Response) -> None:
        await response.aread()
        api.check(response)

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost:11434", event_hooks={"response": [check]}
    ) as client:
        yield client
