"""How a benchmark goes, on stderr: one line that changes where a person watches, a line for each cell in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Self, TextIO

from ollama_engine.bench import Cell, Run, options_text
from ollama_engine.bench.events import CellFinished, CellStarted, Event, Loading, RoundFinished, Speed, Started
from ollama_engine.bench.metrics import GENERATION
from ollama_tui.format import cell_width, plain

_ERASE_LINE = "\r\x1b[K"


class BenchProgress:
    """As a context manager it leaves the cursor at the beginning of a line."""

    def __init__(self, out: TextIO, *, terminal: bool, columns: int = 80) -> None:
        self._out = out
        self._terminal = terminal
        self._columns = columns
        self._drawn = False

    @classmethod
    def for_stderr(cls) -> Self:
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return cls(sys.stderr, terminal=terminal, columns=shutil.get_terminal_size().columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._drawn:
            self._put(_ERASE_LINE)

    def show(self, event: Event, run: Run) -> None:
        """What is new; `run` is as it is after it."""
        match event:
            case Started(warnings=warnings):
                for warning in warnings:
                    self._line(f"Warning: {warning}; figures may be off.")
            case Loading(model=model, options=options):
                self._passing(f"loading {model} {options_text(options)}")
            case CellStarted(index=index):
                self._passing(f"{self._count(run)} {cell_text(run.cells[index].cell)}")
            case RoundFinished(index=index):
                rounds = len({sample.round for sample in run.cells[index].samples})
                speed = GENERATION.of(run.cells[index])
                told = f"  {speed.median:.1f} tok/s" if speed else ""
                cell = cell_text(run.cells[index].cell)
                self._passing(f"{self._count(run)} {cell}  {rounds}/{run.plan.repeats}{told}")
            case Speed(index=index, tokens_per_second=speed, tokens=tokens, wanted=wanted):
                cell = cell_text(run.cells[index].cell)
                self._passing(f"{self._count(run)} {cell}  {tokens}/{wanted} tokens  {speed:.1f} tok/s")
            case CellFinished(result=result) if not self._terminal:
                self._line(f"{self._count(run)} {cell_text(result.cell)}: {result.state}")
            case _:
                pass

    def _count(self, run: Run) -> str:
        over = sum(result.state in ("done", "failed") for result in run.cells)
        begun = over + any(result.state == "running" for result in run.cells)
        return f"{begun}/{len(run.cells)}"

    def _line(self, text: str) -> None:
        self._put(f"{_ERASE_LINE if self._drawn else ''}{plain(text)}\n")
        self._drawn = False

    def _passing(self, text: str) -> None:
        if not self._terminal:
            return
        text = " ".join(plain(text).split())
        while cell_width(text) >= self._columns:
            text = text[:-1]
        self._put(f"{_ERASE_LINE}{text}")
        self._drawn = True

    def _put(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def cell_text(cell: Cell) -> str:
    """`bard:latest num_ctx=512, 128 + 64 tokens, 4 at once`."""
    name = " ".join(filter(None, (cell.model, options_text(cell.options))))
    at_once = f", {cell.concurrency} at once" if cell.concurrency > 1 else ""
    return f"{name}, {cell.prompt} + {cell.generate} tokens{at_once}"
