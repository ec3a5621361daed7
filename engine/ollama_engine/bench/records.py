"""What a benchmark asks for, measures and keeps: plain values, which become JSON and rows as they are.

Durations are integer nanoseconds, sizes bytes, moments RFC 3339.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct, field

from ollama_engine.types import JSON, Device

FORMAT = "ollama-tui bench 1"
"""What a file says that it is."""


class Plan(Struct, frozen=True, kw_only=True):
    """Every model with every set of options, prompt length, generation length and number of requests at once."""

    models: tuple[str, ...]
    prompts: tuple[int, ...] = (128,)
    """Tokens of each prompt."""
    generates: tuple[int, ...] = (64,)
    """Tokens of each answer."""
    concurrencies: tuple[int, ...] = (1,)
    options: tuple[JSON, ...] = ({},)
    """Sets of options, as a request takes them; each is loaded anew."""
    repeats: int = 5
    warmups: int = 1
    """Rounds that are not counted, before those that are."""
    loads: int = 1
    """Times that each model is loaded, for the time that takes."""
    warm: bool = False
    """One prompt again and again, which the prefix cache knows; else every prompt is a new one."""
    seed: int = 0
    """Of prompts and answers; 0 takes another one each time, which the run then names."""
    ignore_eos: bool = True
    """Answers do not end by themselves, on an engine that can do that."""


class Cell(Struct, frozen=True, kw_only=True):
    """One place of the matrix."""

    model: str
    options: JSON = {}
    prompt: int
    generate: int
    concurrency: int = 1
    warm: bool = False

    @property
    def key(self) -> str:
        """The same for the same measurement in another run."""
        return msgspec.json.encode(self, order="deterministic").decode()


class Sample(Struct, frozen=True, kw_only=True):
    """One request. `*_ns` of prompt and generation are the engine's own; the others are measured by the caller."""

    round: int
    stream: int = 0
    """Which of the requests at once."""
    prompt_tokens: int
    cached_tokens: int = 0
    prompt_ns: int
    tokens: int
    generation_ns: int
    start_ns: int = 0
    """When it was asked, after the round's first request."""
    first_token_ns: int
    """From asking to the first piece of the answer."""
    total_ns: int
    done_reason: str = ""


class Memory(Struct, frozen=True, kw_only=True):
    """What the model held at the end of a cell, as `Engine.running` tells it; 0 where nobody does."""

    size: int = 0
    vram: int = 0
    rss: int = 0
    weights: int = 0
    kv_cache: int = 0
    compute: int = 0
    measured: int = 0
    """All that its process holds of GPUs by their drivers; 0 where they do not tell."""
    context: int = 0
    """Tokens of one slot."""
    slots: int = 0


class Load(Struct, frozen=True, kw_only=True):
    """A model brought into memory with a set of options: how long each time took. `failure` says why it was not."""

    model: str
    options: JSON = {}
    times_ns: tuple[int, ...] = ()
    memory: Memory | None = None
    failure: str = ""
    notes: tuple[str, ...] = ()


class CellResult(Struct, frozen=True, kw_only=True):
    """What was measured of a cell. `failed` has its reason in `failure`; what was measured before that stays."""

    cell: Cell
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    samples: tuple[Sample, ...] = ()
    memory: Memory | None = None
    failure: str = ""
    notes: tuple[str, ...] = ()


class Surroundings(Struct, frozen=True, kw_only=True):
    """Where it was measured, and by which build."""

    engine: str
    """Where the engine is, in words: `this machine`, or the address of a server."""
    version: str = ""
    llama: str = ""
    """The build of llama.cpp, where it is known."""
    system: str = ""
    cpu: str = ""
    cores: int = 0
    """0 where another machine does not tell."""
    memory: int = 0
    devices: tuple[Device, ...] = ()


class Run(Struct, frozen=True, kw_only=True):
    """A whole benchmark, as it is now. `id` is its number in the history, 0 where it is in none."""

    format: str = FORMAT
    id: int = 0
    started_at: str
    ended_at: str = ""
    state: Literal["running", "done", "stopped"] = "running"
    note: str = ""
    plan: Plan
    surroundings: Surroundings
    digests: dict[str, str] = field(default_factory=dict)
    """Model -> digest of its manifest."""
    warnings: tuple[str, ...] = ()
    loads: tuple[Load, ...] = ()
    cells: tuple[CellResult, ...] = ()

    @property
    def failures(self) -> int:
        """Cells that could not be measured."""
        return sum(result.state == "failed" for result in self.cells)
