"""A machine without processes, for tests in virtual time: its memory, the models on it, and runners that load and die
when a test says so.

The real ones are tests/engine/scheduler/test_moves.py's and the contract tests' business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ollama_engine.caller import Caller, current_caller
from ollama_engine.errors import LoadFailed
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Buffer, Loaded, LoadSpec
from ollama_engine.scheduler.memory import shifted
from ollama_engine.scheduler.placement import CPU, FreeMemory, GpuMemory, Placement
from ollama_engine.scheduler.residency import Lease, Scheduler
from ollama_engine.scheduler.ticket import Placer, Subject
from ollama_engine.scheduler.ticket import Use as Purpose
from ollama_engine.settings import Settings
from ollama_engine.types import ModelDetails

RAM = 1000
LAYERS = 10
DEFAULT_CONTEXT = 4096
CHOICES = {"n_batch", "n_gpu_layers", "main_gpu", "use_mmap", "n_threads"}


@dataclass(eq=False)
class FakeRunner:
    spec: LoadSpec
    world: World
    needs: dict[str, int]
    alive: bool = True
    died: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def info(self) -> Loaded:
        mapped = min(self.needs.get(CPU, 0), self.world.mapped.get(self.spec.model_paths[0], 0))
        buffers = [Buffer("CPU_Mapped", "model", mapped)]
        return Loaded(self.spec.n_ctx, 0, self.spec.n_seq, 0, LAYERS, "", buffers, can_shift=True)

    async def aclose(self) -> None:
        await asyncio.sleep(self.world.unload_seconds)
        self.die()

    def die(self) -> None:
        self.alive = False
        self.died.set()
        self.world.alive.discard(self)


@dataclass
class World:
    """What there is, what has been loaded, and what the next load does.

    Attributes:
        total: the machine's memory with nothing on it.
        mapped: bytes of a model's file that do not count as taken where they lie in RAM.
        load_seconds: how long a load takes; `gate`: all of them wait for it too.
        foreign: RAM that other programs hold.
        errors: raised by loads, by name of the model; `""` by all.
        excess: where more was loaded than there is, or more models than may be.
    """

    settings: Settings = field(default_factory=Settings)
    total: FreeMemory = field(default_factory=lambda: FreeMemory(RAM))
    mapped: dict[str, int] = field(default_factory=dict)
    foreign: int = 0
    load_seconds: float = 1.0
    unload_seconds: float = 0.1
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    errors: dict[str, Exception] = field(default_factory=dict)
    loads: list[LoadSpec] = field(default_factory=list)
    cancelled_loads: int = 0
    alive: set[FakeRunner] = field(default_factory=set)
    loading: list[dict[str, int]] = field(default_factory=list)
    most_models: int = 0
    excess: list[str] = field(default_factory=list)
    measured: int = 0
    needs: dict[str, dict[str, int]] = field(default_factory=dict)
    """By what a runner of a spec takes of each device."""

    def __post_init__(self) -> None:
        self.gate.set()

    @asynccontextmanager
    async def scheduler(self, **settings: Any) -> AsyncIterator[Scheduler]:
        """Closed at the end, which must not take for ever."""
        self.settings = replace(self.settings, **settings)
        scheduler = Scheduler(self.settings, start=self.start, measure=self.measure)
        try:
            yield scheduler
        finally:
            self.gate.set()
            async with asyncio.timeout(60):
                await scheduler.aclose()
            assert not self.alive
            assert not self.excess, self.excess

    async def measure(self) -> FreeMemory:
        await asyncio.sleep(0)
        self.measured += 1
        taken = {CPU: -self.foreign}
        for runner in self.alive:
            for device, n in runner.needs.items():
                hidden = sum(buffer.size for buffer in runner.info.buffers) if device == CPU else 0
                taken[device] = taken.get(device, 0) - n + hidden
        return shifted(self.total, taken)

    async def start(self, spec: LoadSpec, *, on_progress: Callable[[float], None], stall_timeout: float) -> Runner:
        name, needs = spec.model_paths[0], self.needs[_label(spec)]
        self.loads.append(spec)
        self.loading.append(needs)
        self._check(name)
        try:
            on_progress(0.5)
            await asyncio.sleep(self.load_seconds)
            await self.gate.wait()
            if error := self.errors.get(name) or self.errors.get(""):
                raise error
        except asyncio.CancelledError:
            self.cancelled_loads += 1
            raise
        finally:
            self.loading.remove(needs)
        runner = FakeRunner(spec, self, needs)
        self.alive.add(runner)
        return cast("Runner", runner)

    def _check(self, name: str) -> None:
        count = len(self.alive) + len(self.loading)
        self.most_models = max(self.most_models, count)
        if self.settings.max_loaded_models and count > self.settings.max_loaded_models:
            self.excess.append(f"{count} models")
        have = {CPU: self.total.ram, **{gpu.name: gpu.free for gpu in self.total.gpus}}
        for device, n in have.items():
            taken = sum(needs.get(device, 0) for needs in [*self.loading, *(one.needs for one in self.alive)])
            if device == CPU and any(one.spec.model_paths[0] == name for one in self.alive):
                taken -= self.mapped.get(name, 0)  # the same pages
            if taken > n:
                self.excess.append(f"{taken} of {n} on {device}")

    # -- how models are placed ---------------------------------------------------------------------------------

    def fixed(self, name: str, *, n_ctx: int = 0, n_seq: int = 1, needed: int = 10, **spec: Any) -> Placer:
        """The same wherever it is loaded, in RAM. What is not given is ours to choose."""
        chosen = CHOICES - set(spec) if n_ctx else CHOICES - set(spec) | {"n_ctx"}
        made = LoadSpec([name], n_ctx or DEFAULT_CONTEXT, n_seq, **spec)
        self.needs[_label(made)] = {CPU: needed}
        return lambda free: Placement(made, needed, frozenset(chosen), {CPU: needed})

    def split(self, name: str, size: int, *, n_ctx: int = 0, n_seq: int = 1, **spec: Any) -> Placer:
        """As much as possible on GPUs, the rest in RAM; a layer is a tenth of it. LoadFailed where it does not fit."""
        chosen = CHOICES - set(spec) if n_ctx else CHOICES - set(spec) | {"n_ctx"}

        def place(free: FreeMemory) -> Placement:
            if size > free.usable:
                raise LoadFailed(f"model requires more memory ({size}) than is available ({free.usable})")
            layer, left, needs = size // LAYERS, LAYERS, dict[str, int]()
            for gpu in sorted(free.gpus, key=lambda gpu: -gpu.free):
                n = min(left, gpu.free // layer)
                left -= n
                needs[gpu.name] = n * layer
            needs[CPU] = size - sum(needs.values())
            made = LoadSpec([name], n_ctx or DEFAULT_CONTEXT, n_seq, n_gpu_layers=LAYERS - left, **spec)
            self.needs[_label(made)] = needs
            return Placement(made, size, frozenset(chosen), needs)

        return place


def _label(spec: LoadSpec) -> str:
    return repr(spec)


def gpus(*free: int, ram: int = RAM) -> FreeMemory:
    return FreeMemory(ram, tuple(GpuMemory(f"CUDA{i}", n, n) for i, n in enumerate(free)))


def subject(name: str, *, key: str = "", weights: str = "") -> Subject:
    return Subject(key or name, name, f"digest of {name}", ModelDetails(), (weights or key or name,))


class Use:
    """A request that holds its lease until it is told to let go."""

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        place: Placer,
        *,
        keep_alive: float | None = None,
        use: Purpose = "answer",
        caller: Caller | None = None,
        pin: bool = False,
    ) -> None:
        self.lease: Lease | None = None
        self._begun = asyncio.Event()
        self._let_go = asyncio.Event()
        before = current_caller.set(caller or Caller(name))
        self.task = asyncio.create_task(self._use(scheduler, name, place, keep_alive, use, pin))
        current_caller.reset(before)

    async def _use(
        self, scheduler: Scheduler, name: str, place: Placer, keep_alive: float | None, use: Purpose, pin: bool
    ) -> None:
        async with scheduler.lease(subject(name), place, keep_alive, use=use, pin=pin) as self.lease:
            self._begun.set()
            await self._let_go.wait()

    @property
    def has_begun(self) -> bool:
        return self.lease is not None

    async def begun(self) -> FakeRunner:
        """Its runner, once it has one; its error where it gets none."""
        begun = asyncio.ensure_future(self._begun.wait())
        await asyncio.wait({begun, self.task}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if self.lease is None:
            self.task.result()
        assert self.lease is not None
        return cast("FakeRunner", self.lease.runner)

    async def end(self) -> None:
        self._let_go.set()
        await self.task

    async def run(self) -> FakeRunner:
        """Begin, and end at once."""
        runner = await self.begun()
        await self.end()
        return runner
