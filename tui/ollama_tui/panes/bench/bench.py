"""What the Bench pane holds: three tabs over one service, what is measured, what was, and two runs compared."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import ClassVar

from msgspec import structs
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.getters import query_one
from textual.reactive import var
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import ContentSwitcher, DataTable

from ollama_engine.bench import Plan, Run, RunSummary
from ollama_engine.bench.export import format_of
from ollama_engine.errors import EngineError, InvalidRequest
from ollama_tui import actions
from ollama_tui.panes.bench.compare_view import CompareView
from ollama_tui.panes.bench.history_view import HistoryView
from ollama_tui.panes.bench.measure_view import MeasureView
from ollama_tui.panes.bench.plan_screen import PlanScreen
from ollama_tui.paths import typed_path
from ollama_tui.services import Services
from ollama_tui.services.bench import BenchView
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.confirm_screen import ConfirmScreen
from ollama_tui.widgets.pane import Part
from ollama_tui.widgets.tab_line import TabLine

TABS = {"measure": "Measure", "history": "History", "compare": "Compare"}


class Bench(Part):
    """Its actions are the group `bench`."""

    group = "bench"
    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("bench")]

    tab_line = query_one(TabLine)
    switcher = query_one("#bench-tabs", ContentSwitcher)
    measure = query_one(MeasureView)
    history = query_one(HistoryView)
    comparing = query_one(CompareView)

    tab: var[str] = var("measure", init=False)

    def __init__(self, services: Services) -> None:
        super().__init__(services, id="bench-work")

    def compose(self) -> ComposeResult:
        yield TabLine(TABS)
        with ContentSwitcher(id="bench-tabs", initial="measure"):
            yield MeasureView()
            yield HistoryView()
            yield CompareView()

    def on_mount(self) -> None:
        self._shown = False
        self._view = BenchView()
        self._runs: tuple[RunSummary, ...] = ()
        self._plan: Plan | None = None
        self.follow(self.services.bench.view, self._take, group="bench")
        self.follow(self.services.bench.runs, self._take_runs, group="runs")
        self.app.theme_changed_signal.subscribe(self, self._repaint)
        self.run_worker(self._begin, group="begin")

    async def _begin(self) -> None:
        """What was planned the last time is planned again."""
        try:
            await self.services.bench.list_runs()
            runs = self.services.bench.runs.value
            last = (await self.services.bench.open(runs[0].id)).plan if runs else None
        except EngineError as error:
            self.report(error)
            return
        if self._plan is None and last is not None:
            self._plan = structs.replace(last, seed=0)
            self._draw()

    def entered(self) -> None:
        self._shown = True
        self.services.bench.watch()
        self._draw()

    def left(self) -> None:
        self._shown = False
        self.services.bench.leave()

    async def offer_models(self, models: tuple[str, ...]) -> None:
        """Models that another pane shows: they are planned, to be measured by one key."""
        self._plan = structs.replace(self._plan or Plan(models=()), models=models)
        self._go_to("measure")
        self._draw()

    def focus_target(self) -> Widget | None:
        match self.tab:
            case "measure":
                return self.measure.table if self._view.run is not None else self
            case "history":
                return self.history.table
            case _:
                return self.comparing.table if self.comparing.shown else self

    # Drawing

    def _take(self, view: BenchView) -> None:
        before, self._view = self._view, view
        if view.error is not None and view.error is not before.error:
            self.report(view.error)
        if before.active and not view.active and view.error is None and view.run is not None:
            failed = f", {view.run.failures} failed" if view.run.failures else ""
            ended = "measured" if view.run.state == "done" else "stopped"
            self.announce(f"Run {view.run.id} is {ended}{failed}.", title="Bench")
        self._draw()
        if before.active != view.active or (before.run is None) != (view.run is None):
            self.refresh_bindings()
            self._focus()

    def _take_runs(self, runs: tuple[RunSummary, ...]) -> None:
        self._runs = runs
        self.history.show(runs, self.services.clock())

    def _repaint(self, theme: Theme) -> None:
        self._draw()
        self.comparing.draw()

    def _draw(self) -> None:
        """While it is looked at: what is hidden costs nothing."""
        if self._shown:
            self.measure.show(self._view, self._plan)

    # Tabs

    def _go_to(self, tab: str) -> None:
        self.tab = self.tab_line.current = self.switcher.current = tab
        self._focus()
        self.refresh_bindings()

    def _focus(self) -> None:
        """Where keys go to, unless the user looks at another pane or a screen above."""
        if not self.display:
            return
        if self.app.focused is not None and self not in self.app.focused.ancestors_with_self:
            return
        target = self.focus_target()
        if target is not None:
            target.focus()

    @on(TabLine.Chosen)
    def _tab_clicked(self, event: TabLine.Chosen) -> None:
        self._go_to(event.tab)

    def turn(self, step: int) -> None:
        """To the tab so many further on."""
        tabs = list(TABS)
        self._go_to(tabs[(tabs.index(self.tab) + step) % len(tabs)])

    def fit_in(self) -> None:
        self.measure.zoomed = self.zoomed

    def action_back(self) -> None:
        self._go_to("measure")

    # Measuring

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        in_history = self.tab == "history"
        match action:
            case "stop":
                return self._view.active
            case "run":
                return not self._view.active
            case "open" | "mark" | "compare" | "delete":
                return in_history
            case "plot":
                return self.tab == "measure" and self._view.run is not None
            case "export" | "name":
                return in_history or (self.tab == "measure" and self._view.run is not None)
            case "back":
                return self.tab != "measure"
        return True

    def action_run(self, model: str = "") -> None:
        if model:
            named = tuple(model.replace(",", " ").split())
            self._plan = structs.replace(self._plan or Plan(models=()), models=named)
        if self._plan is None or not self._plan.models:
            self.action_plan()
        else:
            self._start(self._plan)

    def _start(self, plan: Plan) -> None:
        try:
            self.services.bench.start(plan)
        except InvalidRequest as error:
            self.report(error)
        else:
            self._go_to("measure")

    def action_stop(self) -> None:
        self.run_worker(self.services.bench.stop, group="stop")

    def action_plan(self) -> None:
        self.run_worker(self._ask_for_plan, group="plan", exclusive=True)

    async def _ask_for_plan(self) -> None:
        library = self.services.library
        if not library.view.value.known:
            await library.refresh()
        models = [one.name for one in library.view.value.models if "embedding" not in one.capabilities]
        plan = self._plan or Plan(models=tuple(models[:1]))
        verb = "keeps it for the next run" if self._view.active else "measures"

        def take(chosen: Plan | None) -> None:
            if chosen is None:
                return
            self._plan = chosen
            self._draw()
            if not self._view.active:
                self._start(chosen)

        self.app.push_screen(PlanScreen(plan, models, verb=verb), take)

    def action_plot(self) -> None:
        if self.zoomed:
            self.unzoom()
        else:
            self.measure.turn_plot()

    # The history

    @on(DataTable.RowSelected, "#runs")
    def action_open(self) -> None:
        number = self.history.selected
        if number is None:
            return
        if self._view.active:
            self.app.notify("Something is measured now; stop it first, or compare.", severity="warning", markup=False)
            return

        async def show() -> None:
            await self.services.bench.show(number)
            self._go_to("measure")

        self._do(show())

    def action_mark(self) -> None:
        self.history.mark()

    def action_compare(self) -> None:
        pair = self.history.pair()
        if pair is None:
            self.app.notify("Mark two runs, or one and select another.", severity="warning", markup=False)
            return

        async def compare() -> None:
            self.comparing.show(await self.services.bench.compare(*pair))
            self._go_to("compare")

        self._do(compare())

    def action_delete(self) -> None:
        number = self.history.selected
        if number is None:
            return

        def delete(yes: bool | None) -> None:
            if yes:
                self._do(self.services.bench.delete(number))

        text = "Its measurements are gone then; an exported file stays."
        self.app.push_screen(ConfirmScreen(f"Delete run {number}?", text, verb="deletes"), delete)

    def action_name(self) -> None:
        number = self._number()
        if number is None:
            return
        note = next((run.note for run in self._runs if run.id == number), "")

        def name(text: str | None) -> None:
            if text is not None:
                self._do(self.services.bench.annotate(number, text))

        self.app.push_screen(AskScreen(f"Name of run {number}", note, note="As: before the update"), name)

    def action_export(self, file: str = "") -> None:
        number = self._number()
        if number is None:
            return
        if file:
            self._do(self._export(number, typed_path(file)))
            return

        def write(text: str | None) -> None:
            if text is not None:
                self._do(self._export(number, typed_path(text)))

        note = "The ending says what it becomes: .json, .csv, .md, .svg or .png"
        self.app.push_screen(
            AskScreen(f"Write run {number} to", f"bench-{number}.json", note=note, check=_check), write
        )

    async def _export(self, number: int, path: Path, *, over: bool = False) -> None:
        if path.exists() and not over:

            def again(yes: bool | None) -> None:
                if yes:
                    self._do(self._export(number, path, over=True))

            self.app.push_screen(ConfirmScreen("Write over it?", f"{path} is there already.", verb="writes"), again)
            return
        run: Run = await self.services.bench.open(number)
        await self.services.bench.export(run, path)
        self.announce(f"Run {number} is in {path.resolve()}")

    def _number(self) -> int | None:
        """The run that is meant: the one shown, or the one selected in the history."""
        if self.tab == "history":
            return self.history.selected
        return self._view.run.id if self._view.run is not None else None

    def _do(self, work: Coroutine[None, None, None]) -> None:
        """What goes wrong is an error to read."""

        async def tell() -> None:
            try:
                await work
            except EngineError as error:
                self.report(error)

        self.run_worker(tell, group="do")


def _check(text: str) -> str:
    try:
        format_of(Path(text))
    except InvalidRequest as error:
        return f"{error.message}. {error.hint}"
    return ""
