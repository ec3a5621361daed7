"""`record`: the run as it is after an event; what a pane shows, a command prints and the history keeps."""

from __future__ import annotations

from typing import Literal

from msgspec import structs

from ollama_engine.bench.events import CellFinished, CellStarted, Event, Finished, Loaded, RoundFinished, Started
from ollama_engine.bench.records import CellResult, Run


def record(run: Run | None, event: Event) -> Run | None:
    """`run` with what `event` tells; None before `Started`."""
    match event:
        case Started():
            return Run(
                started_at=event.at,
                plan=event.plan,
                surroundings=event.surroundings,
                digests=event.digests,
                warnings=event.warnings,
                cells=tuple(CellResult(cell=cell) for cell in event.cells),
            )
        case _ if run is None:
            return None
        case Loaded():
            return structs.replace(run, loads=(*run.loads, event.load))
        case CellStarted():
            return _with_cell(run, event.index, structs.replace(run.cells[event.index], state="running"))
        case RoundFinished():
            before = run.cells[event.index]
            return _with_cell(run, event.index, structs.replace(before, samples=(*before.samples, *event.samples)))
        case CellFinished():
            return _with_cell(run, event.index, event.result)
        case Finished():
            return ended(run, event.at, "done")
        case _:
            return run


def ended(run: Run, at: str, state: Literal["done", "stopped"]) -> Run:
    """`run`, over: a cell that was being measured is left as far as it came."""
    cells = tuple(structs.replace(one, state="waiting") if one.state == "running" else one for one in run.cells)
    return structs.replace(run, ended_at=at, state=state, cells=cells)


def _with_cell(run: Run, index: int, result: CellResult) -> Run:
    return structs.replace(run, cells=(*run.cells[:index], result, *run.cells[index + 1 :]))
