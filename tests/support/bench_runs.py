"""Runs of a benchmark with figures that a test chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ollama_engine.bench import Cell, CellResult, Load, Memory, Plan, Run, Sample, Surroundings
from ollama_engine.types import JSON, Device

SURROUNDINGS = Surroundings(
    engine="this machine",
    version="0.1.0",
    llama="llama-cpp-python 0.3.36",
    system="Linux x86_64",
    cpu="A processor",
    cores=8,
    memory=32_000_000_000,
    devices=(Device("CPU", "A processor", "cpu", 32_000_000_000), Device("CUDA0", "A card", "gpu", 24_000_000_000)),
)


def sample(round: int = 0, stream: int = 0, *, speed: float = 100.0, tokens: int = 65, prompt: int = 128) -> Sample:
    """One that read its prompt at ten times `speed` and generated at `speed` tokens a second."""
    prompt_ns = round_ns(prompt / (speed * 10))
    generation_ns = round_ns((tokens - 1) / speed)
    return Sample(
        round=round,
        stream=stream,
        prompt_tokens=prompt,
        prompt_ns=prompt_ns,
        tokens=tokens,
        generation_ns=generation_ns,
        first_token_ns=prompt_ns + 1_000_000,
        total_ns=prompt_ns + 1_000_000 + generation_ns,
        done_reason="length",
    )


def round_ns(seconds: float) -> int:
    return round(seconds * 1e9)


def result(
    speeds: Sequence[float],
    model: str = "bard:latest",
    *,
    options: JSON | None = None,
    prompt: int = 128,
    concurrency: int = 1,
    **fields: Any,
) -> CellResult:
    """A cell with a round for each of `speeds`."""
    samples = [
        sample(number, stream, speed=speed, prompt=prompt)
        for number, speed in enumerate(speeds)
        for stream in range(concurrency)
    ]
    cell = Cell(model=model, options=options or {}, prompt=prompt, generate=65, concurrency=concurrency)
    known: dict[str, Any] = {"state": "done", "memory": Memory(size=50_000_000, context=4096, slots=4), **fields}
    return CellResult(cell=cell, samples=tuple(samples), **known)


def run(*cells: CellResult, **fields: Any) -> Run:
    """A run that came to its end."""
    models = tuple(dict.fromkeys(one.cell.model for one in cells))
    known: dict[str, Any] = {
        "started_at": "2026-03-01T11:00:00+00:00",
        "ended_at": "2026-03-01T11:05:00+00:00",
        "state": "done",
        "plan": Plan(models=models, generates=(65,), repeats=3, seed=7),
        "surroundings": SURROUNDINGS,
        "digests": {model: "ab" * 32 for model in models},
        "loads": tuple(Load(model=model, times_ns=(400_000_000,)) for model in models),
    }
    return Run(cells=cells, **{**known, **fields})
