"""Models in and out of memory for a benchmark: how long a load takes, and nobody else's model is taken away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from ollama_engine.bench.held import failure_text, held_by, memory_of
from ollama_engine.bench.records import Load
from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, RunnerError, ServerUnreachable
from ollama_engine.types import JSON, GenerateRequest

PATIENCE = 30.0
"""Seconds that a model is given to leave memory."""


class Loader:
    """`before` are the models that were in memory when all began: they stay there at the end."""

    def __init__(self, engine: Engine, before: Iterable[str]) -> None:
        self._engine = engine
        self._before = frozenset(before)

    async def load(self, model: str, options: JSON, times: int) -> Load:
        """Bring `model` in, `times` times. What is in use or pinned is not sent away: then no time is measured."""
        taken: list[int] = []
        notes: list[str] = []
        try:
            for _ in range(times):
                why = await self._in_use(model)
                if why:
                    notes.append(f"{why}: its load was not measured")
                    await self._bring_in(model, options)
                    break
                await self._send_away(model)
                began = time.perf_counter_ns()
                notes += await self._bring_in(model, options)
                taken.append(time.perf_counter_ns() - began)
            memory = await memory_of(self._engine, model)
        except ServerUnreachable:
            raise
        except EngineError as error:
            return Load(model=model, options=options, times_ns=tuple(taken), failure=failure_text(error))
        return Load(
            model=model, options=options, times_ns=tuple(taken), memory=memory, notes=tuple(dict.fromkeys(notes))
        )

    async def leave(self, model: str) -> None:
        """Measured: its memory is free for the next one, unless it was there before."""
        if model in self._before or await self._in_use(model):
            return
        try:
            await self._send_away(model)
        except ServerUnreachable:
            raise
        except EngineError:
            return  # it stays until its time is over

    async def _bring_in(self, model: str, options: JSON) -> list[str]:
        """What was done otherwise than asked."""
        notices: list[str] = []
        async for chunk in self._engine.generate(GenerateRequest(model, options=options or None)):
            notices += chunk.notices
        return notices

    async def _send_away(self, model: str) -> None:
        if not await held_by(self._engine, model):
            return
        await self._engine.unload(model)
        end = time.monotonic() + PATIENCE
        while await held_by(self._engine, model):
            if time.monotonic() > end:
                raise RunnerError(f"{model} does not leave memory", hint="Look who uses it: 'ollama-tui requests'.")
            await asyncio.sleep(0.02)

    async def _in_use(self, model: str) -> str:
        for one in await held_by(self._engine, model):
            if one.pinned:
                return "it is pinned"
            if one.slots_busy or one.queued:
                return "it answers somebody else"
        return ""
