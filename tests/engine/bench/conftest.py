"""Both engines, and runs made by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.local import LocalEngine
from ollama_engine.remote import RemoteEngine
from ollama_engine.settings import Settings
from tests.support.live_server import live_server


@pytest.fixture(params=["local", "remote"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    settings = Settings(models=tmp_path / "models")
    async with LocalEngine(settings) as local:
        if request.param == "local":
            yield local
            return
        async with live_server(local, settings) as address, RemoteEngine(address) as remote:
            yield remote
