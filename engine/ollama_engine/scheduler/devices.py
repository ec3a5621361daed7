"""What this machine computes on: ggml's devices, found by a process of their own, and how busy and hot they are now."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import sys
from collections.abc import Sequence

import msgspec
import psutil

from ollama_engine.errors import RunnerError
from ollama_engine.runner.protocol import GgmlDevice
from ollama_engine.scheduler.placement import FreeMemory, GpuMemory
from ollama_engine.types import Device

log = logging.getLogger(__name__)

PROBE = (sys.executable, "-P", "-m", "ollama_engine.runner.devices")
PROBE_TIMEOUT = 30.0
"""Seconds. A CUDA driver that wakes up several cards takes five or more."""
FIRST_LOAD = 0.1
"""Seconds that the first figure of the processor's load is of."""
_decode = msgspec.json.Decoder(list[GgmlDevice]).decode


async def probe(command: Sequence[str] = PROBE, timeout: float = PROBE_TIMEOUT) -> list[GgmlDevice]:
    """ggml's devices, each with the memory that is free now.

    Raises:
        RunnerError: the process crashed, hung, or said something else; the drivers are the likely cause.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout):
            output, errors = await process.communicate()
    except TimeoutError:
        raise RunnerError(
            f"looking for devices did not end within {timeout:.0f} s", hint="Look whether the GPU's driver hangs."
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        said = errors.decode("utf-8", "replace").strip().splitlines()
        why = f": {said[-1]}" if said else ""
        code = process.returncode
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        raise RunnerError(
            f"looking for devices ended {how}{why}",
            hint="Look whether the GPU's driver fits what llama.cpp is built for.",
        )
    try:
        return _decode(output)
    except msgspec.MsgspecError as error:
        raise RunnerError(f"looking for devices gave no list of them: {error}") from error


class DeviceMonitor:
    """The devices of this machine. The first reading looks for them; the others are cheap. `aclose` it at the end."""

    def __init__(self, command: Sequence[str] = PROBE) -> None:
        self._command = command
        self._found: list[GgmlDevice] | None = None
        self._finding = asyncio.Lock()
        self._nvml: _Nvml | None = None
        self._has_load = False

    async def read(self) -> list[Device]:
        """All devices as they are now. Where the search fails the CPU alone is there, and the log says why."""
        return await asyncio.to_thread(self._read, await self._look())

    async def free_memory(self) -> FreeMemory:
        """What models may take now: RAM by the system, of GPUs what their driver says, else what the search found.

        Where there is no GPU only the first call takes longer than a moment: it looks for one.
        """
        gpus = gpus_for_models(await self._look())
        ram = psutil.virtual_memory().available
        if not gpus:
            return FreeMemory(ram)
        devices = await asyncio.to_thread(self._read, gpus)
        return FreeMemory(ram, tuple(_gpu_memory(device, ram) for device in devices))

    async def aclose(self) -> None:
        nvml, self._nvml = self._nvml, None
        if nvml is not None:
            await asyncio.to_thread(nvml.close)

    async def _look(self) -> list[GgmlDevice]:
        async with self._finding:
            if self._found is None:
                self._found = await self._find()
                if gpus_for_models(self._found):
                    self._nvml = await asyncio.to_thread(_Nvml.open)
        return self._found

    async def _find(self) -> list[GgmlDevice]:
        try:
            return await probe(self._command)
        except RunnerError as error:
            log.error("%s", error)
            return [GgmlDevice("CPU", "", "cpu", 0, 0)]

    def _read(self, found: list[GgmlDevice]) -> list[Device]:
        return [self._now(device) for device in found]

    def _now(self, found: GgmlDevice) -> Device:
        device = Device(found.name, found.description, found.kind, found.total, found.free, found.id)
        if found.kind == "cpu":
            memory = psutil.virtual_memory()
            device.total, device.free = memory.total, memory.available
            device.utilization = psutil.cpu_percent(None if self._has_load else FIRST_LOAD)
            self._has_load = True
        elif self._nvml is not None:
            self._nvml.read(device)
        return device


class _Nvml:
    """NVIDIA's own figures, matched by PCI address. One that is not there is left out."""

    def __init__(self) -> None:
        import pynvml

        self._api = pynvml
        pynvml.nvmlInit()
        self._handles = {}
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            bus = pynvml.nvmlDeviceGetPciInfo(handle).busId
            self._handles[pci_address(bus.decode() if isinstance(bus, bytes) else bus)] = handle

    @classmethod
    def open(cls) -> _Nvml | None:
        import pynvml

        try:
            return cls()
        except pynvml.NVMLError as error:
            log.debug("no NVIDIA driver tells anything: %s", error)
            return None

    def read(self, device: Device) -> None:
        handle = self._handles.get(pci_address(device.id))
        if handle is None:
            return
        api = self._api
        with contextlib.suppress(api.NVMLError):
            memory = api.nvmlDeviceGetMemoryInfo(handle)
            device.total, device.free = int(memory.total), int(memory.free)
        with contextlib.suppress(api.NVMLError):
            device.utilization = float(api.nvmlDeviceGetUtilizationRates(handle).gpu)
        with contextlib.suppress(api.NVMLError):
            device.temperature = float(api.nvmlDeviceGetTemperature(handle, api.NVML_TEMPERATURE_GPU))
        with contextlib.suppress(api.NVMLError):
            device.power = api.nvmlDeviceGetPowerUsage(handle) / 1000

    def close(self) -> None:
        with contextlib.suppress(self._api.NVMLError):
            self._api.nvmlShutdown()


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


def pci_address(text: str) -> str:
    """`00000000:C1:00.0` and `0000:c1:00.0` are one: the domain as four digits, all in lower case."""
    domain, _, rest = text.lower().partition(":")
    return f"{domain[-4:]:0>4}:{rest}"
