"""When to try again, how fast bytes come, and how fast they may."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx

from ollama_engine.errors import ServerUnreachable
from ollama_engine.registry.config import RegistryConfig
from ollama_engine.registry.errors import Transient, Unconnected

LONGEST_PAUSE = 60.0
"""Seconds between two attempts at the most, whatever a registry asks for."""
METER_SPAN = 5.0

T = TypeVar("T")


def pause(failures: int, base: float, asked: float | None = None) -> float:
    """Seconds to wait after so many failures in a row (1 is the first), spread so that many do not come at once."""
    if asked is not None:
        return min(max(asked, 0.0), LONGEST_PAUSE)
    return min(base * 2 ** (failures - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.0)


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that a Retry-After header asks us to wait: a number, or a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()


async def persist(attempt: Callable[[], Awaitable[T]], config: RegistryConfig, what: str, *, connects: int = 256) -> T:
    """The result of `attempt`, tried again while it is Transient; ServerUnreachable when that does not end.

    Args:
        connects: how often in a row at the most to try a registry that no connection can be made to.
    """
    for failures in range(1, config.attempts + 1):
        try:
            return await attempt()
        except Transient as error:
            if failures >= (min(config.attempts, connects) if isinstance(error, Unconnected) else config.attempts):
                raise gave_up(what, error) from error
            await asyncio.sleep(pause(failures, config.backoff, error.wait))
    raise AssertionError("attempts is at least one")


def gave_up(what: str, error: Transient) -> ServerUnreachable:
    return ServerUnreachable(
        f"cannot {what}: {error.reason}", hint="Check the network, then try again: what came stays."
    )


class Meter:
    """Bytes a second over the last few seconds."""

    def __init__(self, span: float = METER_SPAN) -> None:
        self._span = span
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self.total = 0

    def add(self, count: int) -> None:
        self.total += count
        now = time.monotonic()
        if now - self._marks[-1][0] >= self._span / 50:
            self._marks.append((now, self.total))
            while len(self._marks) > 2 and now - self._marks[1][0] > self._span:
                self._marks.popleft()

    @property
    def rate(self) -> float:
        now = time.monotonic()
        while len(self._marks) > 1 and now - self._marks[1][0] > self._span:
            self._marks.popleft()
        since, before = self._marks[0]
        return (self.total - before) / max(now - since, 0.05)


class Throttle:
    """Keeps all transfers together below `bandwidth` bytes a second; 0 lets everything through."""

    def __init__(self, bandwidth: int) -> None:
        self._bandwidth = bandwidth
        self._free_at = 0.0
        self._changed = asyncio.Event()

    @property
    def bandwidth(self) -> int:
        """May be set at any time; whoever waits by the old limit waits no longer."""
        return self._bandwidth

    @bandwidth.setter
    def bandwidth(self, limit: int) -> None:
        self._bandwidth = limit
        self._free_at = 0.0
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def take(self, count: int) -> None:
        """Account for bytes that came or are to go, and wait until they were due."""
        if self._bandwidth <= 0:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self._bandwidth
        await self._pause(self._free_at - now)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
