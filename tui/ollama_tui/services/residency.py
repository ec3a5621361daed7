"""Which models are in memory: polled while somebody looks, and only then."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from ollama_engine.errors import EngineError
from ollama_engine.types import RunningModel
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink
from ollama_tui.services.pace import Pace

REFRESH_SECONDS = 2.0
RETRY_SECONDS = 5.0
SOON = 0.2
"""Seconds after which a model that loads is looked for."""


@dataclass(frozen=True)
class ResidencyView:
    running: tuple[RunningModel, ...] = ()
    known: bool = False
    error: EngineError | None = None


class ResidencyService:
    """One polling task for all panes; `watch_for` and `done_with` say who looks."""

    def __init__(self, link: EngineLink, *, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self.pace = Pace(refresh_seconds)
        self.view = Latest(ResidencyView())
        self._link = link
        self._watchers: set[str] = set()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody looks, so that the engine is asked again and again."""
        return self._wanted.is_set()

    def watch_for(self, who: str) -> None:
        self._watchers.add(who)
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._poll(), name="residency")

    def done_with(self, who: str) -> None:
        self._watchers.discard(who)
        if not self._watchers:
            self._wanted.clear()

    async def _poll(self) -> None:
        while True:
            await self._wanted.wait()
            await self.refresh()
            await self.pace.wait(RETRY_SECONDS if self.view.value.error else 0)

    async def refresh(self) -> None:
        """Ask now; a failure is part of the view, never raised."""
        try:
            running = tuple(await (await self._link.engine()).running())
        except EngineError as error:
            self._link.heard(error)
            self.view.publish(replace(self.view.value, error=error))
            return
        self._link.heard(None)
        self.view.publish(ResidencyView(running, known=True))

    async def load(self, name: str) -> None:
        """Bring a model into memory, seen as it comes; EngineError as `Engine.load`."""
        loading = asyncio.ensure_future((await self._link.engine()).load(name))
        try:
            await asyncio.wait([loading], timeout=SOON)
            await self.refresh()
            await loading
        finally:
            loading.cancel()
        await self.refresh()

    async def unload(self, name: str) -> None:
        """EngineError as `Engine.unload`."""
        await (await self._link.engine()).unload(name)
        await self.refresh()

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
