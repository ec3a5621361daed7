"""A model that has less than was asked for, among the others: who uses it, and who hears of it; in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from ollama_engine.errors import LoadFailed
from tests.engine.scheduler.fakes import Use, World
from tests.support.virtual_time import virtual

NOTICE = "not enough memory: loaded with a context of 32768 tokens instead of 100000"


@pytest.fixture
def world() -> World:
    return World(most_context=40_000)


@virtual
async def test_everybody_who_uses_it_is_told(world: World) -> None:
    async with world.scheduler() as scheduler:
        uses = [Use(scheduler, "a", world.fixed("a", n_ctx=100_000, n_seq=1)) for _ in range(2)]
        runners = {id(await use.begun()) for use in uses}
        assert len(runners) == 1
        assert [use.lease.notices for use in uses if use.lease] == [(NOTICE,)] * 2
        (resident,) = scheduler.residents
        assert (resident.placement.spec.n_ctx, resident.asked.spec.n_ctx) == (32_768, 100_000)
        assert resident.all_notices == (NOTICE,)
        for use in uses:
            await use.end()


@virtual
async def test_it_is_not_loaded_again_for_what_it_could_not_have(world: World) -> None:
    async with world.scheduler() as scheduler:
        for n_ctx in (100_000, 100_000, 50_000, 2048, 0):
            await Use(scheduler, "a", world.fixed("a", n_ctx=n_ctx)).run()
        assert [spec.n_ctx for spec in world.loads] == [100_000, 32_768]
        await Use(scheduler, "a", world.fixed("a", n_ctx=200_000)).run()
        assert [spec.n_ctx for spec in world.loads[2:]] == [200_000, 32_768]


@virtual
async def test_it_ends_with_the_second_failure_and_the_next_request_begins_anew(world: World) -> None:
    world.most_context = 1000
    async with world.scheduler() as scheduler:
        uses = [Use(scheduler, "a", world.fixed("a", n_ctx=100_000)) for _ in range(3)]
        for use in uses:
            with pytest.raises(LoadFailed, match="it was tried twice"):
                await use.begun()
        assert len(world.loads) == 2
        assert scheduler.residents == []
        world.most_context = 0
        use = Use(scheduler, "a", world.fixed("a", n_ctx=100_000))
        await use.begun()
        assert use.lease is not None
        assert use.lease.notices == ()
        await use.end()


@virtual
async def test_a_caller_who_leaves_during_the_second_try_ends_it(world: World) -> None:
    async with world.scheduler() as scheduler:
        use = Use(scheduler, "a", world.fixed("a", n_ctx=100_000))
        await asyncio.sleep(1.5 * world.load_seconds)
        assert len(world.loads) == 2
        use.task.cancel()
        await asyncio.sleep(0.1)
        assert world.cancelled_loads == 1
        assert scheduler.residents == []


@virtual
async def test_others_load_and_answer_meanwhile(world: World) -> None:
    async with world.scheduler() as scheduler:
        slow = Use(scheduler, "a", world.fixed("a", n_ctx=100_000))
        await asyncio.sleep(1.5 * world.load_seconds)
        await Use(scheduler, "b", world.fixed("b")).run()
        assert (await slow.run()).alive
