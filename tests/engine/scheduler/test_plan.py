"""A plan says whether a model fits, why not better, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ollama_engine.gguf.metadata import ModelMetadata, read_metadata
from ollama_engine.options import Options, asked_for, merge_options
from ollama_engine.scheduler.placement import GIB, GPU_RESERVE, MIB, FreeMemory, GpuMemory, Placement, place
from ollama_engine.scheduler.plan import memory_plan, ways_out
from ollama_engine.settings import Settings
from ollama_engine.types import MemoryPlan
from tests.support.sized_models import dense, experts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelMetadata]:
    path = dense(tmp_path_factory.mktemp("models") / "m.gguf", vocab=4000)
    return path, read_metadata(path)


def gpu(size: int, *, name: str = "CUDA0", unified: bool = False) -> GpuMemory:
    return GpuMemory(name, size, size, unified)


def planned(model: tuple[Path, ModelMetadata], free: FreeMemory, slots: int = 1, **options: Any) -> MemoryPlan:
    path, metadata = model
    asked = merge_options(options)
    given = asked_for(asked, options)

    def placed(options: Options) -> Placement:
        return place([path], metadata, options, given | {"num_ctx"}, Settings(num_parallel=slots), free)

    placement = placed(asked)
    return memory_plan("m", placement, free, ways=ways_out(asked, placement), place=placed)


def test_on_the_cpu_alone(model: tuple[Path, ModelMetadata]) -> None:
    plan = planned(model, FreeMemory(8 * GIB))
    assert (plan.fit, plan.reason, plan.hint) == ("cpu", "", "")
    assert [(device.name, device.layers, device.free) for device in plan.devices] == [("CPU", plan.layers, 8 * GIB)]
    assert plan.size == plan.weights + plan.kv_cache + plan.compute + plan.other


def test_whole_on_a_gpu(model: tuple[Path, ModelMetadata]) -> None:
    plan = planned(model, FreeMemory(8 * GIB, (gpu(8 * GIB),)))
    assert (plan.fit, plan.reason, plan.gpu_layers) == ("gpu", "", plan.layers)
    assert [device.name for device in plan.devices] == ["CUDA0", "CPU"]
    assert plan.devices[0].weights > plan.devices[1].weights > 0


def test_partly_on_a_gpu_says_how_much_and_what_would_help(model: tuple[Path, ModelMetadata]) -> None:
    whole = planned(model, FreeMemory(8 * GIB, (gpu(8 * GIB),)), num_ctx=65_536).devices[0]
    size = whole.weights + whole.kv_cache + whole.compute
    plan = planned(model, FreeMemory(8 * GIB, (gpu(size * 3 // 4 + GPU_RESERVE),)), num_ctx=65_536)
    assert plan.fit == "partial"
    assert 0 < plan.gpu_layers < plan.layers
    assert f"{plan.gpu_layers} of {plan.layers} layers on the GPU" in plan.reason
    assert plan.hint == "With kv_cache_type q8_0 it fits the GPU."
    taken = planned(
        model, FreeMemory(8 * GIB, (gpu(size * 3 // 4 + GPU_RESERVE),)), num_ctx=65_536, kv_cache_type="q8_0"
    )
    assert taken.fit == "gpu"
    small = planned(model, FreeMemory(8 * GIB, (gpu(size // 3 + GPU_RESERVE),)), num_ctx=65_536)
    assert small.hint.startswith("With num_ctx ")
    n_ctx = int(small.hint.split()[2])
    again = planned(model, FreeMemory(8 * GIB, (gpu(size // 3 + GPU_RESERVE),)), num_ctx=n_ctx)
    assert again.fit == "gpu"
    assert n_ctx < 65_536


def test_not_at_all_names_both_figures(model: tuple[Path, ModelMetadata]) -> None:
    plan = planned(model, FreeMemory(400 * MIB), num_ctx=131_072)
    assert plan.fit == "none"
    assert f"it needs {plan.size / GIB:.1f} GiB, and 0.4 GiB of RAM are free" in plan.reason
    assert plan.hint.startswith("With num_ctx ")
    assert planned(model, FreeMemory(400 * MIB), num_ctx=int(plan.hint.split()[2])).fit == "cpu"
    assert "smaller model" in planned(model, FreeMemory(20 * MIB)).hint


def test_more_layers_than_there_is_room_for_do_not_fit(model: tuple[Path, ModelMetadata]) -> None:
    plan = planned(model, FreeMemory(8 * GIB, (gpu(GPU_RESERVE + 40 * MIB),)), num_gpu=12)
    assert plan.fit == "none"
    assert "12 layers were asked for on the GPU" in plan.reason


def test_no_gpu_is_no_reason_where_nobody_wants_one(model: tuple[Path, ModelMetadata]) -> None:
    plan = planned(model, FreeMemory(8 * GIB, (gpu(8 * GIB),)), num_gpu=0)
    assert (plan.fit, plan.reason, plan.gpu_layers) == ("cpu", "", 0)


def test_a_gpu_too_small_for_any_layer_is_told_of(model: tuple[Path, ModelMetadata]) -> None:
    plan = planned(model, FreeMemory(8 * GIB, (gpu(GPU_RESERVE + MIB),)))
    assert plan.fit == "cpu"
    assert "no layer fits the GPU" in plan.reason


def test_a_gpu_that_shares_the_hosts_memory_is_counted_once(model: tuple[Path, ModelMetadata]) -> None:
    ram = planned(model, FreeMemory(8 * GIB)).size
    assert planned(model, FreeMemory(ram * 2, (gpu(ram * 2, name="MTL0", unified=True),))).fit == "gpu"
    assert planned(model, FreeMemory(ram // 2, (gpu(ram // 2, name="MTL0", unified=True),))).fit != "gpu"


def test_experts_in_ram_are_told_of(tmp_path: Path) -> None:
    path = experts(tmp_path / "m.gguf", count=32, vocab=4000)
    model = path, read_metadata(path)
    whole = planned(model, FreeMemory(8 * GIB, (gpu(8 * GIB),)), num_ctx=2048).devices[0]
    size = whole.weights + whole.kv_cache + whole.compute
    plan = planned(model, FreeMemory(8 * GIB, (gpu(size * 2 // 3 + GPU_RESERVE),)), num_ctx=2048)
    assert (plan.fit, plan.gpu_layers) == ("partial", plan.layers)
    assert plan.cpu_moe
    assert f"the experts of {plan.cpu_moe} layers in RAM" in plan.reason


def test_a_kv_cache_in_ram_is_not_whole_on_the_gpu(model: tuple[Path, ModelMetadata]) -> None:
    plan = planned(model, FreeMemory(8 * GIB, (gpu(8 * GIB),)), kv_offload=False)
    assert plan.fit == "partial"
    assert "the KV cache in RAM" in plan.reason
