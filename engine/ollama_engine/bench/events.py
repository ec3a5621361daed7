"""What a benchmark tells while it runs. `recording.Recording` makes a `Run` of them."""

from __future__ import annotations

from dataclasses import dataclass

from ollama_engine.bench.records import Cell, CellResult, Load, Plan, Sample, Surroundings
from ollama_engine.types import JSON


@dataclass(frozen=True)
class Started:
    """`plan` is as it was asked for, with names of models written whole and a seed."""

    at: str
    plan: Plan
    surroundings: Surroundings
    digests: dict[str, str]
    cells: tuple[Cell, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loading:
    model: str
    options: JSON


@dataclass(frozen=True)
class Loaded:
    load: Load


@dataclass(frozen=True)
class CellStarted:
    index: int


@dataclass(frozen=True)
class Speed:
    """How fast it goes now: tokens a second of all requests of the round, since the last time it was told.

    `round` counts from 0, warm-ups from -1 downwards; `tokens` of the `wanted` have been generated in this round.
    """

    index: int
    round: int
    seconds: float
    """Since the round began."""
    tokens_per_second: float
    tokens: int
    wanted: int


@dataclass(frozen=True)
class RoundFinished:
    """A round that counts: a sample for each of its requests."""

    index: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class CellFinished:
    index: int
    result: CellResult


@dataclass(frozen=True)
class Finished:
    at: str


Event = Started | Loading | Loaded | CellStarted | Speed | RoundFinished | CellFinished | Finished
