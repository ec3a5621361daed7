"""`Scheduler`: leases on models in memory.

    async with scheduler.lease(subject, placement, keep_alive) as lease:
        async for piece in lease.runner.generate(...): ...

A lease keeps its model loaded. Models of different weights load side by side; a load never blocks requests for a
model that is there. When the last lease of a model ends, its keep-alive begins to run; when there is no room, the
model idle for longest goes first. Every wait ends: with the model, or with an error that says why not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from ollama_engine.errors import Busy, RequestCanceled
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import LoadSpec
from ollama_engine.scheduler.placement import FreeMemory, Placement, check_fits, measure_memory
from ollama_engine.scheduler.resident import Resident, Subject
from ollama_engine.scheduler.step_down import load_or_step_down
from ollama_engine.settings import Settings

log = logging.getLogger(__name__)

MODELS_PER_DEVICE = 3
QUEUE_FULL = "server busy, please try again.  maximum pending requests exceeded"


@dataclass(frozen=True)
class Lease:
    """The right to use a runner. `load_duration` is how long this caller waited for it, nanoseconds.

    `notices` say what is otherwise than asked for: a smaller context, weights that could not be locked in memory.
    """

    runner: Runner
    load_duration: int
    notices: tuple[str, ...] = ()


class Scheduler:
    """All models in memory of one engine. Lives in one event loop; `aclose` ends every runner."""

    def __init__(
        self,
        settings: Settings,
        *,
        start: Callable[..., Awaitable[Runner]] = Runner.start,
        measure: Callable[[], FreeMemory] = measure_memory,
    ) -> None:
        self._settings = settings
        self._start = start
        self._measure = measure
        self._residents: dict[str, Resident] = {}
        self._changed = asyncio.Event()
        """Set when any resident has changed, and then replaced: see `_notify`."""
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    # -- leases ------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def lease(self, subject: Subject, placement: Placement, keep_alive: float | None) -> AsyncIterator[Lease]:
        """Hold a model in memory for the length of the block, loading it first where it is not there.

        Args:
            keep_alive: seconds it stays afterwards; None leaves what the model has, or the default.

        Raises:
            LoadFailed: it does not load, or does not fit.
            Busy: too many wait already, or room did not come free in time.
        """
        began = time.perf_counter_ns()
        resident = await self._acquire(subject, placement, keep_alive)
        try:
            runner = await asyncio.shield(resident.load)
            yield Lease(runner, time.perf_counter_ns() - began, resident.all_notices)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if resident.load.cancelled() and not (task and task.cancelling()):  # not the caller, the load under it
                raise RequestCanceled("the model was unloaded while it was loading") from None
            raise
        finally:
            self._release(resident)

    async def _acquire(self, subject: Subject, placement: Placement, keep_alive: float | None) -> Resident:
        resident = self._find(subject, placement)
        if (resident is None or resident.is_full) and self._pending() >= self._settings.max_queue:
            raise Busy(QUEUE_FULL, hint="Try again later, or set OLLAMA_MAX_QUEUE or OLLAMA_NUM_PARALLEL higher.")
        if resident is None:
            resident = await self._wait_for(subject, placement)
        return self._take(resident, keep_alive)

    async def _wait_for(self, subject: Subject, placement: Placement) -> Resident:
        self._waiting += 1
        try:
            async with asyncio.timeout(_bounded(self._settings.load_timeout)):
                while (resident := self._find(subject, placement)) is None:
                    await self._changed.wait()
                return resident
        except TimeoutError:
            raise Busy(
                f"no room for {subject.name}: other models were busy for {self._settings.load_timeout:.0f} s",
                hint="Stop one of the models that 'ollama-tui ps' lists.",
                retry_after=10,
            ) from None
        finally:
            self._waiting -= 1

    def _find(self, subject: Subject, placement: Placement) -> Resident | None:
        """The resident to lease, its load begun where it was not there; None as long as that cannot be."""
        if self._closed:
            raise Busy("the engine is shutting down")
        return self._usable(subject.key, placement) or self._make(subject, placement)

    def _pending(self) -> int:
        return self._waiting + sum(resident.waiting for resident in self._residents.values())

    def _usable(self, key: str, placement: Placement) -> Resident | None:
        """The resident that can answer for `placement`. One that is dead or loaded otherwise is sent away."""
        resident = self._residents.get(key)
        if resident is None or resident.retiring:
            return None
        if resident.is_gone:
            self._forget(resident)
            return None
        # What has less than was asked for serves who asks for no more than that: more would not load.
        if not (placement.served_by(resident.placement.spec) or placement.served_by(resident.asked.spec)):
            self._retire(resident)
            return None
        return resident

    def _make(self, subject: Subject, placement: Placement) -> Resident | None:
        """Begin to load, or make room for it and return None where that takes time."""
        if subject.key in self._residents:  # on its way out; its memory is still taken
            return None
        free = self._measure()
        others = self.residents
        # What is still loading will take memory that is free now.
        usable = free.usable - sum(other.placement.needed for other in others if other.runner is None)
        if others and (len(others) >= self._limit(free) or placement.needed > usable):
            reclaimable = sum(other.placement.needed for other in others)
            if placement.needed <= usable + reclaimable:
                self._evict()
                return None
        check_fits(placement, free)
        resident = Resident(
            subject=subject,
            placement=placement,
            asked=placement,
            keep_alive=self._settings.keep_alive,
            load=asyncio.create_task(self._load(subject.key, placement), name=f"load {subject.name}"),
        )
        self._residents[subject.key] = resident
        return resident

    async def _load(self, key: str, placement: Placement) -> Runner:
        def on_progress(fraction: float) -> None:
            if key in self._residents:
                self._residents[key].progress = fraction

        def on_smaller(smaller: Placement, notice: str) -> None:
            if key in self._residents:
                self._residents[key].placement = smaller
                self._residents[key].notices.append(notice)

        def start(spec: LoadSpec) -> Awaitable[Runner]:
            return self._start(spec, on_progress=on_progress, stall_timeout=self._settings.load_timeout)

        return await load_or_step_down(placement, start, on_smaller)

    def _take(self, resident: Resident, keep_alive: float | None) -> Resident:
        resident.leases += 1
        if keep_alive is not None:
            resident.keep_alive = keep_alive
        if resident.timer is not None:
            resident.timer.cancel()
            resident.timer = None
        return resident

    def _release(self, resident: Resident) -> None:
        """Give a lease back. Not a coroutine: a caller that is cancelled here must not leave it half done."""
        resident.leases -= 1
        resident.idle_since = time.monotonic()
        if not resident.leases and self._residents.get(resident.subject.key) is resident:
            if resident.is_gone:
                self._forget(resident)
            elif resident.retiring or resident.keep_alive <= 0 or not resident.load.done():
                self._retire(resident)  # where it has not loaded yet, nobody waits for that any more
            else:
                self._start_timer(resident)
        self._notify()

    def _start_timer(self, resident: Resident) -> None:
        left = _bounded(resident.keep_alive)
        if left is not None:
            resident.timer = asyncio.get_running_loop().call_later(left, self._retire, resident)

    # -- going -------------------------------------------------------------------------------------------------

    def _limit(self, free: FreeMemory) -> int:
        return self._settings.max_loaded_models or MODELS_PER_DEVICE * max(1, free.devices)

    def _evict(self) -> None:
        """Send away the model that has been idle for longest, unless one is going already, or all are busy."""
        idle = [resident for resident in self._residents.values() if not resident.leases]
        if idle and not any(resident.retiring for resident in idle):
            self._retire(min(idle, key=lambda resident: resident.idle_since))

    def _retire(self, resident: Resident) -> None:
        """No new lease from now on; unload at once if nobody holds one."""
        resident.retiring = True
        if resident.timer is not None:
            resident.timer.cancel()
            resident.timer = None
        if not resident.leases:
            self._spawn(self._unload(resident))

    def _forget(self, resident: Resident) -> None:
        """Take a resident whose process is gone off the list, whoever still holds it, and clean up behind it."""
        del self._residents[resident.subject.key]
        self._spawn(self._unload(resident))

    async def _unload(self, resident: Resident) -> None:
        resident.load.cancel()
        await asyncio.wait([resident.load])
        try:
            if resident.runner is not None:
                await resident.runner.aclose()
        finally:
            if self._residents.get(resident.subject.key) is resident:
                del self._residents[resident.subject.key]
            self._notify()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _notify(self) -> None:
        """Wake everybody who waits for a change; who begins to wait from now on waits for the next."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # -- asked from outside ------------------------------------------------------------------------------------

    @property
    def residents(self) -> list[Resident]:
        """What is in memory now; runners that have died are not."""
        for resident in list(self._residents.values()):
            if resident.is_gone and not resident.leases:
                self._forget(resident)
        return list(self._residents.values())

    async def unload(self, key: str) -> bool:
        """Let a model go as soon as its leases have ended; False where it is not in memory. Waits for an idle one."""
        resident = self._residents.get(key)
        if resident is None:
            return False
        self._retire(resident)
        while not resident.leases and self._residents.get(key) is resident:
            await self._changed.wait()
        return True

    async def aclose(self) -> None:
        """End every runner, whoever uses it, and wait until they are gone."""
        self._closed = True
        for resident in self._residents.values():
            self._retire(resident)
            self._spawn(self._unload(resident))  # whoever holds it
        self._notify()
        while tasks := tuple(self._tasks):
            await asyncio.gather(*tasks, return_exceptions=True)
            # From Python 3.12 on, waiting for what is done already does not let their callbacks run.
            self._tasks.difference_update(tasks)


def _bounded(seconds: float) -> float | None:
    """A timeout as asyncio takes it: None for ever."""
    return None if seconds == float("inf") else seconds
