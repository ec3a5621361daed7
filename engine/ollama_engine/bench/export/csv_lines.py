"""A run as CSV: a line for each sample, with all that is known of it; a line without figures for a cell that failed."""

from __future__ import annotations

import csv
import io

from ollama_engine.bench.metrics import generation_rate, prompt_rate
from ollama_engine.bench.plan import options_text
from ollama_engine.bench.records import CellResult, Memory, Run, Sample

HEADER = (
    *("run", "started_at", "model", "digest", "options", "prompt", "generate", "concurrency", "warm", "state"),
    *Sample.__struct_fields__,
    *("prompt_rate", "generation_rate"),
    *(f"memory_{name}" for name in Memory.__struct_fields__),
    "failure",
)


def write(run: Run) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for result in run.cells:
        about = _about(run, result)
        memory = result.memory
        held = [getattr(memory, name) if memory else "" for name in Memory.__struct_fields__]
        for sample in result.samples:
            figures = [getattr(sample, name) for name in Sample.__struct_fields__]
            rates = [_rate(prompt_rate(sample)), _rate(generation_rate(sample))]
            writer.writerow([*about, *figures, *rates, *held, result.failure])
        if not result.samples:
            blanks = [""] * (len(Sample.__struct_fields__) + 2)
            writer.writerow([*about, *blanks, *held, result.failure])
    return out.getvalue()


def _about(run: Run, result: CellResult) -> list[object]:
    cell = result.cell
    return [
        *(run.id or "", run.started_at, cell.model, run.digests.get(cell.model, ""), options_text(cell.options)),
        *(cell.prompt, cell.generate, cell.concurrency, int(cell.warm), result.state),
    ]


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
