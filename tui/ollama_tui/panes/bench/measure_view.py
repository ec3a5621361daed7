"""The tab Measure: what is planned or going on, a plot, a row for each cell, and all of the selected one."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Vertical
from textual.content import Content
from textual.getters import query_one
from textual.reactive import var
from textual.widgets import DataTable

from ollama_engine.bench import Plan, Run
from ollama_engine.bench.figures import surroundings_lines
from ollama_tui.panes.bench import drawings
from ollama_tui.panes.bench.cell_rows import cell_text, columns, details, row, shape
from ollama_tui.panes.bench.plan_text import plan_text
from ollama_tui.panes.bench.speed_plot import SpeedPlot
from ollama_tui.services.bench import BenchView
from ollama_tui.text import one_line
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.live_lines import LiveLines
from ollama_tui.widgets.row_table import RowTable

PALETTE = ("primary", "accent", "success", "secondary", "warning", "error")
ROOM_FOR_PLOT = 17
"""Lines that the tab must have: rows go first."""
EMPTY = (
    "Nothing is measured yet. Plan a run: models, lengths of prompts and answers, requests at once, options. Every "
    "figure is the median of several rounds with its spread, and is kept to be compared with later ones."
)


class MeasureView(Vertical):
    table = query_one("#cells", RowTable)
    head = query_one("#bench-head", LiveLines)
    plot_title = query_one("#plot-title", Lines)
    plot = query_one("#plot", SpeedPlot)
    empty = query_one("#bench-empty", Lines)
    details_lines = query_one("#bench-details", Lines)

    kind: var[drawings.Kind | None] = var(None)
    """What the plot shows; None is over requests at once where there is something to see of that, else over time."""

    zoomed: var[bool] = var(False, init=False)
    """Whether the rows have all the room."""

    def __init__(self) -> None:
        super().__init__(id="measure")
        self._view = BenchView()
        self._plan: Plan | None = None

    def compose(self) -> ComposeResult:
        yield LiveLines(id="bench-head")
        yield Lines(id="bench-empty")
        yield Lines(id="plot-title")
        yield SpeedPlot(id="plot")
        yield RowTable(id="cells")
        yield Lines(id="bench-details")

    def show(self, view: BenchView, plan: Plan | None) -> None:
        self._view, self._plan = view, plan
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def watch_zoomed(self) -> None:
        self.draw()

    def draw(self) -> None:
        if not self.size.width or not self.is_mounted:
            return
        run = self._view.run
        self.head.show(self._head())
        self.empty.display = run is None
        self.empty.show(EMPTY if run is None else "")
        self.table.display = run is not None
        self.details_lines.display = run is not None and not self.zoomed
        room = self.size.height >= ROOM_FOR_PLOT and run is not None and not self.zoomed
        self.plot.display = self.plot_title.display = room
        if run is None:
            return
        palette = [Color.parse(self.app.theme_variables[name]).rich_color.name for name in PALETTE]
        if room:
            self._draw_plot(run, palette)
        self._draw_rows(run, palette)
        self.draw_details()

    def _head(self) -> list[Content]:
        view, run = self._view, self._view.run
        lines: list[Content] = []
        if view.active:
            over = sum(result.state in ("done", "failed") for result in run.cells) if run is not None else 0
            count = f"{over + 1 if run and over < len(run.cells) else over}/{len(run.cells)}" if run is not None else ""
            running = next((one.cell for one in run.cells if one.state == "running"), None) if run is not None else None
            what = f"  {cell_text(running)}" if running is not None else ""
            lines.append(
                Content.styled(f"▶ {count}", "$success bold")
                + Content(what)
                + Content.styled(f"  {one_line(view.doing)}", "$muted")
            )
        elif self._plan is not None:
            lines.append(plan_text(self._plan))
        if not view.active and run is not None:
            lines.append(_run_line(run))
        if view.error is not None:
            text = one_line(f"{view.error.message} {view.error.hint}")
            lines.append(Content.styled(f"✗ It ended early: {text}", "$error"))
        if view.active or run is None:
            found = run.warnings if run is not None else view.disturbances
            lines += _warning(found, "figures may be off" if view.active else "figures would be off")
        else:
            lines += _warning(run.warnings, "its figures may be off")
            if not run.warnings:
                lines += _warning(view.disturbances, "figures measured now would be off")
        return lines

    def _draw_plot(self, run: Run, palette: list[str]) -> None:
        kind = self.kind or ("scaling" if drawings.scales(run) and not self._view.active else "time")
        if kind == "scaling" and drawings.scales(run):
            self.plot_title.show("tokens/s of all answers together, over requests at once")
            self.plot.show(drawings.over_requests(run, palette))
        else:
            over = "seconds" if self._view.speeds else "rounds"
            self.plot_title.show(f"tokens/s of all answers together, over {over}")
            self.plot.show(drawings.over_time(run, self._view.speeds, palette))

    def _draw_rows(self, run: Run, palette: list[str]) -> None:
        shown = columns(self.size.width, shape(run))
        self.table.lay_out(shown)
        colors = drawings.colors(run, palette)
        repeats = run.plan.repeats
        self.table.show_rows(
            {
                str(place): row(result, repeats, shown, color, self._tint)
                for place, (result, color) in enumerate(zip(run.cells, colors, strict=True))
            }
        )

    def _tint(self, name: str) -> str:
        return Color.parse(self.app.theme_variables[name]).rich_color.name

    @on(DataTable.RowHighlighted, "#cells")
    def draw_details(self) -> None:
        run, place = self._view.run, self.table.selected
        if run is not None and place is not None and int(place) < len(run.cells):
            self.details_lines.show(details(run, run.cells[int(place)]))
        else:
            self.details_lines.show("")

    def turn_plot(self) -> None:
        """From speed over time to speed over requests at once, and back."""
        run = self._view.run
        if run is not None and drawings.scales(run):
            now = self.kind or ("time" if self._view.active else "scaling")
            self.kind = "time" if now == "scaling" else "scaling"
            self.draw()


def _run_line(run: Run) -> Content:
    name = f"run {run.id}" if run.id else "a run"
    note = f" {one_line(run.note)}" if run.note else ""
    state = "" if run.state == "done" else ", stopped before its end" if run.state == "stopped" else ", not ended"
    when = run.started_at[:16].replace("T", " ")
    head = Content.styled(name, "$accent bold") + Content(f"{note}{state}")
    where = " · ".join(surroundings_lines(run.surroundings))
    return head + Content.styled(f"  {when}  {one_line(where)}", "$muted")


def _warning(found: tuple[str, ...], so: str) -> list[Content]:
    return [Content.styled(f"! {one_line('; '.join(found))}: {so}", "$warning")] if found else []
