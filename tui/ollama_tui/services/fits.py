"""Whether each model fits this machine, found out in the background, one model after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ollama_engine.errors import EngineError, NotSupported, ServerUnreachable
from ollama_engine.types import Fit, ModelSummary
from ollama_tui.services.latest import Latest
from ollama_tui.services.library import LibraryService

BATCH_SECONDS = 0.3
"""Answers are shown together, so that a long list is not drawn for each."""


class FitService:
    """`view` maps manifest digests to fits; what cannot be planned for is not in it.

    A fit is kept as long as the program runs: it is said for a machine without other models' requests. `forget` has
    all of them found out anew.
    """

    def __init__(self, library: LibraryService) -> None:
        self.view: Latest[Mapping[str, Fit]] = Latest({})
        self._library = library
        self._asked: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._supported = True

    def find_out(self, models: Sequence[ModelSummary]) -> None:
        """Ask about those of the models that were not asked about yet, in this order, in place of those before."""
        waiting = {model.digest: model for model in models if model.digest not in self._asked}
        self._stop()
        if waiting and self._supported:
            self._task = asyncio.create_task(self._ask(list(waiting.values())), name="fits")

    def forget(self) -> None:
        self._stop()
        self._asked.clear()
        self._supported = True

    async def _ask(self, models: list[ModelSummary]) -> None:
        loop = asyncio.get_running_loop()
        found = dict(self.view.value)
        shown = loop.time()
        try:
            for model in models:
                try:
                    found[model.digest] = (await self._library.plan(model)).fit
                except NotSupported:
                    self._supported = False
                    return
                except ServerUnreachable:
                    return  # asked again when it is back
                except EngineError:
                    found.pop(model.digest, None)  # no model that can be loaded
                self._asked.add(model.digest)
                if loop.time() - shown >= BATCH_SECONDS:
                    self.view.publish(dict(found))
                    shown = loop.time()
        finally:
            if found != self.view.value:
                self.view.publish(found)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
