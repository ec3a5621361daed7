"""Where a benchmark runs, and what would disturb it, as far as an engine tells."""

from __future__ import annotations

import asyncio
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ollama_engine.bench.records import Surroundings
from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.types import Device

BUSY_PERCENT = 30.0
"""A device that is busier than this before anything is measured has other things to do."""
BINDING = "llama-cpp-python"


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


async def disturbances(engine: Engine) -> list[str]:
    """What else goes on, in words: requests of others, devices at work. Asked while no request of ours runs."""
    try:
        devices = await engine.devices()
    except EngineError:
        devices = []
    return [
        *await others(engine),
        *(
            f"{device.name} was busy before: {device.utilization:.0f} %"
            for device in devices
            if device.utilization is not None and device.utilization > BUSY_PERCENT
        ),
    ]


async def others(engine: Engine) -> list[str]:
    """Requests that are not ours, in words."""
    try:
        count = len(await engine.requests())
    except EngineError:
        return []
    if not count:
        return []
    return [
        "another request was answered meanwhile" if count == 1 else f"{count} other requests were answered meanwhile"
    ]


def _lasting(device: Device) -> Device:
    """What will be true of it tomorrow."""
    return Device(device.name, device.description, device.kind, device.total, id=device.id)


def _binding() -> str:
    try:
        return f"{BINDING} {version(BINDING)}"
    except PackageNotFoundError:
        return ""
