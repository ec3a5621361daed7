"""The tab Compare: two runs figure by figure, and what of it is a difference."""

from __future__ import annotations

from collections import Counter

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Vertical
from textual.content import Content
from textual.getters import query_one
from textual.widgets import DataTable

from ollama_engine.bench import Comparison, Difference
from ollama_engine.bench.figures import change_text, summary_text, value_text
from ollama_engine.bench.metrics import METRICS
from ollama_engine.bench.statistics import Summary
from ollama_tui.text import one_line
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.row_table import CellText, Column, RowTable

WORDS = {
    "better": "▲ better",
    "worse": "▼ worse",
    "same": "= same",
    "unsure": "? too few",
    "failed": "✗ failed",
    "new": "new",
    "gone": "not now",
}
STYLES = {"better": "success", "worse": "error", "failed": "error", "same": "muted", "unsure": "muted"}
TITLES = {metric.id: metric.title for metric in METRICS}
NONE = (
    "Mark two runs in History and compare them: what is worse stands first. Nothing within the spread is a difference."
)
_ORDER = ("failed", "worse", "better", "unsure", "same", "gone", "new")


class CompareView(Vertical):
    table = query_one("#differences", RowTable)
    head = query_one("#compare-head", Lines)
    line = query_one("#difference", Lines)

    def __init__(self) -> None:
        super().__init__(id="compare")
        self._comparison: Comparison | None = None

    def compose(self) -> ComposeResult:
        yield Lines(id="compare-head")
        yield RowTable(id="differences")
        yield Lines(id="difference")

    @property
    def shown(self) -> bool:
        """Whether two runs are compared."""
        return self._comparison is not None

    def show(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self.table.move_cursor(row=0)
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        if not self.size.width:
            return
        comparison = self._comparison
        self.table.display = comparison is not None
        if comparison is None:
            self.head.show(Content.styled(NONE, "$muted"))
            return
        self.head.show(_head(comparison))
        shown = _columns(self.size.width)
        self.table.lay_out(shown)
        spread = next(column.width for column in shown if column.key == "before") > 10
        rows = enumerate(self._ordered)
        self.table.show_rows({str(place): self._row(one, spread) for place, one in rows})
        self.draw_selected()

    @property
    def _ordered(self) -> list[Difference]:
        found = self._comparison.differences if self._comparison is not None else ()
        return sorted(found, key=lambda one: _ORDER.index(one.verdict))

    @on(DataTable.RowHighlighted, "#differences")
    def draw_selected(self) -> None:
        """All of the selected row, for which a table may be too narrow."""
        place = self.table.selected
        self.line.show(_whole(self._ordered[int(place)]) if place is not None else "")

    def _row(self, one: Difference, spread: bool) -> dict[str, CellText]:
        size = f"{one.prompt}/{one.generate}×{one.concurrency}" if one.prompt else ""
        style = STYLES.get(one.verdict)
        color = Color.parse(self.app.theme_variables[style]).rich_color.name if style else ""
        return {
            "verdict": Text(WORDS[one.verdict], style=color),
            "change": change_text(one.change),
            "metric": TITLES.get(one.metric, "" if one.metric == "-" else one.metric),
            "before": _figure(one.before, one.unit, spread),
            "after": _figure(one.after, one.unit, spread),
            "size": size,
            "model": one_line(" ".join(filter(None, (one.model, one.options, one.reason)))),
        }


def _whole(one: Difference) -> Content:
    name = one_line(" ".join(filter(None, (one.model, one.options))))
    size = f" · {one.prompt}/{one.generate} × {one.concurrency}" if one.prompt else ""
    line = Content.styled(f"{name}{size}", "$accent bold")
    if one.before is not None or one.after is not None:
        before, after = (summary_text(figure, one.unit) or "-" for figure in (one.before, one.after))
        line += Content.styled(f"  {TITLES.get(one.metric, one.metric)} ", "$muted") + Content(f"{before} → {after}")
    return line + Content(f"  {one_line(one.reason)}" if one.reason else "")


def _figure(summary: Summary | None, unit: str, spread: bool) -> str:
    if summary is None:
        return ""
    return summary_text(summary, unit) if spread else value_text(summary.median, unit)


def _head(comparison: Comparison) -> Content:
    counts = Counter(one.verdict for one in comparison.differences)
    words = {"failed": "failed", "worse": "worse", "better": "better", "same": "the same", "unsure": "too few to tell"}
    told = ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items() if counts[verdict])
    head = Content.styled(f"run {comparison.after}", "$accent bold") + Content(" against ")
    head += Content.styled(f"run {comparison.before}", "$accent bold") + Content(f": {told or 'nothing in common'}")
    warnings = [Content.styled(f"! {one_line(warning)}", "$warning") for warning in comparison.warnings]
    return Content("\n").join([head, *warnings])


def _columns(width: int) -> tuple[Column, ...]:
    wide = 16 if width >= 110 else 8
    fixed = (
        Column("verdict", "", 9),
        Column("change", "CHANGE", 8, right=True),
        Column("metric", "FIGURE", 11),
        Column("before", "BEFORE", wide, right=True),
        Column("after", "NOW", wide, right=True),
        Column("size", "IN/OUT×", 11),
    )
    name = Column("model", "MODEL", max(10, width - sum(column.width + 2 for column in fixed) - 3), names=True)
    return (*fixed, name)
