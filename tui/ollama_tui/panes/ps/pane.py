"""The PS pane: a `top` for models. What is in memory and what it does, and the machine's devices under it."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.color import Color
from textual.getters import query_one
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import DataTable

from ollama_engine.durations import format_duration
from ollama_engine.errors import EngineError, NotSupported
from ollama_engine.types import KeepAlive, RunningModel
from ollama_tui import actions, figures
from ollama_tui.panes.ps import interval
from ollama_tui.panes.ps.columns import columns, row
from ollama_tui.panes.ps.details import details
from ollama_tui.panes.ps.device_lines import device_lines
from ollama_tui.panes.ps.request_rows import columns as request_columns
from ollama_tui.panes.ps.request_rows import row as request_row
from ollama_tui.services.monitor import MonitorView
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.live_lines import LiveLines
from ollama_tui.widgets.pane import Pane
from ollama_tui.widgets.row_table import RowTable

ROOM_FOR_DEVICES = 10
"""Lines that the pane must have: models go first."""


class PSPane(Pane):
    pane_id = "ps"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("ps")]

    table = query_one("#running", RowTable)
    status = query_one("#ps-status", Lines)
    details_lines = query_one("#ps-details", LiveLines)
    requests = query_one("#requests", RowTable)
    device_lines = query_one("#ps-devices", LiveLines)

    def compose(self) -> ComposeResult:
        yield RowTable(id="running")
        yield Lines(id="ps-status")
        yield LiveLines(id="ps-details")
        yield RowTable(id="requests")
        yield LiveLines(id="ps-devices")

    def on_mount(self) -> None:
        self._view = MonitorView()
        self._error: EngineError | None = None
        self._shown = False
        self.follow(self.services.monitor.view, self._take, group="monitor")
        self.app.theme_changed_signal.subscribe(self, self._repaint)

    def entered(self) -> None:
        self._shown = True
        self.services.monitor.watch()
        self._draw()

    def left(self) -> None:
        self._shown = False
        self.services.monitor.leave()

    def focus_target(self) -> Widget | None:
        return self.table

    def on_resize(self) -> None:
        self._draw()

    @property
    def has_beside(self) -> bool:
        return bool(self._view.models or self._view.requests or self._view.devices)

    def fit_in(self) -> None:
        self._draw()

    # Drawing

    def _take(self, view: MonitorView) -> None:
        self._view = view
        if self._shown:  # other panes ask for models, too
            if view.error is not None and self._error is None:
                self.report(view.error)
            self._error = view.error
            self._draw()

    def _repaint(self, theme: Theme) -> None:
        self._draw()

    def _color(self, name: str) -> str:
        """A colour of the theme as rich names it."""
        return Color.parse(self.app.theme_variables[name]).rich_color.name

    def _draw(self) -> None:
        if not self.size.width:
            return
        models = self._models
        self.table.lay_out(columns(self.size.width))
        now = self.services.clock()
        trends = self._view.generation
        self.table.show_rows({key: row(model, now, trends.get(key, ()), self._color) for key, model in models.items()})
        self._draw_status(bool(models))
        self._draw_details()
        self._draw_requests(now)
        self._draw_devices()

    def _draw_status(self, running: bool) -> None:
        view = self._view
        text = ""
        if view.error is not None:
            text = f"What is in memory is not known: {one_line(view.error.message)}. Trying again."
        elif not view.known:
            text = "asking…"
        elif not running:
            text = (
                "No model is in memory. A model comes in with the first question to it (Chat, 4), or with l, "
                "and leaves when nobody has asked for a while."
            )
        self.status.display = bool(text)
        self.status.show(text)

    @on(DataTable.RowHighlighted, "#running")
    def _draw_details(self) -> None:
        model, key = self._selected, self.table.selected or ""
        self.details_lines.display = model is not None and not self.zoomed
        if model is not None:
            self.details_lines.show(
                details(
                    model,
                    self.size.width,
                    self.services.clock(),
                    generation=self._view.generation.get(key, ()),
                    prompts=self._view.prompts.get(key, ()),
                )
            )

    def _draw_requests(self, now: float) -> None:
        requests = () if self._view.error else self._view.requests
        shown = bool(requests) and not self.zoomed
        if not shown and self.requests.has_focus:
            self.table.focus()
        if self.requests.display != shown:
            self.requests.display = shown
            self.refresh_bindings()
        self.requests.lay_out(request_columns(self.size.width))
        self.requests.show_rows({request.id: request_row(request, now) for request in requests})

    def _draw_devices(self) -> None:
        view = self._view
        room = self.size.height >= ROOM_FOR_DEVICES and not self.zoomed
        shown = room and not view.error and not isinstance(view.devices_error, NotSupported)
        self.device_lines.display = shown and bool(view.devices)
        if self.device_lines.display:
            self.device_lines.show(device_lines(view.devices, view.load, self.size.width))

    # Actions

    @property
    def _models(self) -> Mapping[str, RunningModel]:
        return {} if self._view.error else self._view.models

    @property
    def _selected(self) -> RunningModel | None:
        return self._models.get(self.table.selected or "")

    def action_refresh(self) -> None:
        self.run_worker(self.services.monitor.refresh, group="refresh", exclusive=True)

    def action_unload(self) -> None:
        model = self._selected
        if model is not None:
            self._do(
                self.services.monitor.unload(model.name), f"{model.name} leaves memory once its requests have ended."
            )

    def action_unload_all(self) -> None:
        from ollama_tui.widgets.confirm_screen import ConfirmScreen

        names = [model.name for model in self._models.values()]

        def unload(yes: bool | None) -> None:
            if yes:
                self._do(self.services.monitor.unload(*names), "All leave memory once their requests have ended.")

        listed = "\n".join(one_line(name) for name in names)
        text = f"They leave memory once their requests have ended; the next question loads them again.\n\n{listed}"
        self.app.push_screen(ConfirmScreen(f"Unload all {len(names)} models?", text, verb="unloads"), unload)

    def action_load(self, model: str = "") -> None:
        """Bring a model into memory; asked for where none is named."""
        if model:
            self._load(model)
        else:
            self.run_worker(self._choose, group="choose", exclusive=True)

    async def _choose(self) -> None:
        from ollama_tui.widgets.pick_screen import Choice, PickScreen

        library = self.services.library
        if not library.view.value.known:
            await library.refresh()
        there = {model.name for model in self._models.values()}
        choices = [
            Choice(one.name, one.name, figures.size(one.size))
            for one in library.view.value.models
            if one.name not in there
        ]
        if not choices:
            self.app.notify("Every model of the Library is in memory.", markup=False)
            return
        self.app.push_screen(PickScreen("Load which model?", choices), self._load)

    def _load(self, model: str | None) -> None:
        if model is not None:
            self._do(self.services.monitor.load(model), f"{model} is in memory.")

    def action_chat(self) -> None:
        model = self._selected
        if model is not None:
            self.post_message(self.Wanted("chat", (model.name,)))

    def action_every(self, seconds: str = "") -> None:
        """How often all is asked; asked for where it is not said."""
        if seconds:
            self._refresh_every(seconds)
            return
        from ollama_tui.widgets.ask_screen import AskScreen

        current = format_duration(self.services.monitor.refresh_seconds)
        screen = AskScreen("Refresh every", current, note=interval.NOTE, check=interval.problem)
        self.app.push_screen(screen, self._refresh_every)

    def _refresh_every(self, text: str | None) -> None:
        if text is None:
            return
        if problem := interval.problem(text):
            self.app.notify(visible(problem), severity="error", markup=False)
        else:
            self.services.monitor.refresh_seconds = interval.read(text)

    def action_pin(self) -> None:
        model = self._selected
        if model is not None:
            said = "may leave memory again." if model.pinned else "stays in memory until it is unloaded."
            self._do(self.services.monitor.pin(model.name, pinned=not model.pinned), f"{model.name} {said}")

    def action_keep(self) -> None:
        model = self._selected
        if model is None:
            return
        from ollama_tui.panes.ps.keep_screen import KeepScreen, how_long, keep_alive_text

        def keep(answer: KeepAlive) -> None:
            if answer is not None:
                self._do(self.services.monitor.keep(model.name, answer), f"{model.name} {how_long(answer)}.")

        self.app.push_screen(KeepScreen(model.name, keep_alive_text(model)), keep)

    def action_requests(self) -> None:
        """To the list of requests, and back."""
        self.unzoom()
        (self.table if self.requests.has_focus or not self.requests.display else self.requests).focus()

    def action_cancel(self) -> None:
        id = self.requests.selected
        if id is not None:
            self._do(self.services.monitor.cancel(id), "The request is canceled.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whose request it is shows only the list itself: nothing is canceled from elsewhere."""
        if action == "cancel":
            return self.requests.has_focus
        if action == "unload_all":
            return len(self._models) > 1
        return action != "requests" or bool(self._view.requests and not self._view.error)

    def _do(self, work: Coroutine[None, None, None], said: str) -> None:
        """Do it, and say so; what the engine answers instead is an error to read."""

        async def tell() -> None:
            try:
                await work
            except EngineError as error:
                self.report(error)
            else:
                self.app.notify(visible(said), markup=False)

        self.run_worker(tell, group=said)
