"""The PS pane: what is in memory now, refreshed while it is looked at."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.getters import query_one
from textual.widget import Widget
from textual.widgets import DataTable

from ollama_engine.errors import EngineError
from ollama_tui import actions
from ollama_tui.panes.ps.breakdown import breakdown
from ollama_tui.panes.ps.columns import columns, row
from ollama_tui.services.residency import ResidencyView
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.pane import Pane
from ollama_tui.widgets.row_table import RowTable


class PSPane(Pane):
    pane_id = "ps"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("ps")]

    table = query_one("#running", RowTable)
    status = query_one("#ps-status", Lines)
    breakdown_lines = query_one("#ps-breakdown", Lines)

    def compose(self) -> ComposeResult:
        yield RowTable(id="running")
        yield Lines(id="ps-status")
        yield Lines(id="ps-breakdown")

    def on_mount(self) -> None:
        self._view = ResidencyView()
        self._error: EngineError | None = None
        self.follow(self.services.residency.view, self._take, group="residency")

    def entered(self) -> None:
        self.services.residency.watch_for("ps")

    def left(self) -> None:
        self.services.residency.done_with("ps")

    def focus_target(self) -> Widget | None:
        return self.table

    def on_resize(self) -> None:
        self._draw()

    def _take(self, view: ResidencyView) -> None:
        if view.error is not None and self._error is None:
            self.report(view.error)
        self._error = view.error
        self._view = view
        self._draw()

    def _draw(self) -> None:
        if not self.size.width:
            return
        running = () if self._view.error else self._view.running
        self.table.lay_out(columns(self.size.width))
        now = self.services.clock()
        self.table.show_rows({model.name: row(model, now) for model in running})
        self._draw_status(bool(running))
        self._draw_breakdown()

    def _draw_status(self, running: bool) -> None:
        view = self._view
        text = ""
        if view.error is not None:
            text = f"What is in memory is not known: {one_line(view.error.message)}. Trying again."
        elif not view.known:
            text = "asking…"
        elif not running:
            text = (
                "No model is in memory. A model comes in with the first question to it (Chat, 4) "
                "and leaves when nobody has asked for a while."
            )
        self.status.display = bool(text)
        self.status.show(text)

    @on(DataTable.RowHighlighted, "#running")
    def _draw_breakdown(self) -> None:
        selected = self.table.selected
        model = next((one for one in self._view.running if one.name == selected), None)
        self.breakdown_lines.display = model is not None and self._view.error is None
        if model is not None:
            self.breakdown_lines.show(breakdown(model, self.size.width))

    def action_refresh(self) -> None:
        self.run_worker(self.services.residency.refresh(), group="refresh", exclusive=True)

    def action_unload(self) -> None:
        name = self.table.selected
        if name is not None:
            self.run_worker(self._unload(name), group=f"unload-{name}")

    async def _unload(self, name: str) -> None:
        try:
            await self.services.residency.unload(name)
        except EngineError as error:
            self.report(error)
        else:
            self.app.notify(f"{visible(name)} leaves memory once its requests have ended.", markup=False)
