"""A reading: once an interval for all who ask, never for nobody, and never waited for without end."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from ollama_engine.reading import Reading, in_thread

LONG = 60.0


class Source:
    """Counts how often it is read; reads wait for `gate`."""

    def __init__(self) -> None:
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.asked = asyncio.Event()

    async def __call__(self) -> int:
        self.reads += 1
        self.asked.set()
        number = self.reads
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return number


@pytest.fixture
async def source() -> Source:
    return Source()


async def test_all_who_ask_at_once_share_one_reading(source: Source) -> None:
    reading = Reading(source, interval=LONG, patience=LONG)
    assert source.reads == 0
    assert await asyncio.gather(*(reading.now() for _ in range(20))) == [1] * 20
    assert await reading.now() == 1


async def test_it_is_read_again_when_the_interval_is_over_or_something_has_changed(source: Source) -> None:
    often, seldom = (Reading(source, interval=interval, patience=LONG) for interval in (0.0, LONG))
    assert [await often.now() for _ in range(3)] == [1, 2, 3]
    assert await seldom.now() == 4
    seldom.forget()
    assert await seldom.now() == 5


async def test_what_changes_during_a_reading_is_read_by_the_next_one(source: Source) -> None:
    reading = Reading(source, interval=LONG, patience=LONG)
    source.gate.clear()
    asked = asyncio.create_task(reading.now())
    await source.asked.wait()
    reading.forget()
    source.gate.set()
    assert (await asked, await reading.now()) == (1, 2)


async def test_a_fresh_one_began_after_it_was_asked_for(source: Source) -> None:
    reading = Reading(source, interval=LONG, patience=LONG)
    source.gate.clear()
    asked = asyncio.create_task(reading.now())
    await source.asked.wait()
    fresh = asyncio.create_task(reading.fresh())
    await asyncio.sleep(0)
    source.gate.set()
    assert (await asked, await fresh, await reading.now()) == (1, 2, 2)


async def test_one_that_hangs_is_waited_for_once_and_read_by_nobody_else(source: Source) -> None:
    reading = Reading(source, interval=0.0, patience=0.05)
    assert await reading.now() == 1
    source.gate.clear()
    assert await reading.now() == 1
    assert reading.late >= 0.05
    for _ in range(50):
        assert await reading.now() == 1
    assert source.reads == 2
    source.gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert reading.value == 2
    assert not reading.late
    await reading.aclose()


async def test_who_stops_waiting_leaves_the_reading_to_the_others(source: Source) -> None:
    reading = Reading(source, interval=LONG, patience=LONG)
    source.gate.clear()
    one, other = (asyncio.create_task(reading.now()) for _ in range(2))
    await source.asked.wait()
    one.cancel()
    source.gate.set()
    assert await other == 1


async def test_its_error_is_told_to_who_waits_and_the_value_stays(source: Source) -> None:
    reading = Reading(source, interval=0.0, patience=LONG)
    assert await reading.now() == 1
    source.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await reading.now()
    assert reading.value == 1


async def test_a_blocking_call_gives_its_result_or_its_error() -> None:
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


def test_a_call_that_never_returns_does_not_keep_the_program_from_its_end() -> None:
    script = """
import asyncio, threading
from ollama_engine.reading import Reading, in_thread

async def main():
    reading = Reading(lambda: in_thread(threading.Event().wait), interval=1, patience=0.01)
    print(await reading.now())
    await reading.aclose()

asyncio.run(main())
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=True)
    assert result.stdout == b"None\n"
