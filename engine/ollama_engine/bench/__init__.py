"""Benchmarks: how fast models are on a machine, with repeats and spread. The command, the pane and CI share this room.

It knows the `Engine` protocol and nothing behind it, so that any server can be measured as well.

    benchmark   a plan -> events, while it is measured
    record      events -> a Run
    History     runs in SQLite
    compare     two runs -> what is faster, slower, or no different
    export      a run as JSON, CSV, Markdown, SVG, PNG
"""

from __future__ import annotations

from ollama_engine.bench.benchmark import benchmark
from ollama_engine.bench.compare import Comparison, Difference, compare
from ollama_engine.bench.history import History, RunSummary
from ollama_engine.bench.plan import options_text, parse_lengths, parse_options
from ollama_engine.bench.recording import ended, record
from ollama_engine.bench.records import Cell, CellResult, Load, Memory, Plan, Run, Sample, Surroundings
from ollama_engine.bench.statistics import Summary, summary

__all__ = [
    "Cell",
    "CellResult",
    "Comparison",
    "Difference",
    "History",
    "Load",
    "Memory",
    "Plan",
    "Run",
    "RunSummary",
    "Sample",
    "Summary",
    "Surroundings",
    "benchmark",
    "compare",
    "ended",
    "options_text",
    "parse_lengths",
    "parse_options",
    "record",
    "summary",
]
