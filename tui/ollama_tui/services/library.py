"""The models in the store, as the Library pane and the model picker show them, and what can be done with them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace

from ollama_engine.errors import EngineError, InvalidRequest, ModelNotFound
from ollama_engine.types import JSON, LayerView, MemoryPlan, ModelInfo, ModelSummary, PlanRequest, Update
from ollama_tui.services import names
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink
from ollama_tui.services.listing import ListingFile


@dataclass(frozen=True)
class LibraryView:
    """`known` is false until the engine has answered once; `error` is why the last attempt failed.

    `updates` is what registries said of models, by name, for those that are still as they were then; `remembered` are
    the models of the last time, until the engine has answered.
    """

    models: tuple[ModelSummary, ...] = ()
    known: bool = False
    refreshing: bool = False
    error: EngineError | None = None
    updates: Mapping[str, Update] = field(default_factory=dict)
    remembered: tuple[ModelSummary, ...] = ()

    @property
    def listed(self) -> tuple[ModelSummary, ...]:
        """What there is to look at now."""
        return self.models if self.known else self.remembered


@dataclass(frozen=True)
class Freed:
    """What a delete of some models leaves: bytes of disk freed, bytes kept, and the other models that use those."""

    freed: int
    kept: int
    users: tuple[str, ...]


class LibraryService:
    def __init__(self, link: EngineLink, listing: ListingFile | None = None) -> None:
        """`listing` keeps the models for the next time."""
        self.view = Latest(LibraryView())
        self._listing = listing
        self._link = link
        self._details: dict[str, ModelInfo] = {}
        self._lock = asyncio.Lock()

    def recall(self) -> None:
        """Show the models of the last time until the engine answers. Reads a file of some 300 bytes a model."""
        if self._listing is not None and not self.view.value.known:
            self.view.publish(replace(self.view.value, remembered=self._listing.read()))

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
            as_they_were = {(model.name, model.digest) for model in models}
            updates = {
                name: update for name, update in self.view.value.updates.items() if (name, update.local) in as_they_were
            }
            self.view.publish(LibraryView(models, known=True, updates=updates))
            if self._listing is not None:
                await asyncio.to_thread(self._listing.write, models)

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

    async def layers(self, name: str) -> list[LayerView]:
        """EngineError as `Engine.layers`. Asked for anew each time: what others share changes."""
        return await (await self._link.engine()).layers(name)

    async def would_free(self, names: Sequence[str]) -> Freed:
        """What deleting all of these would free; EngineError as `Engine.layers`."""
        going = set(names)
        blobs = {layer.digest: layer for name in names for layer in await self.layers(name)}
        kept = [layer for layer in blobs.values() if set(layer.models) - going]
        freed = sum(layer.frees for layer in blobs.values() if set(layer.models) <= going)
        users = {user for layer in kept for user in layer.models} - going
        return Freed(freed, sum(layer.size for layer in kept), tuple(sorted(users)))

    async def delete(self, names: Iterable[str], loaded: Iterable[str] = ()) -> list[EngineError]:
        """Delete models; those that are `loaded` leave memory first. Why others are still there."""
        engine = await self._link.engine()
        in_memory = set(loaded)
        errors: list[EngineError] = []
        for name in names:
            try:
                if name in in_memory:
                    with suppress(EngineError):  # its memory is freed later, then
                        await engine.unload(name)
                await engine.delete(name)
            except ModelNotFound:
                continue  # somebody else was quicker
            except EngineError as error:
                errors.append(error)
        await self.refresh()
        return errors

    async def copy(self, source: str, destination: str) -> None:
        """EngineError as `Engine.copy`."""
        await (await self._link.engine()).copy(source, destination)
        await self.refresh()

    async def rename(self, source: str, destination: str) -> None:
        """A copy, and then the old name goes: what fails between leaves both. EngineError as `Engine.copy`."""
        if names.parse(source).same(names.parse(destination)):
            raise InvalidRequest(f"{destination} is its name already")
        engine = await self._link.engine()
        await engine.copy(source, destination)
        try:
            await engine.delete(source)
        finally:
            await self.refresh()

    async def look_for_updates(self, names: Sequence[str] | None = None) -> list[Update]:
        """Ask registries about models, all of them or `names`; each answer is in the view at once.

        EngineError as `Engine.updates`."""
        found: list[Update] = []
        engine = await self._link.engine()
        async with aclosing(engine.updates(names)) as answers:
            async for update in answers:
                found.append(update)
                view = self.view.value
                self.view.publish(replace(view, updates={**view.updates, update.name: update}))
        return found
