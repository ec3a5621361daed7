"""The Pulls pane: the queue of downloads, the selected one layer by layer, what they may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import ClassVar

from textual import constants, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.color import Color
from textual.getters import query_one
from textual.theme import Theme
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import DataTable

from ollama_engine.errors import EngineError
from ollama_tui import actions, figures, suggestions
from ollama_tui.panes.pulls import typed
from ollama_tui.panes.pulls.columns import columns, row
from ollama_tui.panes.pulls.details import details, summary
from ollama_tui.services.pull_progress import Pull
from ollama_tui.services.pulls import PullsView
from ollama_tui.terminal.profile import FRAMES_OVER_SSH
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.empty_state import EmptyState
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.live_lines import LiveLines
from ollama_tui.widgets.pane import Pane
from ollama_tui.widgets.row_table import RowTable

WATCHER = "pulls"
INTERVAL, INTERVAL_OVER_SSH = 0.5, 1.0
"""Seconds between two paintings of what only moves; what becomes of a pull is shown at once."""


class PullsPane(Pane):
    pane_id = "pulls"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("pulls")]

    table = query_one("#pull-queue", RowTable)
    status = query_one("#pull-status", Lines)
    details_lines = query_one("#pull-details", LiveLines)
    summary_line = query_one("#pull-summary", LiveLines)

    def compose(self) -> ComposeResult:
        yield RowTable(id="pull-queue")
        yield Lines(id="pull-status")
        yield LiveLines(id="pull-details")
        yield LiveLines(id="pull-summary")

    def on_mount(self) -> None:
        self._view = PullsView()
        self._shown = False
        self._drawn: tuple[object, ...] = ()
        self._timer: Timer | None = None
        self.follow(self.services.pulls.view, self._take, group="pulls")
        self.app.theme_changed_signal.subscribe(self, self._repaint)
        self.run_worker(self._offer, group="offer")

    async def _offer(self) -> None:
        """What to pull, where nothing is on its way."""
        memory = await asyncio.to_thread(self.services.machine_memory)
        real = suggestions.suggest(memory)
        fits = f"{real.name} fits this machine ({figures.size(memory)}), a download of {figures.size(real.download)}:"
        await self.mount(
            EmptyState(
                "Nothing is on its way",
                "a asks for a model to pull: a name, or a link to a .gguf file. The Library (1) has a catalog to "
                "choose from. Pulls go on while you chat, and when you come back.",
                ((fits, f":pull {real.name}"), ("From a shell:", suggestions.get_command(real))),
                "What is in the store shows up in the Library, whoever put it there.",
            )
        )
        self._draw()

    def entered(self) -> None:
        self._shown = True
        self.services.pulls.watch_for(WATCHER)
        self.run_worker(self.services.pulls.refresh_limits, group="limits", exclusive=True)
        self._draw()

    def left(self) -> None:
        self._shown = False
        self.services.pulls.done_with(WATCHER)

    def focus_target(self) -> Widget | None:
        return self.table

    def on_resize(self) -> None:
        self._draw()

    def fit_in(self) -> None:
        self._draw()

    async def offer_models(self, models: tuple[str, ...]) -> None:
        """Show the pull of the first of them; where there is none, ask whether to pull it."""
        for pull in self._view.pulls:
            if models and pull.view.name in (models[0], f"{models[0]}:latest"):
                self.table.select(pull.view.id)
                return
        if models:
            self._ask_model(models[0])

    # Drawing

    def _take(self, view: PullsView) -> None:
        """Draw what has become of pulls at once, how far they are twice a second at the most."""
        self._view = view
        if not self._shown:
            return
        if self._structure() != self._drawn:
            self._draw()
        elif self._timer is None:
            self._timer = self.set_timer(painting_interval(), self._draw)

    def _structure(self) -> tuple[object, ...]:
        view = self._view
        pulls = tuple((pull.view.id, pull.view.state, pull.view.error, bool(pull.view.total)) for pull in view.pulls)
        return pulls, view.known, view.error, view.limits and view.limits.bandwidth

    def _repaint(self, theme: Theme) -> None:
        self._draw()

    def _color(self, name: str) -> str:
        """A colour of the theme as rich names it."""
        return Color.parse(self.app.theme_variables[name]).rich_color.name

    def _draw(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self.size.width:
            return
        view = self._view
        self._drawn = self._structure()
        shown = columns(self.size.width)
        self.table.lay_out(shown)
        bar = next(column.width for column in shown if column.key == "bar")
        self.table.show_rows({pull.view.id: row(pull, bar, self._color) for pull in view.pulls})
        for empty in self.query(EmptyState):
            empty.display = view.known and not view.pulls
        self._draw_status()
        self._draw_details()
        self.summary_line.show([summary(view, self.size.width)] if view.known else [])
        self.refresh_bindings()

    def _draw_status(self) -> None:
        view, text = self._view, ""
        if view.error is not None:
            text = f"The queue is not known: {one_line(view.error.message)}. Trying again."
        elif not view.known:
            text = "asking…"
        self.status.display = bool(text)
        self.status.show(text)

    @on(DataTable.RowHighlighted, "#pull-queue")
    def _select(self) -> None:
        self._draw_details()
        self.refresh_bindings()

    def _draw_details(self) -> None:
        pull = self._selected
        self.details_lines.display = pull is not None and not self.zoomed
        if pull is not None:
            rows = min(len(self._view.pulls) + 1, self.size.height // 2)
            self.details_lines.show(details(pull, self.size.width, max(3, self.size.height - rows - 3)))

    # Actions

    @property
    def _selected(self) -> Pull | None:
        return self._view.find(self.table.selected or "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done with the selected pull as it is."""
        pull = self._selected
        state = pull.view.state if pull is not None else ""
        match action:
            case "pause":
                return state in ("queued", "running", "paused")
            case "retry":
                return state == "failed" or (pull is not None and state == "paused" and bool(pull.view.error))
            case "chat":
                return state == "done"
            case "cancel":
                return bool(state)
            case "move":
                return len(self._view.pulls) > 1
            case "clear":
                return any(pull.view.state == "done" for pull in self._view.pulls)
            case "pause_all":
                return any(pull.active for pull in self._view.pulls)
            case "resume_all":
                return any(pull.view.state in ("paused", "failed") for pull in self._view.pulls)
            case _:
                return True

    def action_pull(self, model: str = "") -> None:
        if model:
            self._enqueue(model)
        else:
            self._ask_model("")

    def _ask_model(self, model: str) -> None:
        from ollama_tui.widgets.ask_screen import AskScreen

        self.app.push_screen(AskScreen("Pull a model", model, note=typed.MODEL_NOTE), self._enqueue)

    def _enqueue(self, text: str | None) -> None:
        if text is None:
            return
        model, insecure = typed.read_model(text)

        async def enqueue() -> None:
            view = await self.services.pulls.enqueue(model, insecure=insecure)
            self._take(self.services.pulls.view.value)  # it is told of later
            self.table.select(view.id)
            self.table.focus()

        if model:
            self._do(enqueue())

    def action_pause(self) -> None:
        paused = self._selected is not None and self._selected.view.state == "paused"
        self._with_selected(self.services.pulls.resume if paused else self.services.pulls.pause)

    def action_retry(self) -> None:
        self._with_selected(self.services.pulls.retry)

    def action_move(self, step: int) -> None:
        ids = [pull.view.id for pull in self._view.pulls]
        if (id := self.table.selected) in ids:
            position = ids.index(id) + step
            if 0 <= position < len(ids):
                self._do(self.services.pulls.move(id, position))

    def action_chat(self) -> None:
        if (pull := self._selected) is not None:
            self.post_message(self.Wanted("chat", (pull.view.name,)))

    def action_cancel(self) -> None:
        pull = self._selected
        if pull is None:
            return
        if pull.view.state == "done":
            self._do(self.services.pulls.cancel(pull.view.id))
            return
        from ollama_tui.panes.pulls.cancel_screen import Answer, CancelScreen

        def cancel(answer: Answer) -> None:
            if answer is not None:
                self._do(self.services.pulls.cancel(pull.view.id, remove_partials=answer == "remove"))

        self.app.push_screen(CancelScreen(pull, removable=self._view.kept), cancel)

    def action_clear(self) -> None:
        self._do(self.services.pulls.clear())

    def action_pause_all(self) -> None:
        self._do(self.services.pulls.pause_all())

    def action_resume_all(self) -> None:
        self._do(self.services.pulls.resume_all())

    def action_limit(self, rate: str = "") -> None:
        if rate:
            self._limit(rate)
            return
        from ollama_tui.widgets.ask_screen import AskScreen

        limits = self._view.limits
        current = typed.rate_text(limits.bandwidth) if limits is not None else "0"
        screen = AskScreen("Limit pulls to", current, note=typed.RATE_NOTE, check=typed.rate_problem)
        self.app.push_screen(screen, self._limit)

    def _limit(self, text: str | None) -> None:
        if text is None:
            return
        if problem := typed.rate_problem(text):
            self.app.notify(visible(problem), severity="error", markup=False)
            return
        self._do(self.services.pulls.limit(typed.read_rate(text)))

    def _with_selected(self, verb: Callable[[str], Coroutine[None, None, None]]) -> None:
        if (pull := self._selected) is not None:
            self._do(verb(pull.view.id))

    def _do(self, work: Coroutine[None, None, object]) -> None:
        """Do it; what the engine answers instead is an error to read."""

        async def tell() -> None:
            try:
                await work
            except EngineError as error:
                self.report(error)

        self.run_worker(tell, group="verbs")


def painting_interval() -> float:
    """Over a line, for which frames are kept few (see `terminal.profile`), half as often."""
    return INTERVAL if constants.MAX_FPS > FRAMES_OVER_SSH else INTERVAL_OVER_SSH
