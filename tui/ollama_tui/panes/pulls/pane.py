"""The Pulls pane. Downloads are not in this build: it says what will be here and how to get models meanwhile."""

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
                "Downloads will queue here: progress by layer, speed, pause and resume. This build cannot pull yet.",
                (
                    ("Meanwhile, from a GGUF file that you have:", suggestions.CREATE_COMMAND),
                    (
                        f"With Ollama itself, whose store is shared. {real.name} fits this machine "
                        f"({figures.size(memory)}), a download of {figures.size(real.download)}:",
                        real.get,
                    ),
                ),
                "What is in the store shows up in the Library (1), whoever put it there.",
            )
        )

    def focus_target(self) -> PullsPane:
        return self
