"""Whose memory is whose, device by device: what a model that is to be loaded may take beside those that are there.

A measurement says what is free. It does not show what a model that is still loading will take, nor that the pages of
mapped files, which the system counts as available, are read at every token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ollama_engine.scheduler.placement import CPU, FreeMemory, GpuMemory, Placement
from ollama_engine.scheduler.resident import Resident


def room(
    free: FreeMemory,
    residents: Iterable[Resident],
    *,
    gone: Collection[Resident] = (),
    weights: tuple[str, ...] = (),
) -> FreeMemory:
    """What a model may take, if those `gone` went first.

    Args:
        free: as measured now.
        residents: all that are in memory, those `gone` among them.
        weights: the files of the model; a resident that has mapped the same ones takes nothing from it by that.
    """
    change: dict[str, int] = {}
    mapped: dict[tuple[str, ...], int] = {}

    def add(device: str, n: int) -> None:
        change[device] = change.get(device, 0) + n

    for resident in residents:
        needs = needs_of(resident.placement)
        if resident.is_being_loaded:
            if resident not in gone:
                for device, n in needs.items():
                    add(device, -n)
        elif resident in gone:
            for device, n in needs.items():
                add(device, max(0, n - resident.mapped) if device == CPU else n)
        elif resident.mapped and resident.subject.weights != weights:
            files = resident.subject.weights or (resident.subject.key,)
            mapped[files] = max(resident.mapped, mapped.get(files, 0))
    add(CPU, -sum(mapped.values()))
    return shifted(free, change)


def shifted(free: FreeMemory, change: Mapping[str, int]) -> FreeMemory:
    """`free` with bytes more or less by device, never below 0. What a GPU has that shares the host's memory, is RAM."""
    shared = sum(change.get(gpu.name, 0) for gpu in free.gpus if gpu.unified) + change.get(CPU, 0)
    ram = max(0, free.ram + shared)

    def now(gpu: GpuMemory) -> int:
        return min(ram, max(0, gpu.free + shared)) if gpu.unified else max(0, gpu.free + change.get(gpu.name, 0))

    return FreeMemory(ram, tuple(replace(gpu, free=now(gpu)) for gpu in free.gpus))


def common(free: FreeMemory, other: FreeMemory) -> FreeMemory:
    """Of each device what both have."""
    others = {gpu.name: gpu.free for gpu in other.gpus}
    gpus = tuple(replace(gpu, free=min(gpu.free, others.get(gpu.name, 0))) for gpu in free.gpus)
    return FreeMemory(min(free.ram, other.ram), gpus)


def needs_of(placement: Placement) -> Mapping[str, int]:
    """Bytes by device."""
    return placement.device_needed or {CPU: placement.needed}


def fits(placement: Placement, free: FreeMemory) -> bool:
    """Whether each device has what is needed of it; one that nobody can measure is believed to."""
    needs = needs_of(placement)
    ram = needs.get(CPU, 0) + sum(needs.get(gpu.name, 0) for gpu in free.gpus if gpu.unified)
    return ram <= free.ram and all(needs.get(gpu.name, 0) <= gpu.free for gpu in free.gpus)


def in_ram(placement: Placement) -> int:
    return needs_of(placement).get(CPU, 0)
