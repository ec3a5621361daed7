"""A runner without a process, whose load and end a test decides: what the Scheduler does is seen step by step.

The real ones are tests/engine/runner's and the contract tests' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ollama_engine.errors import LoadFailed
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Loaded, LoadSpec
from ollama_engine.scheduler.placement import FreeMemory, Placement
from ollama_engine.scheduler.residency import Scheduler
from ollama_engine.scheduler.resident import Subject
from ollama_engine.settings import Settings
from ollama_engine.types import ModelDetails

FREE = FreeMemory(ram=1000)
LOADED = "loaded"


@dataclass(eq=False)
class FakeRunner:
    spec: LoadSpec
    world: World
    alive: bool = True

    @property
    def info(self) -> Loaded:
        return Loaded(self.spec.n_ctx, 0, self.spec.n_seq, 0, 0, "", [], can_shift=True)

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        if self.alive:
            self.die()

    def die(self) -> None:
        self.alive = False
        self.world.alive.discard(self)


@dataclass
class World:
    """What has been loaded, and what the next load does.

    Attributes:
        gate: loads wait for it; set by default.
        error: raised by loads from now on.
        most_context: a load with a longer one lacks memory; 0: none does.
        free: what `measure` says, less what runs if `counts_memory`.
    """

    settings: Settings = field(default_factory=Settings)
    loads: list[LoadSpec] = field(default_factory=list)
    cancelled_loads: int = 0
    alive: set[FakeRunner] = field(default_factory=set)
    most_alive: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    most_context: int = 0
    free: FreeMemory = FREE
    needs: dict[str, int] = field(default_factory=dict)
    loading: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def scheduler(self, **settings: Any) -> Scheduler:
        self.settings = replace(self.settings, **settings)
        return Scheduler(self.settings, start=self.start, measure=self.measure)

    def measure(self) -> FreeMemory:
        used = sum(self.needs.get(runner.spec.model_paths[0], 0) for runner in self.alive)
        return replace(self.free, ram=self.free.ram - used)

    async def start(self, spec: LoadSpec, *, on_progress: Callable[[float], None], stall_timeout: float) -> Runner:
        self.loads.append(spec)
        self.loading += 1
        self.most_alive = max(self.most_alive, self.loading + len(self.alive))
        try:
            on_progress(0.5)
            await self.gate.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled_loads += 1
            raise
        finally:
            self.loading -= 1
        if self.error is not None:
            raise self.error
        if self.most_context and spec.n_ctx > self.most_context:
            raise LoadFailed("failed to allocate", out_of_memory=True)
        runner = FakeRunner(spec, self)
        self.alive.add(runner)
        return cast("Runner", runner)

    def placement(self, name: str, *, n_ctx: int = 0, n_seq: int = 1, needed: int = 10, **spec: Any) -> Placement:
        """As `place` would make it: what is not given here is ours to choose."""
        chosen = {"n_batch", "n_gpu_layers", "main_gpu", "use_mmap", "n_threads"} - set(spec)
        if not n_ctx:
            chosen.add("n_ctx")
        self.needs[name] = needed
        return Placement(LoadSpec([name], n_ctx or 4096, n_seq, **spec), needed, frozenset(chosen))


def subject(name: str) -> Subject:
    return Subject(name, name, f"digest of {name}", ModelDetails())
