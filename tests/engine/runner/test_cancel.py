"""Closing the generator ends the request inside the runner, wherever it stands."""

from __future__ import annotations

import asyncio
import contextlib
import random as chance
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType

from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Generate
from tests.engine.runner.running import GREEDY, answer, running, until
from tests.support.gguf_models import Shape, random_model, scripted_model


async def is_idle(runner: Runner) -> bool:
    stats = await runner.stats()
    return not stats.slots_busy and not stats.queued


@contextlib.asynccontextmanager
async def endless(runner: Runner) -> AsyncIterator[None]:
    """An answer that has begun and does not end while the block lasts."""
    async with contextlib.aclosing(runner.generate(Generate(0, [1], sampling=GREEDY))) as parts:
        await anext(parts)
        yield


async def test_closing_the_generator_frees_the_slot(looping: Path) -> None:
    async with running(looping) as runner:
        async with endless(runner):
            assert (await runner.stats()).slots_busy == 1
        await until(lambda: is_idle(runner))
        assert (await answer(runner, max_tokens=3)).text == "round and"


async def test_cancelling_the_task_frees_the_slot(looping: Path) -> None:
    async with running(looping) as runner:
        task = asyncio.create_task(answer(runner))
        await until(lambda: busy(runner))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: is_idle(runner))


async def busy(runner: Runner) -> bool:
    return (await runner.stats()).slots_busy == 1


async def test_a_queued_request_can_be_cancelled(looping: Path) -> None:
    async with running(looping) as runner:
        async with endless(runner):
            queued = asyncio.create_task(answer(runner))
            await until(lambda: has_queued(runner, 1))
            queued.cancel()
            await until(lambda: has_queued(runner, 0))
            assert (await runner.stats()).slots_busy == 1
        assert (await answer(runner, max_tokens=1)).text == "rou"


async def has_queued(runner: Runner, n: int) -> bool:
    return (await runner.stats()).queued == n


async def test_one_cancelled_request_leaves_the_others_alone(tmp_path: Path) -> None:
    text = "said to the end, " * 30
    async with running(scripted_model(tmp_path / "m.gguf", text), n_ctx=1024, n_seq=4) as runner:
        staying = [asyncio.create_task(answer(runner, "s" * n)) for n in (1, 2)]
        for n in range(20):
            leaving = asyncio.create_task(answer(runner, "l" * (n + 1)))
            await asyncio.sleep(0)
            await runner.stats()
            leaving.cancel()
        assert [(await task).text for task in staying] == [text, text]


SLOW: Shape = {"n_layer": 8, "width": 512, "ff": 2048, "heads": 8, "kv_heads": 8}


async def test_a_long_prefill_is_broken_off(tmp_path: Path) -> None:
    """The step that reads the prompt does not run to its end: the next request begins long before."""
    model = random_model(tmp_path / "m.gguf", **SLOW, weights=GGMLQuantizationType.Q8_0, context_length=2048)
    async with running(model, n_ctx=2048, n_batch=1024) as runner:
        prompt = [n % 250 for n in range(1024)]
        began = time.monotonic()
        await answer(runner, prompt, max_tokens=1)
        whole = time.monotonic() - began

        prompt[0] = 251  # nothing of it is in the cache
        task = asyncio.create_task(answer(runner, prompt, max_tokens=1))
        await until(lambda: busy(runner))
        began = time.monotonic()
        task.cancel()
        await until(lambda: is_idle(runner))
        assert time.monotonic() - began < whole / 4
        assert (await runner.stats()).cells_used < 1024

        fresh = await answer(runner, "what now", max_tokens=10)
    async with running(model) as runner:
        assert (await answer(runner, "what now", max_tokens=10)).text == fresh.text


async def test_a_storm_of_cancelled_requests(looping: Path) -> None:
    source = chance.Random(3)
    async with running(looping, n_seq=4) as runner:

        async def one(number: int) -> str:
            request = Generate(0, [1 + number % 250] * source.randint(1, 60), sampling=GREEDY, max_tokens=5000)
            async with contextlib.aclosing(runner.generate(request)) as parts:
                for _ in range(source.choice([0, 0, 1, 3, 10])):
                    await anext(parts)
            return "closed"

        tasks = [asyncio.create_task(one(number)) for number in range(200)]
        for task in source.sample(tasks, 100):
            await asyncio.sleep(0)
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result == "closed" or isinstance(result, asyncio.CancelledError) for result in ended)
        await until(lambda: is_idle(runner))
        texts = [(await answer(runner, [n] * 20, max_tokens=4)).text for n in range(1, 9)]
        assert texts == ["round and ro"] * 8


async def test_a_generator_that_was_never_started_leaves_nothing(looping: Path) -> None:
    async with running(looping) as runner:
        await runner.generate(Generate(0, [1])).aclose()
        assert await is_idle(runner)
