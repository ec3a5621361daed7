"""The chart of a run: what to draw and where, for whatever draws it (SVG, PNG).

A panel for each figure of speed; in it a line over the number of requests at once where several were measured, else a
bar for each cell. Whiskers reach from the first quartile to the third.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ollama_engine.bench.figures import value_text
from ollama_engine.bench.metrics import GENERATION, PROMPT, THROUGHPUT, Metric
from ollama_engine.bench.plan import options_text
from ollama_engine.bench.records import CellResult, Run
from ollama_engine.bench.statistics import Summary

WIDTH = 960
PANEL = 300
HEAD = 64
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 34, 40
ROW = 22
LABELS = 330
"""Width of the names beside bars."""
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5d5d5d", "#8a6d00")
"""Told apart by the colour-blind as well (Okabe and Ito's, darkened where white is behind them)."""
INK, PALE = "#1a1a1a", "#d0d0d0"


@dataclass(frozen=True)
class Line:
    x1: float
    y1: float
    x2: float
    y2: float
    color: str
    width: float = 1.0


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True)
class Words:
    """`x` is where the text begins, ends or has its middle, as `anchor` says; `y` is its base line."""

    x: float
    y: float
    text: str
    color: str = INK
    size: int = 13
    anchor: str = "start"


@dataclass
class Chart:
    """Drawn from the first mark to the last, on white."""

    height: int = 0
    marks: list[Line | Box | Words] = field(default_factory=list)


@dataclass(frozen=True)
class _Series:
    name: str
    points: list[tuple[int, Summary]]


def chart(run: Run) -> Chart:
    drawn = Chart()
    title = f"Benchmark, run {run.id}" if run.id else "Benchmark"
    drawn.marks.append(Words(LEFT, 28, f"{title}, {run.started_at[:10]}", size=18))
    where = run.surroundings
    drawn.marks.append(
        Words(LEFT, 48, ", ".join(filter(None, (where.cpu, where.engine, where.version))), "#5d5d5d", 12)
    )
    y = HEAD
    scales = len({result.cell.concurrency for result in run.cells}) > 1
    for metric in (GENERATION, THROUGHPUT, PROMPT) if scales else (GENERATION, PROMPT):
        results = [result for result in run.cells if metric.of(result) is not None]
        if results:
            y += _lines(drawn, metric, results, y) if scales else _bars(drawn, metric, results, y)
    if y == HEAD:
        drawn.marks.append(Words(LEFT, y + 20, "Nothing was measured."))
        y += 40
    drawn.height = y + 10
    return drawn


def _lines(drawn: Chart, metric: Metric, results: Sequence[CellResult], top: float) -> int:
    series = _series(metric, results)
    names_height = ROW * len(series)
    x0, x1, y0, y1 = LEFT, WIDTH - RIGHT, top + PANEL - BOTTOM, top + TOP
    steps = sorted({step for one in series for step, _ in one.points})
    most = max(summary.high for one in series for _, summary in one.points)
    ticks = nice_ticks(most)
    _title(drawn, metric, top)
    for tick in ticks:
        y = y0 - (y0 - y1) * tick / ticks[-1]
        drawn.marks += [
            Line(x0, y, x1, y, PALE),
            Words(x0 - 8, y + 4, f"{tick:g}", anchor="end", size=11),
        ]
    place = {step: x0 + (x1 - x0) * (n + 0.5) / len(steps) for n, step in enumerate(steps)}
    for step, x in place.items():
        drawn.marks.append(Words(x, y0 + 18, str(step), anchor="middle", size=11))
    drawn.marks.append(Words(x1, y0 + 34, "requests at once", "#5d5d5d", 11, "end"))
    for number, one in enumerate(series):
        color = COLORS[number % len(COLORS)]
        spots = [
            (place[step], [y0 - (y0 - y1) * v / ticks[-1] for v in (s.median, s.low, s.high)]) for step, s in one.points
        ]
        for (ax, ay), (bx, by) in itertools.pairwise(spots):
            drawn.marks.append(Line(ax, ay[0], bx, by[0], color, 2))
        for x, (median, low, high) in spots:
            drawn.marks += [Line(x, low, x, high, color, 2), Box(x - 4, median - 4, 8, 8, color)]
        y = top + PANEL + ROW * number
        drawn.marks += [Box(LEFT, y - 10, 12, 12, color), Words(LEFT + 20, y, _short(one.name, 120), size=12)]
    return PANEL + names_height + 14


def _bars(drawn: Chart, metric: Metric, results: Sequence[CellResult], top: float) -> int:
    summaries = [(result, summary) for result in results if (summary := metric.of(result)) is not None]
    ticks = nice_ticks(max(summary.high for _, summary in summaries))
    x0, x1 = LEFT + LABELS, WIDTH - RIGHT - 70
    _title(drawn, metric, top)
    models = list(dict.fromkeys(result.cell.model for result, _ in summaries))
    y = top + TOP
    for result, summary in summaries:
        color = COLORS[models.index(result.cell.model) % len(COLORS)]
        low, median, high = (x0 + (x1 - x0) * v / ticks[-1] for v in (summary.low, summary.median, summary.high))
        name = f"{_name(result)} {result.cell.prompt}/{result.cell.generate}"
        drawn.marks += [
            Words(x0 - 10, y + 15, _short(name, 46), anchor="end", size=12),
            Box(x0, y + 4, max(1.0, median - x0), ROW - 8, color),
            Line(low, y + ROW / 2, high, y + ROW / 2, INK, 2),
            Words(max(high, median) + 8, y + 15, value_text(summary.median, metric.unit), size=12),
        ]
        y += ROW
    return math.ceil(y - top) + 16


def _title(drawn: Chart, metric: Metric, top: float) -> None:
    drawn.marks.append(Words(LEFT, top + 20, f"{metric.title}, {metric.unit}", size=14))


def _series(metric: Metric, results: Iterable[CellResult]) -> list[_Series]:
    found: dict[str, list[tuple[int, Summary]]] = {}
    for result in results:
        summary = metric.of(result)
        if summary is not None:
            name = f"{_name(result)} {result.cell.prompt}/{result.cell.generate}"
            found.setdefault(name, []).append((result.cell.concurrency, summary))
    return [_Series(name, sorted(points, key=lambda point: point[0])) for name, points in found.items()]


def _name(result: CellResult) -> str:
    parts = (result.cell.model, options_text(result.cell.options), "warm" if result.cell.warm else "")
    return " ".join(filter(None, parts))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def nice_ticks(most: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to `most` or a little more, `count` steps or so."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    scale = 10 ** math.floor(math.log10(rough))
    step = next(scale * factor for factor in (1, 2, 2.5, 5, 10) if scale * factor >= rough * 0.999)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]
