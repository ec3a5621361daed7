"""`Latest`: one value that changes, and any number of watchers that each see the newest and never a backlog."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A slow watcher skips what it missed: a pane repaints as often as it can, not as often as things change."""

    def __init__(self, value: T) -> None:
        self.value = value
        self._version = 0
        self._changed = asyncio.Event()

    def publish(self, value: T) -> None:
        self.value = value
        self._version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def watch(self) -> AsyncIterator[T]:
        """The value now, then the newest after each change, for as long as the watcher likes."""
        seen = -1
        while True:
            if seen != self._version:
                seen = self._version
                yield self.value
            else:
                await self._changed.wait()
