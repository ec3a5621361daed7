"""After a process has ended its GPU's driver may take a moment to give the memory back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ollama_engine.scheduler.placement import CPU, FreeMemory, Placement

ENOUGH = 0.75
"""Share of what a model held that must be free again."""
PATIENCE = 5.0
INTERVAL = 0.25
"""Seconds."""


async def memory_given_back(
    placement: Placement, before: FreeMemory, measure: Callable[[], Awaitable[FreeMemory]]
) -> None:
    """Wait until the GPUs that the model lay on have most of its memory free again, or for PATIENCE seconds: others
    may have taken it meanwhile. `before`: what was free while it was there."""
    wanted = {
        gpu.name: gpu.free + ENOUGH * placement.device_needed.get(gpu.name, 0)
        for gpu in before.gpus
        if placement.device_needed.get(gpu.name, 0)
    }
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while wanted and loop.time() < deadline:
        free = {gpu.name: gpu.free for gpu in (await measure()).gpus}
        if all(free.get(name, 0) >= n for name, n in wanted.items()):
            return
        await asyncio.sleep(INTERVAL)


def lies_on_gpu(placement: Placement) -> bool:
    return any(n for device, n in placement.device_needed.items() if device != CPU)
