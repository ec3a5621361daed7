"""What `ps` tells of the models in memory: what the scheduler knows, and what is measured of their processes.

Nothing is read while nobody asks; however many ask, a process is read once an interval. A runner that hangs is given
a moment, once: then its last figures are told, with a notice, and `ps` no longer waits for it.
"""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

from ollama_engine.errors import EngineError
from ollama_engine.reading import Reading, in_thread
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Buffer, Stats
from ollama_engine.scheduler.devices import DeviceMonitor
from ollama_engine.scheduler.process_memory import ProcessMemory
from ollama_engine.scheduler.residency import Scheduler
from ollama_engine.scheduler.resident import Resident
from ollama_engine.types import DeviceShare, RunningModel

INTERVAL = 0.5
"""Seconds that a figure is given to everybody who asks."""
PATIENCE = 1.0
"""Seconds that `ps` waits for a runner, or for the system to tell of it."""
FOREVER = timedelta(days=292 * 365)
"""What Ollama shows for a model that is never unloaded: some time in the 2310s."""


class Figures:
    """Belongs to one event loop."""

    def __init__(self, scheduler: Scheduler, devices: DeviceMonitor) -> None:
        self._scheduler = scheduler
        self._device_memory = Reading(devices.process_memory, interval=INTERVAL, patience=PATIENCE)
        self._probes: dict[Runner, _Probe] = {}

    async def running(self) -> list[RunningModel]:
        """The models in memory, loading ones included, the one that stays longest first."""
        residents = sorted(self._scheduler.residents, key=lambda resident: -resident.seconds_left)
        runners = {resident.runner for resident in residents}
        self._probes = {runner: probe for runner, probe in self._probes.items() if runner in runners}
        # Not from a value at hand alone: who asks again and again must let others work.
        await asyncio.sleep(0)
        return list(await asyncio.gather(*map(self._running, residents)))

    async def _running(self, resident: Resident) -> RunningModel:
        model = _known(resident)
        runner = resident.runner
        if runner is not None:
            probe = self._probes.get(runner)
            if probe is None:
                probe = self._probes[runner] = _Probe(runner)
            model.devices = shares(runner.info.buffers)
            _sum_up(model)
            await asyncio.gather(probe.tell(model, resident), self._tell_device_memory(model))
        return model

    async def _tell_device_memory(self, model: RunningModel) -> None:
        if all(share.name == HOST for share in model.devices):
            return  # drivers are not woken up for a model that lies in the host's memory
        held = (await self._device_memory.now() or {}).get(model.pid, {})
        for share in model.devices:
            share.measured = held.get(share.name, 0)

    async def aclose(self) -> None:
        probes, self._probes = self._probes, {}
        await asyncio.gather(self._device_memory.aclose(), *(probe.aclose() for probe in probes.values()))


class _Probe:
    """The readings of one runner."""

    def __init__(self, runner: Runner) -> None:
        self._stats = Reading(lambda: _stats(runner), interval=INTERVAL, patience=PATIENCE)
        memory = ProcessMemory(runner.pid)
        self._memory = Reading(lambda: in_thread(memory.read), interval=INTERVAL, patience=PATIENCE)
        self._leases = -1

    async def tell(self, model: RunningModel, resident: Resident) -> None:
        """Fill in what is measured."""
        if resident.leases != self._leases:
            self._leases = resident.leases
            self._stats.forget()
        stats, memory = await asyncio.gather(self._stats.now(), self._memory.now())
        if memory is not None:
            model.rss, model.pss = memory.rss, memory.pss
        if stats is not None:
            model.context_used, model.context_total = stats.cells_used, stats.cells
            model.slots, model.slots_busy = stats.slots, stats.slots_busy
            if not self._stats.late:
                model.tokens_per_second = stats.tokens_per_second
                model.prompt_tokens_per_second = stats.prompt_tokens_per_second
            if stats.slots_busy and not resident.leases:
                self._stats.forget()  # a cancelled request that was just about to leave
        if self._stats.late:
            model.notices = [*model.notices, f"its process has not answered for {self._stats.late:.0f} s"]

    async def aclose(self) -> None:
        await asyncio.gather(self._stats.aclose(), self._memory.aclose())


async def _stats(runner: Runner) -> Stats | None:
    try:
        return await runner.stats()
    except EngineError:  # it has ended
        return None


def _known(resident: Resident) -> RunningModel:
    """What the scheduler knows, without asking anybody."""
    subject, spec, runner = resident.subject, resident.placement.spec, resident.runner
    left = resident.seconds_left
    return RunningModel(
        name=subject.name,
        model=subject.name,
        size=0,
        digest=subject.digest,
        details=subject.details,
        expires_at=_moment(left),
        size_vram=0,
        context_length=runner.info.n_ctx if runner else spec.n_ctx,
        state=resident.state,
        load_progress=1.0 if runner else resident.progress,
        pid=runner.pid if runner else 0,
        slots=spec.n_seq,
        queued=resident.waiting,
        pinned=resident.pinned,
        keep_alive=_seconds(resident.keep_alive),
        expires_in=_seconds(left),
        notices=list(resident.all_notices),
    )


def _moment(seconds: float) -> str:
    after = timedelta(seconds=min(seconds, FOREVER.total_seconds()))
    return (datetime.now(UTC) + after).astimezone().isoformat()


def _seconds(value: float) -> float:
    return -1.0 if math.isinf(value) else round(value, 3)


def _sum_up(model: RunningModel) -> None:
    for share in model.devices:
        size = share.weights + share.kv_cache + share.compute
        model.size += size
        model.size_vram += 0 if share.name == HOST else size
        model.weights += share.weights
        model.kv_cache += share.kv_cache
        model.compute += share.compute


HOST = "CPU"
"""ggml's name of the processor, whose memory is the host's."""


def shares(buffers: list[Buffer]) -> list[DeviceShare]:
    """Buffers as llama.cpp allocated them, by device; the host's last."""
    found: dict[str, DeviceShare] = {}
    for buffer in buffers:
        share = found.setdefault(device_of(buffer.device), DeviceShare(name=device_of(buffer.device)))
        match buffer.kind:
            case "model":
                share.weights += buffer.size
            case "KV" | "RS":
                share.kv_cache += buffer.size
            case _:
                share.compute += buffer.size
    return sorted(found.values(), key=lambda share: share.name == HOST)


def device_of(buffer: str) -> str:
    """The device whose memory a kind of buffer of ggml's lies in: `CUDA0` of `CUDA0`, `MTL0` of `MTL0_Mapped`,
    the host of `CPU_Mapped`, `CPU_REPACK`, `AMX` and `CUDA_Host` (which a device can reach quickly)."""
    name, _, kind = buffer.partition("[")[0].partition("_")  # in brackets stands the address of another machine
    return HOST if name in (HOST, "AMX") or kind == "Host" else name
