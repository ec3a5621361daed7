"""A model that has less than was asked for, among the others: who uses it, and who hears of it."""

from __future__ import annotations

import asyncio

import pytest

from ollama_engine.errors import LoadFailed
from tests.engine.scheduler.fakes import World
from tests.engine.scheduler.test_residency import Use, closing, names, settle

NOTICE = "not enough memory: loaded with a context of 32768 tokens instead of 100000"


@pytest.fixture
def world() -> World:
    return World(most_context=40_000)


async def test_everybody_who_uses_it_is_told(world: World) -> None:
    async with closing(world.scheduler()) as scheduler:
        world.gate.clear()
        uses = [Use(scheduler, world, "a", n_ctx=100_000) for _ in range(2)]
        await settle()
        world.gate.set()
        runners = {id(await use.begun()) for use in uses}
        assert len(runners) == 1
        assert [use.lease.notices for use in uses if use.lease] == [(NOTICE,)] * 2
        (resident,) = scheduler.residents
        assert (resident.placement.spec.n_ctx, resident.asked.spec.n_ctx) == (32_768, 100_000)
        assert resident.all_notices == (NOTICE,)
        for use in uses:
            await use.end()


async def test_it_is_not_loaded_again_for_what_it_could_not_have(world: World) -> None:
    async with closing(world.scheduler()) as scheduler:
        for n_ctx in (100_000, 100_000, 50_000, 2048, 0):
            use = Use(scheduler, world, "a", n_ctx=n_ctx)
            await use.begun()
            await use.end()
        assert [spec.n_ctx for spec in world.loads] == [100_000, 32_768]
        more = Use(scheduler, world, "a", n_ctx=200_000)
        await more.begun()
        await more.end()
        assert [spec.n_ctx for spec in world.loads[2:]] == [200_000, 32_768]


async def test_it_ends_with_the_second_failure_and_the_next_request_begins_anew(world: World) -> None:
    world.most_context = 1000
    async with closing(world.scheduler()) as scheduler:
        with pytest.raises(LoadFailed, match="it was tried twice"):
            await Use(scheduler, world, "a", n_ctx=100_000).begun()
        assert len(world.loads) == 2
        assert names(scheduler) == []
        world.most_context = 0
        use = Use(scheduler, world, "a", n_ctx=100_000)
        await use.begun()
        assert use.lease is not None
        assert use.lease.notices == ()
        await use.end()


async def test_a_caller_who_leaves_during_the_second_try_ends_it(world: World) -> None:
    async with closing(world.scheduler()) as scheduler:
        use = Use(scheduler, world, "a", n_ctx=100_000)
        for _ in range(100):
            if len(world.loads) == 2:
                break
            if world.loads:  # it has passed the gate; the next one will not
                world.gate.clear()
            await asyncio.sleep(0)
        use.task.cancel()
        await settle()
        assert world.cancelled_loads == 1
        assert names(scheduler) == []
