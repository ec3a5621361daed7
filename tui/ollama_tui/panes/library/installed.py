"""The models in the store: a table, a filter, and what is known of the selected one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.color import Color
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.getters import query_one
from textual.reactive import var
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import DataTable, Input

from ollama_engine.errors import EngineError
from ollama_engine.types import Fit
from ollama_tui import actions, figures, suggestions
from ollama_tui.panes.library.columns import Marks, columns, row
from ollama_tui.panes.library.details_view import DetailsView
from ollama_tui.panes.library.job_lines import job_lines
from ollama_tui.panes.library.memory_lines import Wish
from ollama_tui.panes.library.order import KEYS, Sort, filtered, ordered
from ollama_tui.panes.library.work import ModelWork
from ollama_tui.services import Job, Services
from ollama_tui.services.library import LibraryView
from ollama_tui.services.residency import ResidencyView
from ollama_tui.text import one_line
from ollama_tui.widgets.advice import advice
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.live_lines import LiveLines
from ollama_tui.widgets.row_table import RowTable
from ollama_tui.widgets.tab_line import Noted

BESIDE = 110
"""From this width on, details stand beside the table; below it they open under the table."""


class Installed(ModelWork):
    group = "library"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("library")]

    filter_input = query_one("#library-filter", Input)
    status = query_one("#library-status", Lines)
    advice_lines = query_one("#library-advice", Lines)
    details = query_one(DetailsView)
    jobs = query_one("#library-jobs", LiveLines)

    wanted_details: var[bool | None] = var(None)
    """What the user asked for; None is the default: shown where there is room beside the table."""

    def __init__(self, services: Services) -> None:
        super().__init__(services, id="installed")
        self._view = LibraryView()
        self._sort = Sort()
        self._memory = 0
        self._states: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield Input(placeholder="filter models: words, !word leaves out", id="library-filter", compact=True)
        with Horizontal(id="library-body"):
            with Vertical(id="library-list"):
                yield RowTable(id="models")
                yield Lines(id="library-status")
            yield DetailsView(self.services)
        yield Lines(id="library-advice")
        yield LiveLines(id="library-jobs")

    def on_mount(self) -> None:
        self.filter_input.cursor_blink = False
        services = self.services
        self.follow(services.library.view, self._take, group="library")
        self.follow(services.residency.view, self._mark_loaded, group="residency")
        self.follow(services.fits.view, self._mark_fits, group="fits")
        self.follow(services.jobs.view, self._draw_jobs, group="jobs")
        self.run_worker(self._measure_memory, group="memory")
        self.app.theme_changed_signal.subscribe(self, self._repaint)

    async def _measure_memory(self) -> None:
        self._memory = await asyncio.to_thread(self.services.machine_memory)
        self._draw_advice()

    def entered(self) -> None:
        self.services.residency.watch_for("library")
        self.run_worker(self.services.library.refresh, group="refresh", exclusive=True)

    def left(self) -> None:
        self.services.residency.done_with("library")

    def focus_target(self) -> Widget | None:
        return self.table

    async def offer_models(self, models: tuple[str, ...]) -> None:
        if models:
            self.table.select(models[0])

    def on_resize(self) -> None:
        self.fit_in()

    # Drawing

    @on(RowTable.Resized)
    def _room_changed(self) -> None:
        self.draw_rows()

    def _take(self, view: LibraryView) -> None:
        if view.error is not None and view.error is not self._view.error:
            self.report(view.error)
        self._view = view
        self.models = {model.name: model for model in view.listed}
        self.set_class(not view.known and bool(view.remembered), "-remembered")
        self.marked &= self.models.keys()
        self.draw_rows()
        self._draw_advice()
        if view.known and not view.refreshing:
            self.call_after_refresh(self.services.fits.find_out, self.shown or view.models)

    def _mark_loaded(self, view: ResidencyView) -> None:
        states = {running.name: running.state or "loaded" for running in view.running}
        if states != self._states:
            self._states = states
            self.draw_rows()

    def _mark_fits(self, fits: Mapping[str, Fit]) -> None:
        self.draw_rows()

    def _repaint(self, theme: Theme) -> None:
        self.draw_rows()

    def _color(self, name: str) -> str:
        """A colour of the theme as rich names it."""
        return Color.parse(self.app.theme_variables[name]).rich_color.name

    def draw_rows(self) -> None:
        width = self.table.parent.size.width if isinstance(self.table.parent, Widget) else 0
        if not width:
            return
        self.table.lay_out(columns(width, self._sort))
        now, fits, updates = self.services.clock(), self.services.fits.view.value, self._view.updates
        models = filtered(self._view.listed, self.filter_input.value)
        self.shown = ordered(models, self._sort, fits=fits, loaded=self._states)
        rows = {}
        for model in self.shown:
            update = updates.get(model.name)
            marks = Marks(
                marked=model.name in self.marked,
                state=self._states.get(model.name, ""),
                newer=update is not None and update.state == "newer",
                fit=fits.get(model.digest),
            )
            rows[model.name] = row(model, marks, now=now, color=self._color)
        self.table.show_rows(rows)
        self._turn_to_newest()
        self._draw_status()
        self._draw_note()
        self._draw_details()

    def _draw_status(self) -> None:
        view = self._view
        text = ""
        if view.error is not None:
            text = f"The store cannot be read: {one_line(view.error.message)}. Press r to try again."
        elif not view.known:
            text = "reading the store…"
        elif not view.models:
            text = f"No models yet. Make one of a GGUF file: {suggestions.CREATE_COMMAND}"
        elif not self.shown:
            text = "No model has these words in its name, family or quantization; esc shows all."
        self.status.display = bool(text)
        self.status.show(text)

    def _draw_note(self) -> None:
        """How many models there are, at the end of the line of tabs; of the marked ones, if there are any."""
        count, shown = len(self.models), len(self.shown)
        note = f"{shown} of {count} models" if shown < count else f"{count} models" if count > 1 else ""
        style = "$muted"
        if self.marked:
            size = figures.size(sum(self.models[name].size for name in self.marked))
            hidden = len(self.marked - {model.name for model in self.shown})
            note, style = f"{len(self.marked)} marked, {size}", "$accent"
            if hidden:
                note += f" ({hidden} not shown)"
        self.post_message(Noted("installed", Content.styled(note, style)))

    def _draw_advice(self) -> None:
        only_toys = self._view.known and all(map(suggestions.is_toy, self.models))
        selected = self.table.selected
        selected_toy = selected is not None and suggestions.is_toy(selected)
        wanted = (only_toys or selected_toy) and not self.has_class("-under") and not self.zoomed
        self.advice_lines.display = wanted
        if wanted:
            self.advice_lines.show(advice(self._memory))

    def _draw_jobs(self, jobs: tuple[Job, ...]) -> None:
        lines = job_lines(jobs)
        self.jobs.show(lines)
        if self.jobs.display != bool(lines):
            self.jobs.display = bool(lines)
            self.refresh_bindings()
        for job in jobs:
            if job.state != "running":
                self.services.jobs.dismiss(job.id)
                self._tell_end(job)

    def _tell_end(self, job: Job) -> None:
        if job.error is not None:
            self.report(EngineError(f"{job.title}: {job.error.message}", hint=job.error.hint))
        else:
            self.announce(f"{job.title}: {job.state}")

    def fit_in(self) -> None:
        beside = self.size.width >= BESIDE
        self.set_class(beside, "-beside")
        shown = (beside if self.wanted_details is None else self.wanted_details) and not self.zoomed
        if not shown and self.details.has_focus_within:
            self.table.focus()
        if self.details.display != shown:
            self.details.display = shown
            self.refresh_bindings()
        self.set_class(shown and not beside, "-under")
        self._draw_advice()

    def watch_wanted_details(self) -> None:
        if self.is_mounted:
            self.fit_in()
            self.call_after_refresh(self.draw_rows)

    def _draw_details(self) -> None:
        if self.details.display and self._view.known:
            self.details.show(self.models.get(self.table.selected or ""))

    # Looking

    @on(DataTable.RowHighlighted, "#models")
    def _turn_to_row(self) -> None:
        self._draw_advice()
        self._draw_details()

    @on(DataTable.RowSelected, "#models")
    def _row_clicked(self) -> None:
        self.action_chat()

    @on(DataTable.HeaderSelected, "#models")
    def _header_clicked(self, event: DataTable.HeaderSelected) -> None:
        self.action_sort(event.column_key.value or "")

    @on(Input.Changed, "#library-filter")
    def _filter_typed(self) -> None:
        self.draw_rows()
        self.refresh_bindings()

    @on(Input.Submitted, "#library-filter")
    def _filter_done(self) -> None:
        self.table.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        match action:
            case "clear":
                return self.filter_input.display or bool(self.marked)
            case "cancel":
                return self.jobs.display
            case "section":
                return self.details.display
        return True

    def action_sort(self, column: str) -> None:
        if column in KEYS:
            self._sort = self._sort.by(column)
            self.draw_rows()

    def action_sort_by(self, given: str = "") -> None:
        """The column of that name, or the next one."""
        if not given:
            given = KEYS[(KEYS.index(self._sort.key) + 1) % len(KEYS)]
        found = next((key for key in KEYS if key.startswith(given.lower())), None)
        if found is None:
            self.app.notify(f"No column is called so; there are {', '.join(KEYS)}.", severity="warning", markup=False)
        else:
            self.action_sort(found)

    def action_details(self, given: str = "") -> None:
        if not given:
            self._want_details(not self.details.display)
        elif models := self.targets(given):
            self.table.select(models[0].name)
            self._want_details(True)

    def _want_details(self, wanted: bool) -> None:
        self.wanted_details = wanted
        self.unzoom()

    def action_section(self, step: int) -> None:
        self.details.turn(step)

    def action_scroll(self) -> None:
        """To the details, shown where they were not, and back."""
        if self.details.has_focus_within:
            self.table.focus()
            return
        self._want_details(True)
        self.call_after_refresh(self.details.scroll.focus)

    def action_plan(self, given: str = "") -> None:
        if given:
            try:
                self._plan(Wish.read(given))
            except ValueError as error:
                self.app.notify(str(error), severity="warning", markup=False)
            return

        def problem(text: str) -> str:
            try:
                Wish.read(text)
            except ValueError as error:
                return str(error)
            return ""

        note = "Tokens and a type of the KV cache: 8192, 32k q8_0, q4_0; default is what the model says"
        screen = AskScreen("Plan memory for", self.details.wish.text, note=note, check=problem)
        self.app.push_screen(screen, lambda text: self._plan(Wish.read(text)) if text else None)

    def _plan(self, wish: Wish) -> None:
        self._want_details(True)
        self.details.plan_for(wish)

    def action_filter(self, given: str = "") -> None:
        self.filter_input.display = True
        if given:
            self.filter_input.value = given
        else:
            self.filter_input.focus()

    def action_clear(self) -> None:
        """First the filter, then the marks."""
        if self.filter_input.display:
            self.filter_input.value = ""
            self.filter_input.display = False
            self.table.focus()
        else:
            self.unmark()

    def action_chat(self) -> None:
        name = self.table.selected
        if name is not None:
            self.post_message(self.Wanted("chat", (name,)))

    def action_refresh(self) -> None:
        self.services.fits.forget()
        self.details.look_again()
        self.run_worker(self.services.library.refresh, group="refresh", exclusive=True)
