"""NVIDIA's own figures (NVML): of devices, and of the memory that processes hold on them.

Every call may block, for ever where a driver hangs: scheduler/devices.py calls from threads that nobody waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from ollama_engine.reading import in_thread

log = logging.getLogger(__name__)

CLOSE_SECONDS = 1.0


@dataclass(frozen=True)
class GpuFigures:
    """A device as it is now; None for what its driver does not tell. Memory in bytes, `power` in watts."""

    total: int | None = None
    free: int | None = None
    utilization: float | None = None
    temperature: float | None = None
    power: float | None = None


class Nvml:
    """Devices by PCI address. `open` it; `close` it at the end."""

    def __init__(self, api: ModuleType) -> None:
        self._api = api
        api.nvmlInit()
        self._handles: dict[str, object] = {}
        for index in range(api.nvmlDeviceGetCount()):
            handle = api.nvmlDeviceGetHandleByIndex(index)
            bus = api.nvmlDeviceGetPciInfo(handle).busId
            self._handles[pci_address(bus.decode() if isinstance(bus, bytes) else bus)] = handle

    @classmethod
    def open(cls) -> Nvml | None:
        """None where there is no NVIDIA driver, or it does not work."""
        import pynvml  # long, and of no use on most machines

        try:
            return cls(pynvml)
        except pynvml.NVMLError as error:
            log.debug("no NVIDIA driver tells anything: %s", error)
            return None

    def read(self) -> dict[str, GpuFigures]:
        return {address: self._figures(handle) for address, handle in self._handles.items()}

    def process_memory(self) -> dict[str, dict[int, int]]:
        """Bytes that processes hold, by device and process id. In a container the ids may be those outside of it."""
        return {address: self._held(handle) for address, handle in self._handles.items()}

    def close(self) -> None:
        with contextlib.suppress(self._api.NVMLError):
            self._api.nvmlShutdown()

    def _figures(self, handle: object) -> GpuFigures:
        api = self._api
        total = free = utilization = temperature = power = None
        with contextlib.suppress(api.NVMLError):
            memory = api.nvmlDeviceGetMemoryInfo(handle)
            total, free = int(memory.total), int(memory.free)
        with contextlib.suppress(api.NVMLError):
            utilization = float(api.nvmlDeviceGetUtilizationRates(handle).gpu)
        with contextlib.suppress(api.NVMLError):
            temperature = float(api.nvmlDeviceGetTemperature(handle, api.NVML_TEMPERATURE_GPU))
        with contextlib.suppress(api.NVMLError):
            power = api.nvmlDeviceGetPowerUsage(handle) / 1000
        return GpuFigures(total, free, utilization, temperature, power)

    def _held(self, handle: object) -> dict[int, int]:
        api = self._api
        held: dict[int, int] = {}
        # CUDA's processes are in the one list, Vulkan's in the other.
        for ask in (api.nvmlDeviceGetComputeRunningProcesses, api.nvmlDeviceGetGraphicsRunningProcesses):
            with contextlib.suppress(api.NVMLError):
                for process in ask(handle):
                    if process.usedGpuMemory is not None:
                        held[int(process.pid)] = max(int(process.usedGpuMemory), held.get(int(process.pid), 0))
        return held


class SharedNvml:
    """NVML, opened by the first thread that asks it; what one thread asks, others wait for."""

    def __init__(self, open_nvml: Callable[[], Nvml | None]) -> None:
        self._open = open_nvml
        self._nvml: Nvml | None = None
        self._is_open = False
        self._lock = threading.Lock()

    def read(self) -> dict[str, GpuFigures]:
        with self._lock:
            nvml = self._get()
            return nvml.read() if nvml is not None else {}

    def process_memory(self) -> dict[str, dict[int, int]]:
        with self._lock:
            nvml = self._get()
            return nvml.process_memory() if nvml is not None else {}

    def _get(self) -> Nvml | None:
        if not self._is_open:
            self._nvml, self._is_open = self._open(), True
        return self._nvml

    async def aclose(self) -> None:
        """Where a call hangs the driver is left alone."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            nvml, self._nvml = self._nvml, None
            if nvml is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(in_thread(nvml.close), CLOSE_SECONDS)
        finally:
            self._lock.release()


def pci_address(text: str) -> str:
    """`00000000:C1:00.0` and `0000:c1:00.0` are one: the domain as four digits, all in lower case."""
    domain, _, rest = text.lower().partition(":")
    return f"{domain[-4:]:0>4}:{rest}"
