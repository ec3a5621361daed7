"""Runs and comparisons as tables for a terminal; a comparison also as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ollama_engine.bench import Comparison, Difference, Run, RunSummary, options_text
from ollama_engine.bench.figures import change_text, summary_text, surroundings_lines
from ollama_engine.bench.metrics import METRICS, load_time
from ollama_tui import format
from ollama_tui.cli.bench_progress import cell_text

MEANING = {
    "better": "better",
    "worse": "WORSE",
    "same": "no difference",
    "unsure": "too few to tell",
    "failed": "FAILED",
    "new": "new",
    "gone": "not measured now",
}
TITLES = {metric.id: metric.title for metric in METRICS}
STATES = {"running": "not ended"}


def run_table(run: Run) -> str:
    """Where it was measured, a row for each cell, loads."""
    several = any(result.cell.options for result in run.cells)
    header = ["MODEL", *(["OPTIONS"] if several else []), "PROMPT", "GEN", "AT ONCE"]
    header += [f"{metric.title.upper()}" for metric in METRICS]
    rows = [header]
    for result in run.cells:
        cell = result.cell
        row = [cell.model, *([options_text(cell.options) or "-"] if several else [])]
        row += [str(cell.prompt), str(cell.generate), str(cell.concurrency)]
        if result.state == "done":
            row += [summary_text(metric.of(result), metric.unit) or "-" for metric in METRICS]
        else:
            row.append(STATES.get(result.state, result.state))
        rows.append(row)
    loads = [
        [load.model, options_text(load.options) or "-", summary_text(load_time(load), "s") or "-"] for load in run.loads
    ]
    head = "".join(f"{line}\n" for line in _head(run))
    text = f"{head}\n{format.table(rows)}"
    if loads:
        text += f"\n{format.table([['MODEL', 'OPTIONS', 'LOAD'], *loads])}"
    return format.plain(text)


def _head(run: Run) -> Iterable[str]:
    name = f"Run {run.id}" if run.id else "Not kept"
    note = f", {run.note}" if run.note else ""
    yield f"{name}{note}, {run.started_at}; medians ± half the IQR of {run.plan.repeats} rounds, speeds in tokens/s"
    yield from surroundings_lines(run.surroundings)


def remarks(run: Run) -> list[str]:
    """What was otherwise than asked, and why a cell failed: a line each."""
    found = [f"{load.model}: {note}" for load in run.loads for note in load.notes]
    for result in run.cells:
        lines = [*result.notes, *([f"failed: {result.failure}"] if result.failure else [])]
        found += [f"{cell_text(result.cell)}: {line}" for line in lines]
    return [format.plain(line) for line in dict.fromkeys(found)]


def comparison_table(comparison: Comparison) -> str:
    lines = [["MODEL", "OPTIONS", "PROMPT", "GEN", "AT ONCE", "FIGURE", "BEFORE", "NOW", "CHANGE", ""]]
    lines += [_difference(one) for one in comparison.differences]
    warnings = "".join(f"Warning: {warning}\n" for warning in comparison.warnings)
    return format.plain(f"Compared with {_name(comparison.before)}\n{warnings}{format.table(lines)}")


def comparison_markdown(comparison: Comparison) -> str:
    header = ["model", "options", "prompt", "generate", "at once", "figure", "before", "now", "change", "verdict"]
    rows = [_difference(one) for one in comparison.differences]
    lines = [header, ["---"] * len(header), *rows]
    table = "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)
    warnings = "".join(f"* {warning}\n" for warning in comparison.warnings)
    return f"## Compared with {_name(comparison.before)}\n\n{warnings}{warnings and chr(10)}{table}"


def _name(number: int) -> str:
    return f"run {number}" if number else "the run of the file"


def _cell(text: str) -> str:
    return format.plain(text).replace("|", "\\|").replace("<", "&lt;")


def _difference(one: Difference) -> list[str]:
    return [
        one.model,
        one.options or "-",
        str(one.prompt or "-"),
        str(one.generate or "-"),
        str(one.concurrency or "-"),
        TITLES.get(one.metric, one.metric),
        summary_text(one.before, one.unit) or "-",
        summary_text(one.after, one.unit) or "-",
        change_text(one.change) or "-",
        MEANING[one.verdict],
    ]


def history_table(runs: Sequence[RunSummary], now: datetime) -> str:
    rows = [("RUN", "WHEN", "MODELS", "MEASURED", "STATE", "ENGINE", "NOTE")]
    for run in runs:
        failed = f", {run.failed} failed" if run.failed else ""
        rows.append(
            (
                str(run.id),
                format.moment(format.parse_timestamp(run.started_at), now),
                ", ".join(run.models),
                f"{run.measured}/{run.cells}{failed}",
                STATES.get(run.state, run.state),
                f"{run.engine} {run.version}".strip(),
                run.note,
            )
        )
    return format.plain(format.table(rows))
