"""The tab of what can be had: until the catalog is listed here, the model that fits this machine."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.binding import BindingType

from ollama_tui import actions, figures, suggestions
from ollama_tui.services import Services
from ollama_tui.widgets.empty_state import EmptyState
from ollama_tui.widgets.pane import Part


class Discover(Part):
    """Its actions are the group `discover`."""

    group = "discover"
    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("discover")]

    def __init__(self, services: Services) -> None:
        super().__init__(services, id="discover")

    async def on_mount(self) -> None:
        memory = await asyncio.to_thread(self.services.machine_memory)
        real = suggestions.suggest(memory)
        size = figures.size(real.download)
        why = f"{real.note}; it fits this machine ({figures.size(memory)}), a download of {size}:"
        await self.mount(EmptyState("Discover", real.name, ((why, suggestions.get_command(real)),)))

    def focus_target(self) -> Discover:
        return self
