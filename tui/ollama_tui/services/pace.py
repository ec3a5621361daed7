"""How often something is asked again and again; a new pace holds at once, also for who waits by the old one."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Pace:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = asyncio.Event()

    @property
    def seconds(self) -> float:
        """May be set at any time."""
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._seconds = seconds
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self, at_least: float = 0.0) -> None:
        """Until it is time again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(self._seconds, at_least)):
                await self._changed.wait()
