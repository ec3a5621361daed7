"""What a model may take beside others, device by device."""

from __future__ import annotations

import pytest

from ollama_engine.runner.protocol import LoadSpec
from ollama_engine.scheduler.memory import common, fits, shifted
from ollama_engine.scheduler.placement import FreeMemory, GpuMemory, Placement
from tests.engine.scheduler.fakes import gpus

SHARED = FreeMemory(1000, (GpuMemory("MTL0", 800, 1000, unified=True),))


def placement(**needs: int) -> Placement:
    return Placement(LoadSpec(["m"], 1, 1), sum(needs.values()), frozenset(), needs)


def test_each_device_gets_back_its_own() -> None:
    assert shifted(gpus(100, 200), {"CUDA1": 50, "CPU": -300, "CUDA0": -500}) == FreeMemory(
        700, (GpuMemory("CUDA0", 0, 100), GpuMemory("CUDA1", 250, 200))
    )


def test_what_shares_the_hosts_memory_takes_it_from_there() -> None:
    free = shifted(SHARED, {"CPU": -100, "MTL0": -300})
    assert (free.ram, free.gpus[0].free) == (600, 400)
    assert shifted(SHARED, {"CPU": -5000}).gpus[0].free == 0


def test_common_is_what_both_have() -> None:
    assert common(gpus(100, 300, ram=50), gpus(200, 20, ram=70)) == FreeMemory(
        50, (GpuMemory("CUDA0", 100, 100), GpuMemory("CUDA1", 20, 300))
    )


@pytest.mark.parametrize(
    ("needs", "fit"),
    [
        ({"CPU": 1000, "CUDA0": 100}, True),
        ({"CPU": 1001}, False),
        ({"CUDA0": 101}, False),
        ({"CPU": 1, "Vulkan7": 9999}, True),  # nobody knows how much that has
    ],
)
def test_each_device_must_have_what_is_needed_of_it(needs: dict[str, int], fit: bool) -> None:
    assert fits(placement(**needs), gpus(100)) is fit


def test_what_two_take_of_the_same_memory_is_counted_together() -> None:
    assert fits(placement(CPU=300, MTL0=700), SHARED)
    assert not fits(placement(CPU=301, MTL0=700), SHARED)
