"""The contract of `plan`: what is said before a load is what `running` tells after it, whichever engine is asked."""

from __future__ import annotations

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest, ModelNotFound
from ollama_engine.types import GenerateRequest, MemoryPlan, PlanRequest

TOLERANCE = 64 << 20


def assert_adds_up(plan: MemoryPlan) -> None:
    parts = ("weights", "kv_cache", "compute", "other")
    assert plan.size == sum(getattr(plan, part) for part in parts)
    for part in parts:
        assert getattr(plan, part) == sum(getattr(device, part) for device in plan.devices)
    assert sum(device.layers for device in plan.devices) == plan.layers
    assert plan.gpu_layers == sum(device.layers for device in plan.devices if device.name != "CPU")


async def test_nothing_is_loaded_and_what_it_would_take_is_said(engine: Engine, story: str) -> None:
    plan = await engine.plan(PlanRequest(story))
    assert await engine.running() == []
    assert_adds_up(plan)
    assert plan.model == story
    assert plan.fit in ("cpu", "gpu")
    assert (plan.context_length, plan.slots, plan.layers) == (4096, 4, 2)
    assert (plan.kv_cache_type_k, plan.kv_cache_type_v) == ("f16", "f16")
    assert not plan.loaded
    assert not plan.calibrated
    assert not plan.reason
    assert all(device.free > 0 for device in plan.devices)
    assert {device.name for device in plan.devices} <= {device.name for device in await engine.devices()}


async def test_it_is_what_the_loaded_model_holds(engine: Engine, story: str) -> None:
    options = {"num_ctx": 1024}
    plan = await engine.plan(PlanRequest(story, options))
    async for _ in engine.generate(GenerateRequest(story, "Tell me.", options=options, keep_alive="5m")):
        pass
    (model,) = await engine.running()
    assert model.context_length == plan.context_length
    assert model.slots == plan.slots
    assert model.weights == pytest.approx(plan.weights, abs=1 << 20)
    assert model.kv_cache == pytest.approx(plan.kv_cache, abs=1 << 20)
    assert abs(model.size + plan.other - plan.size) <= TOLERANCE
    there = await engine.plan(PlanRequest(story, options))
    assert there.loaded
    assert there.calibrated
    assert_adds_up(there)
    assert (there.weights, there.kv_cache) == (model.weights, model.kv_cache)


async def test_a_load_is_remembered(engine: Engine, story: str) -> None:
    estimated = await engine.plan(PlanRequest(story))
    await engine.load(story)
    await engine.unload(story)
    known = await engine.plan(PlanRequest(story))
    assert known.calibrated
    assert not known.loaded
    assert (known.context_length, known.slots) == (estimated.context_length, estimated.slots)
    assert not (await engine.plan(PlanRequest(story, {"num_ctx": 512}))).calibrated


async def test_options_change_it(engine: Engine, story: str) -> None:
    usual = await engine.plan(PlanRequest(story, {"num_ctx": 4096}))
    small = await engine.plan(PlanRequest(story, {"num_ctx": 4096, "kv_cache_type": "q8_0"}))
    assert (small.kv_cache_type_k, small.kv_cache_type_v) == ("q8_0", "q8_0")
    assert small.kv_cache < usual.kv_cache
    assert (await engine.plan(PlanRequest(story, {"num_ctx": 512}))).kv_cache < usual.kv_cache


async def test_what_cannot_be_planned_is_an_error(engine: Engine, story: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        await engine.plan(PlanRequest("nobody"))
    assert "nobody" in caught.value.message
    with pytest.raises(InvalidRequest, match="num_ctx"):
        await engine.plan(PlanRequest(story, {"num_ctx": "many"}))
    with pytest.raises(InvalidRequest, match="KV cache"):
        await engine.plan(PlanRequest(story, {"kv_cache_type": "q8_0", "flash_attention": "off"}))
