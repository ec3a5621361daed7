"""How a cell of a benchmark reads as a row, at the width there is, and as lines of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual.content import Content

from ollama_engine.bench import Cell, CellResult, Run, options_text
from ollama_engine.bench.figures import summary_text, value_text
from ollama_engine.bench.metrics import FIRST_TOKEN, GENERATION, MEMORY, METRICS, PROMPT, THROUGHPUT, Metric, load_time
from ollama_tui.text import one_line
from ollama_tui.widgets.row_table import CellText, Column

MARK = "■"
_FIGURES = {
    PROMPT: Column("prompt", "PROMPT/s", 8, right=True),
    GENERATION: Column("generation", "GEN/s", 7, right=True),
    THROUGHPUT: Column("throughput", "ALL/s", 7, right=True),
    FIRST_TOKEN: Column("first_token", "FIRST", 7, right=True),
    MEMORY: Column("memory", "MEM", 7, right=True),
}
_SHORT = {PROMPT: "prompt", GENERATION: "gen", THROUGHPUT: "all", FIRST_TOKEN: "first"}
_SPREAD = 8
"""Cells that a spread takes behind a figure, where there is room."""
_LEAST_NAME, _MOST_NAME = 12, 40
_OPTIONS = 22


@dataclass(frozen=True)
class Shape:
    """What the rows of a run differ in."""

    options: bool
    scales: bool


def shape(run: Run) -> Shape:
    cells = [result.cell for result in run.cells]
    return Shape(
        options=len({options_text(cell.options) for cell in cells}) > 1,
        scales=any(cell.concurrency > 1 for cell in cells),
    )


def columns(width: int, shape: Shape) -> tuple[Column, ...]:
    """Figures give way to what tells the rows apart; spreads come in where there is room for all of them."""
    about = [Column("size", "IN/OUT", 8, right=True)]
    if shape.scales:
        about.append(Column("at_once", "×", 3, right=True))
    figures = [PROMPT, GENERATION, *([THROUGHPUT] if shape.scales else []), FIRST_TOKEN, MEMORY]
    names = [*([Column("options", "OPTIONS", _OPTIONS)] if shape.options else [])]
    mark = Column("mark", "", 1)
    while figures and _taken([mark, *names, *about, *(_FIGURES[one] for one in figures)]) + _LEAST_NAME + 3 > width:
        figures.pop()
    shown = [_FIGURES[one] for one in figures]
    free = width - _taken([mark, *names, *about, *shown]) - 3
    if free >= 24 + _SPREAD * len([one for one in figures if one is not MEMORY]):
        shown = [_roomy(column) if column.key != "memory" else column for column in shown]
        free = width - _taken([mark, *names, *about, *shown]) - 3
    name = Column("model", "MODEL", max(_LEAST_NAME, min(_MOST_NAME, free)), names=True)
    return (mark, name, *names, *about, *shown)


def _taken(columns: list[Column]) -> int:
    return sum(column.width + 2 for column in columns)


def _roomy(column: Column) -> Column:
    return Column(column.key, column.title, column.width + _SPREAD, column.right)


def row(
    result: CellResult, repeats: int, shown: tuple[Column, ...], color: str, tint: Callable[[str], str]
) -> dict[str, CellText]:
    """`color` is that of its line in the plot; `tint` gives a colour of the theme by its name."""
    cell = result.cell
    cells: dict[str, CellText] = {
        "mark": Text(MARK, style=color),
        "model": one_line(cell.model),
        "options": one_line(options_text(cell.options)),
        "size": f"{cell.prompt}/{cell.generate}",
        "at_once": str(cell.concurrency),
    }
    widths = {column.key: column.width for column in shown}
    for metric in METRICS:
        cells[metric.id] = _figure(metric, result, widths.get(metric.id, 0))
    if result.state == "failed":
        cells["prompt"] = Text("failed", style=tint("error"))
    elif result.state == "running":
        rounds = len({sample.round for sample in result.samples})
        cells["memory" if "memory" in widths else "first_token"] = Text(f"{rounds}/{repeats}", style=tint("accent"))
    elif result.state == "waiting":
        cells["prompt"] = Text("·", style=tint("muted"))
    return cells


def _figure(metric: Metric, result: CellResult, width: int) -> str:
    summary = metric.of(result)
    if summary is None:
        return ""
    text = summary_text(summary, metric.unit)
    return text if len(text) <= width else value_text(summary.median, metric.unit)


def cell_text(cell: Cell) -> str:
    """`bard:latest num_ctx=512 · 128/64 × 4`."""
    name = " ".join(filter(None, (cell.model, options_text(cell.options))))
    warm = " · warm" if cell.warm else ""
    return one_line(f"{name} · {cell.prompt}/{cell.generate} × {cell.concurrency}{warm}")


def details(run: Run, result: CellResult) -> Content:
    """What it is, all of its figures with their spread, what is to be said of it: three lines."""
    cell = result.cell
    about = Content.styled(cell_text(cell), "$accent bold")
    load = next((load for load in run.loads if (load.model, load.options) == (cell.model, cell.options)), None)
    loaded = load_time(load) if load is not None else None
    if loaded is not None:
        about += Content.styled("  load ", "$muted") + Content(summary_text(loaded, "s"))
    if result.memory is not None and result.memory.context:
        about += Content.styled("  context ", "$muted") + Content(str(result.memory.context))
        if result.memory.slots:
            about += Content.styled(" × ", "$muted") + Content(str(result.memory.slots))
    if result.memory is not None and result.memory.size:
        about += Content.styled("  memory ", "$muted") + Content(value_text(result.memory.size, "bytes"))
    figures = Content("  ").join(
        Content.styled(f"{_SHORT[metric]} ", "$muted") + Content(summary_text(summary, metric.unit))
        for metric in METRICS
        if metric is not MEMORY and not (metric is THROUGHPUT and cell.concurrency == 1)
        if (summary := metric.of(result)) is not None
    )
    notes = [*(load.notes if load is not None else ()), *result.notes]
    if result.failure:
        remark = Content.styled(f"✗ {one_line(result.failure)}", "$error")
    else:
        remark = Content.styled(one_line("; ".join(notes)), "$warning")
    return Content("\n").join(line for line in (about, figures, remark) if line.plain)
