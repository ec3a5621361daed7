"""The Pulls pane. The queue of downloads comes here: it says so, and how to get models meanwhile."""

from __future__ import annotations

import asyncio

from textual.app import ComposeResult

from ollama_tui import figures, suggestions
from ollama_tui.widgets.empty_state import EmptyState
from ollama_tui.widgets.pane import Pane


class PullsPane(Pane):
    pane_id = "pulls"
    can_focus = True

    def compose(self) -> ComposeResult:
        yield from ()

    async def on_mount(self) -> None:
        memory = await asyncio.to_thread(self.services.machine_memory)
        real = suggestions.suggest(memory)
        await self.mount(
            EmptyState(
                "Pulls",
                "The queue of downloads comes here: progress by layer, speed, pause and resume.",
                (
                    (
                        f"Meanwhile the command line pulls. {real.name} fits this machine "
                        f"({figures.size(memory)}), a download of {figures.size(real.download)}:",
                        suggestions.get_command(real),
                    ),
                    ("Or from a GGUF file that you have:", suggestions.CREATE_COMMAND),
                ),
                "What is in the store shows up in the Library (1), whoever put it there.",
            )
        )

    def focus_target(self) -> PullsPane:
        return self
