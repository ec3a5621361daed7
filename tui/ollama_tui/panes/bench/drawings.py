"""What the plot shows of a run: its speed over time, or over the number of requests at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from ollama_engine.bench import CellResult, Run, Sample, options_text
from ollama_engine.bench.metrics import THROUGHPUT, throughput
from ollama_tui.panes.bench.speed_plot import Drawing, Series
from ollama_tui.services.bench import SpeedPoint

Kind = Literal["time", "scaling"]


def line_of(result: CellResult) -> str:
    """Cells of one line over requests at once: they differ in nothing else."""
    cell = result.cell
    return f"{cell.model} {options_text(cell.options)} {cell.prompt}/{cell.generate}"


def colors(run: Run, palette: Sequence[str]) -> list[str]:
    """A colour for each cell: those of one line have one."""
    lines = list(dict.fromkeys(map(line_of, run.cells)))
    return [palette[lines.index(line_of(result)) % len(palette)] for result in run.cells]


def scales(run: Run) -> bool:
    """Whether there is something to draw over requests at once."""
    return len({result.cell.concurrency for result in run.cells}) > 1


def over_time(run: Run, speeds: Sequence[SpeedPoint], palette: Sequence[str]) -> Drawing:
    """Tokens a second of all requests together, over seconds while it is measured, else over the rounds."""
    chosen = colors(run, palette)
    points = [(one.seconds, one.tokens_per_second, one.series) for one in speeds] or _rounds(run)
    series: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for x, y, cell in points:
        series[cell].append((x, y))
    return Drawing(
        tuple(Series(chosen[cell], *_axes(spots)) for cell, spots in series.items() if cell < len(chosen)),
        marks=not speeds and len(points) < 60,
    )


def over_requests(run: Run, palette: Sequence[str]) -> Drawing:
    """Tokens a second of all requests together, by how many they were."""
    chosen = colors(run, palette)
    steps = sorted({result.cell.concurrency for result in run.cells})
    lines: dict[str, tuple[str, list[tuple[float, float]]]] = {}
    for result, color in zip(run.cells, chosen, strict=True):
        summary = THROUGHPUT.of(result)
        if summary is not None:
            spots = lines.setdefault(line_of(result), (color, []))[1]
            spots.append((float(result.cell.concurrency), summary.median))
    series = tuple(Series(color, *_axes(sorted(spots))) for color, spots in lines.values())
    return Drawing(series, marks=True, ticks=tuple(map(float, steps)))


def _rounds(run: Run) -> list[tuple[float, float, int]]:
    points: list[tuple[float, float, int]] = []
    for place, result in enumerate(run.cells):
        rounds: dict[int, list[Sample]] = defaultdict(list)
        for sample in result.samples:
            rounds[sample.round].append(sample)
        speeds = [speed for samples in rounds.values() if (speed := throughput(samples)) is not None]
        points += [(float(len(points) + number + 1), speed, place) for number, speed in enumerate(speeds)]
    return points


def _axes(spots: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(x for x, _ in spots), tuple(y for _, y in spots)
