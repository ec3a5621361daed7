"""Devices are looked for in a process of its own: whatever becomes of that, there is at least the CPU."""

from __future__ import annotations

import os
import sys

import pytest

from ollama_engine.errors import RunnerError
from ollama_engine.scheduler.devices import DeviceMonitor, pci_address, probe
from ollama_engine.scheduler.placement import GpuMemory


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
        ("import time; time.sleep(60)", "did not end within"),
    ],
)
async def test_a_driver_that_breaks_is_told_of_by_name(script: str, named: str) -> None:
    with pytest.raises(RunnerError, match=named):
        await probe(saying(script), timeout=2.0 if "sleep" in script else 30.0)


async def test_a_driver_that_breaks_leaves_the_cpu() -> None:
    monitor = DeviceMonitor(saying("import os; os.abort()"))
    (device,) = await monitor.read()
    assert (device.name, device.kind) == ("CPU", "cpu")
    assert device.total > 0
    await monitor.aclose()


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
