"""What this machine computes on: ggml's devices, found by a process of their own (device_probe.py), and how busy and
hot they are now, by psutil (host.py) and NVIDIA's driver (nvml.py)."""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from collections.abc import Callable, Sequence

import psutil

from ollama_engine.errors import RunnerError
from ollama_engine.reading import Reading, in_thread
from ollama_engine.runner.protocol import GgmlDevice
from ollama_engine.scheduler.device_probe import PROBE, probe
from ollama_engine.scheduler.host import Host, HostFigures, temperature
from ollama_engine.scheduler.nvml import GpuFigures, Nvml, SharedNvml, pci_address
from ollama_engine.scheduler.placement import FreeMemory, GpuMemory
from ollama_engine.types import Device

log = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds that a figure is given to everybody who asks."""
SLOW_INTERVAL = 5.0
"""Of what changes slowly and is slow to ask: sensors."""
PATIENCE = 2.0
"""Seconds that anybody waits for a driver to tell its figures."""
AGAIN = 60.0
"""Seconds after which devices are looked for anew, where that failed or where only the search tells what is free."""


class DeviceMonitor:
    """The devices of this machine. The first look at them takes long, what they do now is cheap. `aclose` it.

    Every wait is bounded: a driver that hangs leaves its figures out, and what it told of memory is what it said last.
    """

    def __init__(self, command: Sequence[str] = PROBE, *, open_nvml: Callable[[], Nvml | None] = Nvml.open) -> None:
        self._command = command
        self._found: list[GgmlDevice] = []
        self._found_at: float | None = None
        self._failure = ""
        """Why the last search failed, as the log says it; empty where it did not."""
        self._search: asyncio.Task[None] | None = None
        self._host = Host()
        self._host_now = Reading(lambda: in_thread(self._host.read), interval=INTERVAL, patience=PATIENCE)
        self._temperature = Reading(lambda: in_thread(temperature), interval=SLOW_INTERVAL, patience=PATIENCE)
        self._nvml = SharedNvml(open_nvml)
        self._gpus = Reading(lambda: in_thread(self._nvml.read), interval=INTERVAL, patience=PATIENCE)
        self._processes = Reading(lambda: in_thread(self._nvml.process_memory), interval=INTERVAL, patience=PATIENCE)

    async def read(self) -> list[Device]:
        """All devices as they are now. Where the search fails the CPU alone is there, and the log says why."""
        await self._look()
        host, heat = await asyncio.gather(self._host_now.now(), self._temperature.now())
        others = any(found.kind != "cpu" for found in self._found)
        gpus = (await self._gpus.now() or {}) if others else {}
        return [self._now(found, host, heat, gpus) for found in self._found]

    async def free_memory(self) -> FreeMemory:
        """What models may take now: RAM by the system, of GPUs what their driver says, else what the search found.

        Where there is no GPU only the first call takes longer than a moment: it looks for one.
        """
        await self._look()
        gpus = gpus_for_models(self._found)
        ram = psutil.virtual_memory().available
        if not gpus:
            return FreeMemory(ram)
        figures = await self._gpus.fresh() or {}
        devices = (self._now(found, None, None, figures) for found in gpus)
        return FreeMemory(ram, tuple(_gpu_memory(device, ram) for device in devices))

    async def process_memory(self) -> dict[int, dict[str, int]]:
        """Bytes that processes hold on devices whose driver tells it (NVIDIA's), by process id and device name."""
        await self._look()
        by_address = await self._processes.now() or {}
        held: dict[int, dict[str, int]] = {}
        for found in self._found:
            for pid, size in by_address.get(pci_address(found.id), {}).items() if found.id else ():
                held.setdefault(pid, {})[found.name] = size
        return held

    async def aclose(self) -> None:
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)
        for reading in (self._host_now, self._temperature, self._gpus, self._processes):
            await reading.aclose()
        await self._nvml.aclose()

    async def _look(self) -> None:
        """Look for devices: at first, and now and then where that failed. Only the first search is waited for."""
        if self._search is None and (self._found_at is None or self._is_due(self._found_at)):
            self._search = asyncio.create_task(self._find(), name="looking for devices")
        if self._search is not None and self._found_at is None:
            await asyncio.shield(self._search)

    def _is_due(self, found_at: float) -> bool:
        again = bool(self._failure) or not all(map(self._is_told, gpus_for_models(self._found)))
        return again and time.monotonic() - found_at >= AGAIN

    def _is_told(self, found: GgmlDevice) -> bool:
        """Whether its driver tells what is free; of others the search alone does."""
        return pci_address(found.id) in (self._gpus.value or {})

    async def _find(self) -> None:
        try:
            self._found, failure = await probe(self._command), ""
        except RunnerError as error:
            failure = str(error)
            if failure != self._failure:
                log.error("%s", failure)
            self._found = self._found or [GgmlDevice("CPU", "", "cpu", 0, 0)]
        finally:
            self._search = None
        self._failure, self._found_at = failure, time.monotonic()

    def _now(
        self, found: GgmlDevice, host: HostFigures | None, heat: float | None, gpus: dict[str, GpuFigures]
    ) -> Device:
        device = Device(found.name, found.description, found.kind, found.total, found.free, found.id)
        if found.kind == "cpu":
            if host is not None:
                device.total, device.free = host.total, host.free
                device.utilization = None if self._host_now.late else host.utilization
            device.temperature = heat
        elif gpu := gpus.get(pci_address(found.id)):
            device.total = device.total if gpu.total is None else gpu.total
            device.free = device.free if gpu.free is None else gpu.free
            if not self._gpus.late:
                device.utilization, device.temperature, device.power = gpu.utilization, gpu.temperature, gpu.power
        return device


def gpus_for_models(found: Sequence[GgmlDevice]) -> list[GgmlDevice]:
    """Those of the devices that llama.cpp spreads a model over where nobody says which (llama.cpp,
    llama_prepare_model_devices): GPUs, each once however many drivers show it; what shares the host's memory only where
    there is nothing else."""
    gpus: list[GgmlDevice] = []
    for device in found:
        if device.kind == "gpu" and not (device.id and any(device.id == other.id for other in gpus)):
            gpus.append(device)
    shared = [device for device in found if device.kind == "igpu"]
    return gpus or [device for device in shared if _backend(device) == _backend(shared[0])]


def _backend(device: GgmlDevice) -> str:
    return device.name.rstrip("0123456789")


def _gpu_memory(device: Device, ram: int) -> GpuMemory:
    unified = device.kind == "igpu" or (platform.system() == "Darwin" and platform.machine() == "arm64")
    return GpuMemory(device.name, min(device.free, ram) if unified else device.free, device.total, unified)
