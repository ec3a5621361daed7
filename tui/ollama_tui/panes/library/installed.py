"""The models in the store: a table, a filter, and what is known of the selected one."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Resize
from textual.getters import query_one
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import DataTable, Input

from ollama_engine.errors import EngineError
from ollama_engine.types import ModelSummary
from ollama_tui import actions, suggestions
from ollama_tui.panes.library.columns import columns, row
from ollama_tui.panes.library.details import details
from ollama_tui.services import Services
from ollama_tui.services.library import LibraryView
from ollama_tui.services.residency import ResidencyView
from ollama_tui.text import one_line
from ollama_tui.widgets.advice import advice
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.pane import Part
from ollama_tui.widgets.row_table import RowTable

BESIDE = 110
"""From this width on, details stand beside the table; below it they open under the table."""


class Installed(Part):
    group = "library"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("library")]

    table = query_one("#models", RowTable)
    filter_input = query_one("#library-filter", Input)
    status = query_one("#library-status", Lines)
    advice_lines = query_one("#library-advice", Lines)
    details_box = query_one("#library-details", VerticalScroll)
    details_text = query_one("#library-details-text", Lines)

    wanted_details: var[bool | None] = var(None)
    """What the user asked for; None is the default: shown where there is room beside the table."""

    def __init__(self, services: Services) -> None:
        super().__init__(services, id="installed")

    def compose(self) -> ComposeResult:
        yield Input(placeholder="filter models", id="library-filter", compact=True)
        with Horizontal(id="library-body"):
            with Vertical(id="library-list"):
                yield RowTable(id="models")
                yield Lines(id="library-status")
            with VerticalScroll(id="library-details", can_focus=False):
                yield Lines(id="library-details-text")
        yield Lines(id="library-advice")

    def on_mount(self) -> None:
        self.filter_input.cursor_blink = False
        self._models: dict[str, ModelSummary] = {}
        self._view = LibraryView()
        self._memory = 0
        self._states: dict[str, str] = {}
        self.follow(self.services.library.view, self._take, group="library")
        self.follow(self.services.residency.view, self._mark_loaded, group="residency")
        self.run_worker(self._measure_memory(), group="memory")

    async def _measure_memory(self) -> None:
        self._memory = await asyncio.to_thread(self.services.machine_memory)
        self._draw_advice()

    def entered(self) -> None:
        self.services.residency.watch_for("library")
        self.run_worker(self.services.library.refresh(), group="refresh", exclusive=True)

    def left(self) -> None:
        self.services.residency.done_with("library")

    def focus_target(self) -> Widget | None:
        return self.table

    def on_resize(self, event: Resize) -> None:
        self._arrange(event.size.width, event.size.height)
        self._draw_rows()

    # Drawing

    def _take(self, view: LibraryView) -> None:
        if view.error is not None and view.error is not self._view.error:
            self.report(view.error)
        self._view = view
        self._models = {model.name: model for model in view.models}
        self._draw_rows()
        self._draw_advice()

    def _mark_loaded(self, view: ResidencyView) -> None:
        states = {running.name: running.state for running in view.running}
        if states != self._states:
            self._states = states
            self._draw_rows()

    def _draw_rows(self) -> None:
        width = self.table.parent.size.width if isinstance(self.table.parent, Widget) else 0
        if not width:
            return
        self.table.lay_out(columns(width))
        now = self.services.clock()
        words = self.filter_input.value.lower().split()
        shown = [model for model in self._view.models if all(word in model.name.lower() for word in words)]
        self.table.show_rows({model.name: row(model, state=self._states.get(model.name), now=now) for model in shown})
        self._draw_status(len(shown))
        self._draw_details()

    def _draw_status(self, shown: int) -> None:
        view = self._view
        text = ""
        if view.error is not None:
            text = f"The store cannot be read: {one_line(view.error.message)}. Press r to try again."
        elif not view.known:
            text = "reading the store…"
        elif not view.models:
            text = f"No models yet. Make one of a GGUF file: {suggestions.CREATE_COMMAND}"
        elif not shown:
            text = "No model has these words in its name; esc shows all."
        self.status.display = bool(text)
        self.status.show(text)

    def _draw_advice(self) -> None:
        only_toys = self._view.known and all(map(suggestions.is_toy, self._models))
        selected = self.table.selected
        selected_toy = selected is not None and suggestions.is_toy(selected)
        wanted = (only_toys or selected_toy) and not self.has_class("-under")
        self.advice_lines.display = wanted
        if wanted:
            self.advice_lines.show(advice(self._memory))

    def _arrange(self, width: int, height: int) -> None:
        beside = width >= BESIDE
        self.set_class(beside, "-beside")
        shown = beside if self.wanted_details is None else self.wanted_details
        self.details_box.display = shown
        self.details_box.can_focus = shown
        self.set_class(shown and not beside, "-under")
        self._draw_advice()

    def watch_wanted_details(self) -> None:
        if self.is_mounted:
            self._arrange(self.size.width, self.size.height)
            self.call_after_refresh(self._draw_rows)

    def _draw_details(self) -> None:
        model = self._models.get(self.table.selected or "")
        if model is None or not self.details_box.display:
            self.details_text.show("")
            return
        self.run_worker(self._read_details(model), group="details", exclusive=True)

    async def _read_details(self, model: ModelSummary) -> None:
        try:
            info = await self.services.library.details(model)
        except EngineError as error:
            self.details_text.show(f"{one_line(model.name)}\n\n{one_line(error.message)}\n{one_line(error.hint)}")
            return
        self.details_text.show(details(model, info))

    # What the user does

    @on(DataTable.RowHighlighted, "#models")
    def _turn_to_row(self) -> None:
        self._draw_advice()
        self.details_box.scroll_home(animate=False)
        self._draw_details()

    @on(DataTable.RowSelected, "#models")
    def _row_clicked(self) -> None:
        self.action_chat()

    @on(Input.Changed, "#library-filter")
    def _filter_typed(self) -> None:
        self._draw_rows()
        self.refresh_bindings()

    @on(Input.Submitted, "#library-filter")
    def _filter_done(self) -> None:
        self.table.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "clear_filter":
            return self.is_mounted and self.filter_input.display
        return True

    def action_chat(self) -> None:
        name = self.table.selected
        if name is not None:
            self.post_message(self.Wanted("chat", (name,)))

    def action_details(self) -> None:
        self.wanted_details = not self.details_box.display

    def action_new(self, base: str = "") -> None:
        self.run_worker(self._write_modelfile(base or self.table.selected or "", new=True), group="editor")

    def action_edit(self, name: str = "") -> None:
        if name := name or self.table.selected or "":
            self.run_worker(self._write_modelfile(name, new=False), group="editor")

    async def _write_modelfile(self, model: str, *, new: bool) -> None:
        from ollama_tui.panes.library.editor import ModelfileEditor

        modelfiles = self.services.modelfiles
        try:
            draft = await (modelfiles.begin(model) if new else modelfiles.edit(model))
        except EngineError as error:
            self.report(error)
            return
        self.app.push_screen(ModelfileEditor(self.services, draft))

    def action_filter(self) -> None:
        self.filter_input.display = True
        self.filter_input.focus()

    def action_clear_filter(self) -> None:
        self.filter_input.value = ""
        self.filter_input.display = False
        self.table.focus()

    def action_refresh(self) -> None:
        self.run_worker(self.services.library.refresh(), group="refresh", exclusive=True)
