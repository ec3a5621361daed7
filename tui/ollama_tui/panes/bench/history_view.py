"""The tab History: every run, the newest first; two can be marked."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.getters import query_one

from ollama_engine.bench import RunSummary
from ollama_tui import figures
from ollama_tui.text import one_line
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.row_table import Column, RowTable

MARK = "●"
STATES = {"done": "", "stopped": "stopped", "running": "not ended"}


class HistoryView(Vertical):
    table = query_one("#runs", RowTable)
    status = query_one("#runs-status", Lines)

    def __init__(self) -> None:
        super().__init__(id="history")
        self._runs: Sequence[RunSummary] = ()
        self._now = 0.0
        self.marked: list[int] = []
        """Numbers of the marked runs, two at most, in the order in which they were marked."""

    def compose(self) -> ComposeResult:
        yield RowTable(id="runs")
        yield Lines(id="runs-status")

    @property
    def selected(self) -> int | None:
        key = self.table.selected
        return int(key) if key is not None else None

    def show(self, runs: Sequence[RunSummary], now: float) -> None:
        self._runs, self._now = runs, now
        known = {run.id for run in runs}
        self.marked = [number for number in self.marked if number in known]
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        if not self.size.width:
            return
        self.table.lay_out(_columns(self.size.width))
        self.table.show_rows({str(run.id): self._row(run) for run in self._runs})
        marked = " and ".join(str(number) for number in sorted(self.marked))
        many = f"{marked} marked" if self.marked else ""
        self.status.show(many if self._runs else "No run is kept yet.")

    def _row(self, run: RunSummary) -> dict[str, str]:
        failed = f"{run.failed} failed" if run.failed else ""
        return {
            "mark": MARK if run.id in self.marked else "",
            "run": str(run.id),
            "when": figures.age(run.started_at, self._now),
            "models": one_line(", ".join(run.models)),
            "measured": f"{run.measured}/{run.cells}",
            "state": STATES.get(run.state, run.state) or failed,
            "note": one_line(run.note),
            "engine": one_line(run.engine),
        }

    def mark(self) -> None:
        """Mark the selected run, or no longer; a third mark takes the place of the first."""
        number = self.selected
        if number is None:
            return
        if number in self.marked:
            self.marked.remove(number)
        else:
            self.marked = [*self.marked, number][-2:]
        self.draw()
        self.table.action_cursor_down()

    def pair(self) -> tuple[int, int] | None:
        """The two to compare, the older first: both marked ones, or a marked one and the selected."""
        pair = set(self.marked)
        if len(pair) == 1 and self.selected is not None:
            pair.add(self.selected)
        if len(pair) != 2:
            return None
        first, second = sorted(pair)
        return first, second


def _columns(width: int) -> tuple[Column, ...]:
    fixed = [
        Column("mark", "", 1),
        Column("run", "RUN", 4, right=True),
        Column("when", "WHEN", 14),
        Column("measured", "MEASURED", 9),
        Column("state", "", 9),
    ]
    if width >= 110:
        fixed.append(Column("engine", "ENGINE", 20))
    free = width - sum(column.width + 2 for column in fixed) - 2
    note = Column("note", "NAME", max(6, min(24, free // 3)))
    models = Column("models", "MODELS", max(10, free - note.width - 4))
    return (*fixed[:3], models, *fixed[3:], note)
