"""The contract of the figures: what `running` and `devices` measure, whichever engine tells it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing

from ollama_engine.engine import Engine
from ollama_engine.types import ChatRequest, GenerateRequest, Message, RunningModel


async def when(engine: Engine, true: Callable[[RunningModel], object]) -> RunningModel:
    """The only model in memory, as soon as it is so."""
    async with asyncio.timeout(20):
        while True:
            running = await engine.running()
            if len(running) == 1 and true(running[0]):
                return running[0]
            await asyncio.sleep(0.02)


async def test_an_idle_model_has_its_memory_measured_and_told_by_device(engine: Engine, story: str) -> None:
    await engine.load(story, keep_alive="5m")
    model = await when(engine, lambda model: model.rss)
    assert model.state == "idle"
    assert model.weights > 0
    assert model.kv_cache > 0
    assert model.compute > 0
    assert model.size == model.weights + model.kv_cache + model.compute
    assert sum(share.weights for share in model.devices) == model.weights
    assert sum(share.kv_cache for share in model.devices) == model.kv_cache
    assert sum(share.compute for share in model.devices) == model.compute
    assert {share.name for share in model.devices} <= {device.name for device in await engine.devices()}
    assert model.size_vram == sum(
        share.weights + share.kv_cache + share.compute for share in model.devices if share.name != "CPU"
    )
    if sys.platform == "linux":
        assert 0 < model.pss <= model.rss


async def test_an_idle_model_says_how_much_of_its_context_is_used_and_how_long_it_stays(
    engine: Engine, story: str
) -> None:
    request = ChatRequest(story, [Message("user", "Tell me.")], keep_alive="5m", options={"num_ctx": 512})
    last = [chunk async for chunk in engine.chat(request)][-1]
    model = await when(engine, lambda model: model.state == "idle" and not model.slots_busy)
    assert model.context_total == 512 * model.slots
    # The last token of an answer is never decoded.
    assert model.context_used == last.prompt_eval_count + last.eval_count - 1
    assert model.keep_alive == 300
    assert model.expires_in is not None
    assert 280 < model.expires_in <= 300
    assert model.notices == []


async def test_a_busy_model_shows_its_speeds_its_slots_and_its_queue(engine: Engine, loop: str) -> None:
    options = {"num_predict": -1, "num_ctx": 1024}
    requests = [GenerateRequest(loop, "word " * 100, raw=True, options=options) for _ in range(6)]

    async def run(request: GenerateRequest) -> None:
        async with aclosing(engine.generate(request)) as chunks:
            async for _ in chunks:
                pass

    tasks = [asyncio.create_task(run(requests[0]))]
    try:
        await when(engine, lambda model: model.prompt_tokens_per_second > 0)
        tasks += [asyncio.create_task(run(request)) for request in requests[1:]]
        model = await when(engine, lambda model: model.tokens_per_second and model.slots_busy + model.queued == 6)
        assert model.state == "busy"
        assert model.slots_busy == model.slots
        assert model.context_used >= 500
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await when(engine, lambda model: not model.slots_busy and not model.queued)


async def test_the_processor_is_told_with_its_load(engine: Engine) -> None:
    cpu = next(device for device in await engine.devices() if device.kind == "cpu")
    assert cpu.name == "CPU"
    assert cpu.utilization is not None
    assert 0 <= cpu.utilization <= 100


async def test_many_may_look_at_once(engine: Engine, story: str) -> None:
    await engine.load(story)
    answers = await asyncio.gather(*(look() for look in (engine.running, engine.devices) for _ in range(20)))
    assert {len(answer) for answer in answers[:20]} == {1}
    assert answers[20]
    assert {len(answer) for answer in answers[20:]} == {len(answers[20])}
