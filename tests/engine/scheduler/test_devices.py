"""Devices are looked for in a process of its own: whatever becomes of that, there is at least the CPU."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from ollama_engine.errors import RunnerError
from ollama_engine.scheduler import devices
from ollama_engine.scheduler.device_probe import probe
from ollama_engine.scheduler.devices import DeviceMonitor
from ollama_engine.scheduler.nvml import Nvml, pci_address
from ollama_engine.scheduler.placement import GpuMemory

FOUND = json.dumps(
    [
        {"name": "CPU", "description": "A processor", "kind": "cpu", "free": 0, "total": 0},
        {"name": "CUDA0", "description": "A card", "kind": "gpu", "free": 600, "total": 700, "id": "0000:41:00.0"},
        {"name": "CUDA1", "description": "A card", "kind": "gpu", "free": 600, "total": 700, "id": "0000:c1:00.0"},
    ]
)


def saying(script: str) -> list[str]:
    return [sys.executable, "-c", script]


async def test_llama_cpp_finds_the_cpu_and_its_memory() -> None:
    monitor = DeviceMonitor()
    (cpu,) = [device for device in await monitor.read() if device.kind == "cpu"]
    assert cpu.name == "CPU"
    assert 0 < cpu.free < cpu.total
    assert cpu.utilization is not None
    assert 0 <= cpu.utilization <= 100
    await monitor.aclose()


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("import os; os.abort()", "by signal 6"),
        ("import sys; sys.exit('CUDA driver version is insufficient')", "with code 1: CUDA driver version"),
        ("print('none')", "no list of them"),
        ('print(\'[{"name": "CUDA0"}]\')', "no list of them"),
        ("import sys; sys.stdout.buffer.write(bytes(range(256)))", "no list of them"),
        ("while True: print('driver version' * 1000)", "says more than"),
        ("import time; time.sleep(60)", "did not end within"),
    ],
)
async def test_a_driver_that_breaks_is_told_of_by_name(script: str, named: str) -> None:
    with pytest.raises(RunnerError, match=named):
        await probe(saying(script), timeout=0.5 if "sleep" in script else 30.0)


async def test_a_driver_that_warns_without_end_is_heard_out() -> None:
    noise = "import sys; sys.stderr.write('warning' * 100_000 + '\\nthe last word'); sys.exit(1)"
    with pytest.raises(RunnerError, match="with code 1: the last word"):
        await probe(saying(noise))


async def test_a_child_that_a_driver_leaves_behind_is_not_waited_for() -> None:
    script = f"""
import os, time
print({FOUND!r}, flush=True)
if os.fork() == 0:
    time.sleep(20)
"""
    async with asyncio.timeout(10):
        assert [device.name for device in await probe(saying(script))] == ["CPU", "CUDA0", "CUDA1"]


@pytest.mark.parametrize("command", [saying("import os; os.abort()"), ["/no/such/program"]])
async def test_a_driver_that_breaks_leaves_the_cpu(command: list[str]) -> None:
    monitor = DeviceMonitor(command)
    (device,) = await monitor.read()
    assert (device.name, device.kind) == ("CPU", "cpu")
    assert device.total > 0
    await monitor.aclose()


async def test_a_search_that_failed_is_made_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    works = tmp_path / "works"
    script = f"import os, sys; print({FOUND!r}) if os.path.exists({str(works)!r}) else sys.exit('not yet')"
    monitor = DeviceMonitor(saying(script))
    assert [device.name for device in await monitor.read()] == ["CPU"]
    works.touch()
    assert [device.name for device in await monitor.read()] == ["CPU"]
    monkeypatch.setattr(devices, "AGAIN", 0.0)
    async with asyncio.timeout(20):
        while len(await monitor.read()) == 1:
            pass
    assert [device.name for device in await monitor.read()] == ["CPU", "CUDA0", "CUDA1"]
    assert [record.message for record in caplog.records if record.name == devices.__name__] == [
        "looking for devices ended with code 1: not yet"
    ]
    await monitor.aclose()


class Driver:
    """NVIDIA's library with two devices, listed the other way round than ggml lists them."""

    class NVMLError(Exception):
        pass

    NVML_TEMPERATURE_GPU = 0
    ADDRESSES = ("00000000:C1:00.0", "00000000:41:00.0")

    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.hangs.set()
        self.calls = 0
        self.is_shut = False

    def nvmlInit(self) -> None:
        pass

    def nvmlShutdown(self) -> None:
        self.is_shut = True

    def nvmlDeviceGetCount(self) -> int:
        return len(self.ADDRESSES)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetPciInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(busId=self.ADDRESSES[handle].encode())

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        self.calls += 1
        self.hangs.wait()
        return SimpleNamespace(total=800 + handle, free=500 + handle)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=30 + handle)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return 60 + handle

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        raise self.NVMLError("not supported")

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=4242, usedGpuMemory=100 + handle), SimpleNamespace(pid=7, usedGpuMemory=None)]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=4243, usedGpuMemory=9)] if handle else []


