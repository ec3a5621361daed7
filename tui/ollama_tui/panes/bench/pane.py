"""The Bench pane. Measuring is not in this build: it says what will be here and where the figures are meanwhile."""

from __future__ import annotations

from textual.app import ComposeResult

from ollama_tui.widgets.empty_state import EmptyState
from ollama_tui.widgets.pane import Pane


class BenchPane(Pane):
    pane_id = "bench"
    can_focus = True

    def compose(self) -> ComposeResult:
        yield EmptyState(
            "Bench",
            "Measurements will be here: prompt and generation speed, time to first token, load time and memory, over "
            "models and options, with repeats and spread. This build does not measure yet.",
            (
                ("Meanwhile, the figures of a single answer:", "ollama-tui run bard --verbose 'Who goes there?'"),
                ("They also stand under every answer in Chat (4), and live in PS (3).", ""),
            ),
        )

    def focus_target(self) -> BenchPane:
        return self
