"""The models in the store, as the Library pane and the model picker show them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from ollama_engine.errors import EngineError
from ollama_engine.types import JSON, MemoryPlan, ModelInfo, ModelSummary, PlanRequest
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink


@dataclass(frozen=True)
class LibraryView:
    """`known` is false until the engine has answered once; `error` is why the last attempt failed."""

    models: tuple[ModelSummary, ...] = ()
    known: bool = False
    refreshing: bool = False
    error: EngineError | None = None


class LibraryService:
    def __init__(self, link: EngineLink) -> None:
        self.view = Latest(LibraryView())
        self._link = link
        self._details: dict[str, ModelInfo] = {}
        self._lock = asyncio.Lock()

    async def refresh(self) -> None:
        """Ask the engine for its models; a failure is part of the view, never raised."""
        async with self._lock:
            self.view.publish(replace(self.view.value, refreshing=True))
            try:
                models = tuple(await (await self._link.engine()).models())
            except EngineError as error:
                self._link.heard(error)
                self.view.publish(replace(self.view.value, refreshing=False, error=error))
                return
            self._link.heard(None)
            digests = {model.digest for model in models}
            self._details = {digest: info for digest, info in self._details.items() if digest in digests}
            self.view.publish(LibraryView(models, known=True))

    async def details(self, model: ModelSummary) -> ModelInfo:
        """Everything known of one model, asked for once per digest; EngineError as `Engine.show`."""
        info = self._details.get(model.digest)
        if info is None:
            info = await (await self._link.engine()).show(model.name)
            self._details[model.digest] = info
        return info

    async def plan(self, model: ModelSummary, options: JSON | None = None) -> MemoryPlan:
        """Where it would lie in memory if it were loaded now, or lies; EngineError as `Engine.plan`.

        Asked for anew each time: what is free changes."""
        return await (await self._link.engine()).plan(PlanRequest(model.name, options))
