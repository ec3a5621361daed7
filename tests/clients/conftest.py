"""A live server with real models, for programs that know nothing of this project."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ollama_engine.local import LocalEngine
from ollama_engine.settings import HostAddress, Settings
from tests.support.live_server import live_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[HostAddress]:
    settings = Settings(models=tmp_path / "models")
    async with LocalEngine(settings) as engine, live_server(engine, settings) as address:
        yield address
