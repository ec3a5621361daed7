"""The link to the engine: made after the first paint, shared by all services, told when the engine stops answering."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, ServerUnreachable
from ollama_tui.services.latest import Latest

Connect = Callable[[], Awaitable[tuple[Engine, str]]]
"""Chooses an engine (not yet entered) and says in words where it is."""


@dataclass(frozen=True)
class LinkState:
    """What the top line says: where the engine is and whether it answers."""

    status: Literal["connecting", "ready", "offline"]
    label: str
    version: str = ""
    error: EngineError | None = None


class EngineLink:
    """Connects once, on first use; a failed attempt is an error for who asked, and the next one tries again."""

    def __init__(self, connect: Connect, label: str) -> None:
        self.state = Latest(LinkState("connecting", label))
        self._connect = connect
        self._engine: Engine | None = None
        self._lock = asyncio.Lock()

    @classmethod
    def to(cls, engine: Engine, label: str) -> EngineLink:
        """A link to an engine that is already chosen."""

        async def connect() -> tuple[Engine, str]:
            return engine, label

        return cls(connect, label)

    async def engine(self) -> Engine:
        async with self._lock:
            if self._engine is None:
                self._engine = await self._open()
            return self._engine

    async def _open(self) -> Engine:
        try:
            engine, label = await self._connect()
            await engine.__aenter__()
        except EngineError as error:
            self.state.publish(replace(self.state.value, status="offline", error=error))
            raise
        try:
            version = await engine.version()
        except EngineError as error:
            await engine.aclose()
            self.state.publish(LinkState("offline", label, error=error))
            raise
        self.state.publish(LinkState("ready", label, version))
        return engine

    def heard(self, error: EngineError | None) -> None:
        """A service tells how its last call went; only a server out of reach makes the link offline."""
        state = self.state.value
        if isinstance(error, ServerUnreachable):
            if state.status != "offline":
                self.state.publish(replace(state, status="offline", error=error))
        elif state.status == "offline" and self._engine is not None:
            self.state.publish(replace(state, status="ready", error=None))

    async def aclose(self) -> None:
        """End the engine; safe to call twice."""
        async with self._lock:
            engine, self._engine = self._engine, None
            if engine is not None:
                await engine.aclose()
