"""The Bench pane: its keys go from tab to tab, all else is `Bench`'s."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.getters import query_one
from textual.widget import Widget

from ollama_tui import actions
from ollama_tui.panes.bench.bench import Bench
from ollama_tui.widgets.pane import Pane, Part


class BenchPane(Pane):
    pane_id = "bench"
    group = "tabs"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("tabs")]

    work = query_one(Bench)

    def compose(self) -> ComposeResult:
        yield Bench(self.services)

    def acting(self) -> tuple[Part, ...]:
        return (self.work, self)

    def fit_in(self) -> None:
        self.work.zoomed = self.zoomed

    def entered(self) -> None:
        self.work.entered()

    def left(self) -> None:
        self.work.left()

    def focus_target(self) -> Widget | None:
        return self.work.focus_target()

    async def offer_models(self, models: tuple[str, ...]) -> None:
        await self.work.offer_models(models)

    def action_tab(self, step: int) -> None:
        self.work.turn(step)
