"""The start collects no garbage, and what comes after it does."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_engine.settings import Settings
from ollama_tui import launch
from ollama_tui.app import Workstation


@pytest.fixture
def collecting() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


async def test_garbage_is_collected_once_the_start_is_over(
    home: Path, collecting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "START_SECONDS", 0.0)
    seen: list[bool] = []

    async def run(app: Workstation, *, mouse: bool) -> None:
        seen.append(gc.isenabled())
        later = asyncio.Event()
        asyncio.get_running_loop().call_later(0.0, later.set)
        await later.wait()
        seen.append(gc.isenabled())

    monkeypatch.setattr(Workstation, "run_async", run)
    gc.disable()
    assert await launch._run(Settings(models=home / "models"), None, {}) == 0
    assert seen == [False, True]
    assert gc.get_freeze_count() > 0
