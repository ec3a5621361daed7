"""The bandwidth limit: bytes are waited for until they were due."""

from __future__ import annotations

import asyncio

import pytest

from ollama_engine.registry.pace import Throttle


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was slept for instead of sleeping."""
    slept: list[float] = []

    async def pause(throttle: Throttle, seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(Throttle, "_pause", pause)
    return slept


async def test_all_that_takes_bytes_waits_in_one_line(waits: list[float]) -> None:
    throttle = Throttle(1000)
    for _ in range(3):
        await throttle.take(500)
    assert waits == [pytest.approx(0.5, abs=0.1), pytest.approx(1.0, abs=0.1), pytest.approx(1.5, abs=0.1)]


async def test_a_new_limit_holds_from_the_next_bytes_on(waits: list[float]) -> None:
    throttle = Throttle(0)
    await throttle.take(1 << 30)
    assert waits == []
    throttle.bandwidth = 100
    await throttle.take(100)
    assert waits == [pytest.approx(1.0, abs=0.1)]


async def test_whoever_waits_by_the_old_limit_waits_no_longer() -> None:
    throttle = Throttle(1)
    async with asyncio.timeout(10):
        waiting = [asyncio.create_task(throttle.take(1_000_000)) for _ in range(2)]
        await asyncio.sleep(0)
        throttle.bandwidth = 1_000_000
        await asyncio.gather(*waiting)
