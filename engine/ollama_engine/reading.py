"""A figure that costs something to read, or that may not come at all: how `ps` and `devices` ask for theirs.

    stats = Reading(runner.stats, interval=0.5, patience=1.0)
    value = await stats.now()

However many ask, it is read once an interval; where nobody asks it is not read. Who asks waits for a reading that has
just begun, but not for one that hangs: then the last figure is given, and `late` says that it is old.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Reading(Generic[T]):
    """Belongs to one event loop. At most one read is on its way at any time."""

    def __init__(self, read: Callable[[], Awaitable[T]], *, interval: float, patience: float) -> None:
        """
        Args:
            read: reads it. What it raises goes to those who wait for this reading; the last value stays.
            interval: seconds from the beginning of a reading during which it is given to everybody who asks.
            patience: seconds that anybody waits for a reading, counted from its beginning.
        """
        self._read = read
        self._interval = interval
        self._patience = patience
        self._task: asyncio.Task[T] | None = None
        self._began: float | None = None
        self._stale = False
        self.value: T | None = None
        """What was read last; None where nothing has been read yet."""

    @property
    def late(self) -> float:
        """Seconds since the reading began that is on its way, if that is longer than anybody waits for it; else 0."""
        if self._task is None or self._began is None:
            return 0.0
        waited = asyncio.get_running_loop().time() - self._began
        return waited if waited >= self._patience else 0.0

    async def now(self) -> T | None:
        """The value, read within the interval; the one before, or None, where it does not come in time."""
        loop = asyncio.get_running_loop()
        if self._task is None and (self._began is None or loop.time() - self._began >= self._interval):
            self._began = loop.time()
            self._stale = False
            self._task = asyncio.create_task(self._run(), name="reading")
            self._task.add_done_callback(_seen)
        task = self._task
        if task is None:
            return self.value
        if not self.late and self._began is not None:
            await asyncio.wait([task], timeout=self._began + self._patience - loop.time())
        return task.result() if task.done() and not task.cancelled() else self.value

    async def fresh(self) -> T | None:
        """As `now`, of a reading that begins no earlier than this call."""
        if self._task is not None:
            await self.now()
        self.forget()
        return await self.now()

    def forget(self) -> None:
        """The next reading begins before the interval is over: something has changed."""
        self._stale = True
        if self._task is None:
            self._began = None

    async def aclose(self) -> None:
        """Give up a reading that is on its way."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> T:
        try:
            self.value = await self._read()
            return self.value
        finally:
            self._task = None
            if self._stale:
                self._began = None


def _seen(task: asyncio.Task[T]) -> None:
    """Nobody may have waited for its error."""
    if not task.cancelled():
        task.exception()


async def in_thread(read: Callable[[], T]) -> T:
    """The result of a blocking call, as asyncio.to_thread gives it, but in a thread that a program never waits for at
    its end: a driver, or the memory map of a process that hangs, may never answer."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(set_it: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: future.done() or set_it())

    def work() -> None:
        try:
            result = read()
        except Exception as error:  # noqa: BLE001 - the caller's, whatever it is
            failure = error
            tell(lambda: future.set_exception(failure))
        else:
            tell(lambda: future.set_result(result))

    threading.Thread(target=work, name="reading", daemon=True).start()
    return await future
