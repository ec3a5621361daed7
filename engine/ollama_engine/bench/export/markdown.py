"""A run as Markdown: what was measured where, a table of medians with their spread, loads, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ollama_engine.bench.figures import summary_text, surroundings_lines
from ollama_engine.bench.metrics import METRICS, load_time
from ollama_engine.bench.plan import options_text
from ollama_engine.bench.records import CellResult, Run

NOTE = "Medians, ± half the interquartile range; speeds in tokens a second."


def write(run: Run) -> str:
    name = f"run {run.id}" if run.id else "run"
    parts = [f"# Benchmark, {name}{': ' + _safe(run.note) if run.note else ''}\n"]
    parts.append("".join(f"* {_safe(line)}\n" for line in _head(run)))
    parts.append(_table(_HEADER, (_row(result) for result in run.cells)))
    parts.append(f"{NOTE}\n")
    loads = [
        (load.model, options_text(load.options), summary_text(load_time(load), "s") or load.failure or "not measured")
        for load in run.loads
    ]
    if loads:
        parts.append(_table(("model", "options", "load"), loads))
    remarks = [*(f"{when}: {note}" for when, note in _remarks(run))]
    if remarks:
        parts.append("".join(f"* {_safe(remark)}\n" for remark in remarks))
    return "\n".join(parts)


_HEADER = ("model", "options", "prompt", "generate", "at once", *(metric.title for metric in METRICS))


def _head(run: Run) -> Iterable[str]:
    yield f"{run.started_at}, {run.state}"
    yield from surroundings_lines(run.surroundings)
    for model, digest in run.digests.items():
        yield f"{model}: {digest[:12]}"
    plan = run.plan
    yield f"{plan.repeats} repeats after {plan.warmups} warm-ups, seed {plan.seed}" + (
        ", prompts from the prefix cache" if plan.warm else ", every prompt new"
    )


def _row(result: CellResult) -> tuple[str, ...]:
    cell = result.cell
    about = (cell.model, options_text(cell.options), str(cell.prompt), str(cell.generate), str(cell.concurrency))
    if result.state != "done":
        return (*about, result.state, *[""] * (len(METRICS) - 1))
    return (*about, *(summary_text(metric.of(result), metric.unit) for metric in METRICS))


def _remarks(run: Run) -> Iterable[tuple[str, str]]:
    for warning in run.warnings:
        yield "at the start", warning
    for load in run.loads:
        for note in load.notes:
            yield load.model, note
    for result in run.cells:
        cell = result.cell
        where = f"{cell.model} {options_text(cell.options)} {cell.prompt}/{cell.generate} x {cell.concurrency}"
        for note in (*result.notes, *([result.failure] if result.failure else ())):
            yield " ".join(where.split()), note


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(_safe, line))} |\n" for line in lines)


def _safe(text: str) -> str:
    """On one line, and nothing in it ends a cell or begins a tag."""
    plain = " ".join(text.split())
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
