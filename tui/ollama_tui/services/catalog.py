"""What can be had: the catalog of well-known models, and whether each would run where the engine is.

The catalog is a snapshot that comes with the program: nothing is asked of a network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ollama_engine.errors import EngineError
from ollama_engine.known_models import KnownModel, Memory, fits, known_models, machine_memory
from ollama_engine.types import Device, Fit
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink


@dataclass(frozen=True)
class CatalogView:
    """`memory` is that of the engine's machine, or of this one (`memory_is_here`) where the engine does not tell."""

    models: tuple[KnownModel, ...] = ()
    snapshot: date | None = None
    memory: Memory | None = None
    memory_is_here: bool = False

    def fit(self, model: KnownModel) -> Fit | None:
        """Where the model would run; None while the memory is not known."""
        return None if self.memory is None else fits(model, self.memory)

    def family(self, model: KnownModel) -> list[KnownModel]:
        """The other sizes of the same model, and itself."""
        family = model.name.partition(":")[0]
        return [other for other in self.models if other.name.partition(":")[0] == family]


class CatalogService:
    def __init__(self, link: EngineLink) -> None:
        self.view = Latest(CatalogView())
        self._link = link

    async def refresh(self) -> None:
        """Read the snapshot, then ask for the machine's memory; what cannot be told is left out of the view."""
        known = await asyncio.to_thread(known_models)
        before = self.view.value
        models = tuple(known.models)
        self.view.publish(CatalogView(models, known.snapshot, before.memory, before.memory_is_here))
        try:
            memory, here = _memory(await (await self._link.engine()).devices()), False
        except EngineError:  # a server of Ollama's does not tell, one out of reach is told of by other services
            memory, here = await asyncio.to_thread(machine_memory), True
        self.view.publish(CatalogView(models, known.snapshot, memory, here))


def _memory(devices: Iterable[Device]) -> Memory:
    totals: dict[str, int] = {"cpu": 0, "gpu": 0}
    for device in devices:
        if device.kind in totals:
            totals[device.kind] = max(totals[device.kind], device.total)
    return Memory(totals["cpu"], totals["gpu"])
