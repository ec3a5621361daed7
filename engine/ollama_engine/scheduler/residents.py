"""`Residents`: the models in memory, each with a task that lives as long as it does: load, work, unload.

The Scheduler (residency.py) says when one is to be loaded and who uses it; here is what becomes of it then.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ollama_engine.errors import EngineError, RequestCanceled
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import LoadSpec
from ollama_engine.scheduler.line import Line
from ollama_engine.scheduler.placement import FreeMemory, Placement
from ollama_engine.scheduler.recovery import lies_on_gpu, memory_given_back
from ollama_engine.scheduler.resident import Resident
from ollama_engine.scheduler.room import Load
from ollama_engine.scheduler.step_down import load_or_step_down
from ollama_engine.scheduler.ticket import Subject
from ollama_engine.settings import Settings

UNLOADED = "the model was unloaded while it was loading"

Start = Callable[..., Awaitable[Runner]]
Measure = Callable[[], Awaitable[FreeMemory]]


@dataclass(frozen=True)
class Stay:
    """What users have said about how long a model stays; it holds for the runner that takes another's place."""

    keep_alive: float
    pinned: bool = False


class Residents:
    """Belongs to one event loop. `on_change` is called with the line of a model that has loaded, or is gone."""

    def __init__(self, settings: Settings, start: Start, measure: Measure, on_change: Callable[[Line], None]) -> None:
        self._settings = settings
        self._start = start
        self._measure = measure
        self._on_change = on_change
        self._residents: dict[str, Resident] = {}
        self._stays: dict[str, Stay] = {}
        self._lives: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Resident]:
        """Those that are there; runners that have died are not."""
        return iter([resident for resident in self._residents.values() if not resident.is_gone])

    def get(self, key: str) -> Resident | None:
        resident = self._residents.get(key)
        if resident is not None and resident.is_gone:
            self._forget(resident)
            return None
        return resident

    # -- what the Scheduler does with them ---------------------------------------------------------------------

    def load(self, subject: Subject, load: Load, line: Line) -> None:
        """Begin to load a model that is not there."""
        loop = asyncio.get_running_loop()
        stay = self._stays.pop(subject.key, Stay(self._settings.keep_alive))
        resident = Resident(
            subject=subject,
            placement=load.placement,
            asked=load.placement,
            seen=load.seen,
            line=line,
            keep_alive=stay.keep_alive,
            pinned=stay.pinned,
            loaded=loop.create_future(),
            began=loop.time(),
        )
        self._residents[subject.key] = resident
        life = asyncio.create_task(self._live(resident), name=f"model {resident.name}")
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    def stop(self, resident: Resident) -> None:
        """It goes now, whoever uses it."""
        if resident.phase in ("loading", "ready"):
            resident.phase = "stopping"
            self.stop_timer(resident)
            resident.stop.set()

    def replace(self, resident: Resident) -> None:
        """It goes, to be loaded with other options: what was said of how long it stays holds for its successor."""
        self._stays[resident.subject.key] = Stay(resident.keep_alive, resident.pinned)
        self.stop(resident)

    def settle(self, resident: Resident) -> None:
        """What becomes of it where nobody uses it any more: its keep-alive begins to run, or it goes."""
        if resident.users or resident.phase not in ("loading", "ready"):
            return
        unwanted = resident.phase == "loading"  # nobody waits for it any more
        if unwanted or resident.draining or (resident.keep_alive <= 0 and not resident.pinned):
            self.stop(resident)
        else:
            self._start_timer(resident)

    def stop_timer(self, resident: Resident) -> None:
        if resident.timer is not None:
            resident.timer.cancel()
            resident.timer = None

    def _start_timer(self, resident: Resident) -> None:
        self.stop_timer(resident)
        if not math.isinf(left := resident.seconds_left):
            resident.timer = asyncio.get_running_loop().call_later(left, self.stop, resident)

    # -- what users do with them -------------------------------------------------------------------------------

    def unpin(self, key: str) -> None:
        """Let a model go by its keep-alive again, which begins to run now."""
        self._stays.pop(key, None)
        resident = self.get(key)
        if resident is not None and resident.pinned:
            resident.pinned = False
            resident.idle_since = asyncio.get_running_loop().time()
            self.settle(resident)

    async def unload(self, key: str) -> bool:
        """Let a model go as soon as its requests have ended, pinned or not; False where it is not in memory. A load
        that nobody waits for who wants an answer is broken off. Returns when the model is gone, unless it is in use."""
        self._stays.pop(key, None)
        resident = self.get(key)
        if resident is None:
            return False
        resident.draining, resident.pinned = True, False
        if resident.phase == "loading" and all(ticket.use == "load" for ticket in resident.users):
            self.stop(resident)
        self.settle(resident)
        if resident.is_leaving:
            await resident.gone.wait()
        return True

    async def aclose(self) -> None:
        """End all of them and wait until they are gone."""
        for resident in list(self._residents.values()):
            self.stop(resident)
        while self._lives:
            await asyncio.wait(self._lives)

    # -- their life --------------------------------------------------------------------------------------------

    async def _live(self, resident: Resident) -> None:
        try:
            runner = await self._load(resident)
            if runner is not None:
                await self._until_its_end(resident, runner)
                await self._unload(resident, runner)
        finally:
            self._forget(resident)

    async def _load(self, resident: Resident) -> Runner | None:
        """Its runner; None where it does not load, or is to go before it has."""

        def on_progress(fraction: float) -> None:
            resident.progress = fraction

        def on_smaller(smaller: Placement, notice: str) -> None:
            resident.placement = smaller
            resident.notices.append(notice)

        def start(spec: LoadSpec) -> Awaitable[Runner]:
            return self._start(spec, on_progress=on_progress, stall_timeout=self._settings.load_timeout)

        starting = asyncio.ensure_future(load_or_step_down(resident.placement, start, on_smaller))
        await _either(starting, resident.stop)
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
        failure = RequestCanceled() if starting.cancelled() else starting.exception()
        if resident.stop.is_set():
            self._fail(resident, RequestCanceled(UNLOADED))
            if failure is None:
                await starting.result().aclose()
            return None
        if failure is not None:
            self._fail(resident, failure)
            return None
        now = asyncio.get_running_loop().time()
        resident.phase, resident.progress, resident.ready_at, resident.line.moved_at = "ready", 1.0, now, now
        resident.loaded.set_result(starting.result())
        self._on_change(resident.line)
        self.settle(resident)
        return starting.result()

    def _fail(self, resident: Resident, error: BaseException) -> None:
        """Tell all who wait for this load. The next request tries again."""
        resident.loaded.set_exception(error)
        resident.loaded.exception()  # perhaps nobody waits
        if isinstance(error, EngineError) and not isinstance(error, RequestCanceled):
            for ticket in list(resident.line):
                if ticket.wants_same_as(resident):
                    ticket.refuse(error)
                    resident.line.remove(ticket)

    async def _until_its_end(self, resident: Resident, runner: Runner) -> None:
        dying = asyncio.ensure_future(runner.died.wait())
        await _either(dying, resident.stop)
        dying.cancel()
        if not resident.stop.is_set():
            self._forget(resident)  # at once: the next request need not wait for the cleaning up

    async def _unload(self, resident: Resident, runner: Runner) -> None:
        before = await self._measure() if lies_on_gpu(resident.placement) and runner.alive else None
        await runner.aclose()
        if before is not None:
            await memory_given_back(resident.placement, before, self._measure)

    def _forget(self, resident: Resident) -> None:
        """It is gone. Who still holds a lease on it hears so from the runner."""
        if resident.phase == "gone":
            return
        if resident.phase == "ready":  # it died: what was said of it holds for the next one
            self._stays[resident.subject.key] = Stay(resident.keep_alive, resident.pinned)
        self.stop_timer(resident)
        resident.phase = "gone"
        resident.gone.set()
        del self._residents[resident.subject.key]
        self._on_change(resident.line)


async def _either(task: asyncio.Future[Any], event: asyncio.Event) -> None:
    """Wait until the task has ended or the event is set."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
