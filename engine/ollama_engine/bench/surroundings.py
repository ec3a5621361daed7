"""Where a benchmark runs, and what would disturb it, as far as an engine tells."""

from __future__ import annotations

import asyncio
import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ollama_engine.bench.records import Surroundings
from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.types import Device, RequestView

BUSY_PERCENT = 30.0
"""A device that is busier than this before anything is measured has other things to do."""
REST = 0.6
"""Seconds of rest before a busy device is looked at again."""
MOMENT = 0.2
"""Seconds after which a request that has ended is listed by no server."""
BINDING = "llama-cpp-python"


@dataclass(frozen=True)
class Disturbance:
    """`what` goes on, in words that stay the same while it does; `text` says how much of it as well."""

    what: str
    text: str


async def look(engine: Engine, where: str, *, embedded: bool) -> Surroundings:
    """The machine and the build.

    Args:
        where: where the engine is, in words.
        embedded: it works in this process's own program, so that this machine and its llama.cpp are what it runs on.
    """
    try:
        devices = tuple(await engine.devices())
    except EngineError:
        devices = ()
    processor = next((device for device in devices if device.kind == "cpu"), None)
    here = await asyncio.to_thread(processor_name) if embedded else ""
    return Surroundings(
        engine=where,
        version=await engine.version(),
        llama=_binding() if embedded else "",
        system=f"{platform.system()} {platform.machine()}" if embedded else "",
        cpu=here or (processor.description if processor else ""),
        cores=(os.cpu_count() or 0) if embedded else 0,
        memory=processor.total if processor else 0,
        devices=tuple(_lasting(device) for device in devices),
    )


def processor_name() -> str:
    """The processor's name, as the system has it; it reads a file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(found, "") or platform.processor()


async def disturbances(engine: Engine) -> list[Disturbance]:
    """What else goes on: requests of others, devices at work. Asked while no request of ours runs.

    What we did a moment ago is no disturbance: a device that seems busy is looked at again after a rest.
    """
    busy = await _busy(engine)
    if busy:
        await asyncio.sleep(REST)
        busy = await _busy(engine)
    found = [Disturbance("other requests at work", text) for text in await others(engine)]
    for device, load in busy:
        what = f"{device.name} busy with other work"
        found.append(Disturbance(what, f"{what}: {load:.0f} %"))
    return found


async def others(engine: Engine) -> list[str]:
    """Requests that are not ours, in words. Ours may be listed for a moment after their end: those do not count."""
    count = len(await _requests(engine))
    if count:
        await asyncio.sleep(MOMENT)
        count = len(await _requests(engine))
    return [f"{count} other {'request' if count == 1 else 'requests'} at work"] if count else []


async def _requests(engine: Engine) -> list[RequestView]:
    try:
        return await engine.requests()
    except EngineError:
        return []


async def _busy(engine: Engine) -> list[tuple[Device, float]]:
    """Devices and their utilization in percent since they were looked at before."""
    try:
        devices = await engine.devices()
    except EngineError:
        return []
    loads = ((device, device.utilization) for device in devices)
    return [(device, load) for device, load in loads if load is not None and load > BUSY_PERCENT]


def _lasting(device: Device) -> Device:
    """What will be true of it tomorrow."""
    return Device(device.name, device.description, device.kind, device.total, id=device.id)


def _binding() -> str:
    try:
        return f"{BINDING} {version(BINDING)}"
    except PackageNotFoundError:
        return ""