def beside(driver: Driver) -> DeviceMonitor:
    return DeviceMonitor(saying(f"print({FOUND!r})"), open_nvml=lambda: Nvml(cast("ModuleType", driver)))


async def test_nvidias_figures_are_those_of_the_device_at_the_same_address() -> None:
    driver = Driver()
    monitor = beside(driver)
    cpu, first, second = await monitor.read()
    assert cpu.kind == "cpu"
    assert (first.name, first.total, first.free, first.utilization, first.temperature) == ("CUDA0", 801, 501, 31, 61)
    assert (second.name, second.total, second.free, second.utilization) == ("CUDA1", 800, 500, 30)
    assert first.power is None
    await monitor.read()
    assert driver.calls == 2
    assert await monitor.process_memory() == {4242: {"CUDA0": 101, "CUDA1": 100}, 4243: {"CUDA0": 9}}
    await monitor.aclose()
    assert driver.is_shut


async def test_a_driver_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "PATIENCE", 0.2)
    monkeypatch.setattr(devices, "INTERVAL", 0.0)
    driver = Driver()
    monitor = beside(driver)
    assert (await monitor.read())[1].utilization == 31
    driver.hangs.clear()
    async with asyncio.timeout(10):
        for _ in range(200):
            cpu, first, _ = await monitor.read()
    assert cpu.utilization is not None
    assert (first.total, first.free, first.utilization, first.temperature) == (801, 501, None, None)
    assert driver.calls == 3
    async with asyncio.timeout(10):
        await monitor.aclose()
    driver.hangs.set()


async def test_without_nvidias_driver_the_search_alone_tells() -> None:
    monitor = DeviceMonitor(saying(f"print({FOUND!r})"), open_nvml=lambda: None)
    _, first, _ = await monitor.read()
    assert (first.total, first.free, first.utilization) == (700, 600, None)
    assert await monitor.process_memory() == {}
    await monitor.aclose()


def test_the_real_library_says_whether_there_is_a_driver() -> None:
    nvml = Nvml.open()
    if nvml is not None:
        assert nvml.read()
        nvml.close()


async def test_free_memory_is_that_of_the_host_and_of_the_gpus_that_models_go_to() -> None:
    found = """[
        {"name": "CUDA0", "description": "", "kind": "gpu", "free": 5, "total": 9, "id": "0000:01:00.0"},
        {"name": "Vulkan0", "description": "", "kind": "gpu", "free": 4, "total": 9, "id": "0000:01:00.0"},
        {"name": "Vulkan1", "description": "", "kind": "igpu", "free": 3, "total": 9, "id": ""},
        {"name": "CPU", "description": "", "kind": "cpu", "free": 1, "total": 1, "id": ""}
    ]"""
    monitor = DeviceMonitor(saying(f"print({found.replace(chr(10), '')!r})"))
    free = await monitor.free_memory()
    assert free.ram > 2**20
    assert [(gpu.name, gpu.free, gpu.total) for gpu in free.gpus] == [("CUDA0", 5, 9)]
    await monitor.aclose()


async def test_what_shares_the_hosts_memory_counts_where_there_is_nothing_else() -> None:
    found = '[{"name": "Vulkan0", "description": "", "kind": "igpu", "free": 3, "total": 9, "id": ""}]'
    monitor = DeviceMonitor(saying(f"print({found!r})"))
    free = await monitor.free_memory()
    assert free.gpus == (GpuMemory("Vulkan0", 3, 9, unified=True),)
    assert free.usable == free.ram
    await monitor.aclose()


async def test_they_are_looked_for_once(tmp_path: object) -> None:
    folder = str(tmp_path)
    script = f"import os, tempfile; tempfile.mkstemp(dir={folder!r}); print('[]')"
    monitor = DeviceMonitor(saying(script))
    for _ in range(3):
        assert await monitor.read() == []
    assert len(os.listdir(folder)) == 1
    await monitor.aclose()


def test_a_pci_address_is_one_however_it_is_written() -> None:
    assert pci_address("00000000:C1:00.0") == pci_address("0000:c1:00.0") == "0000:c1:00.0"
