"""How many may wait, whose turn it is, who is refused, and when to come again; in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from ollama_engine.caller import THIS_PROCESS, Caller
from ollama_engine.errors import Busy
from ollama_engine.scheduler.residency import Scheduler
from ollama_engine.scheduler.resident import lookahead
from tests.engine.scheduler.fakes import Use, World
from tests.support.virtual_time import now, settle, virtual

FULL = r"^server busy, please try again\.  maximum pending requests exceeded$"
ANN, BOB = Caller("ann"), Caller("bob")


@pytest.fixture
def world() -> World:
    return World()


def uses(scheduler: Scheduler, world: World, count: int, caller: Caller = ANN, name: str = "a") -> list[Use]:
    return [Use(scheduler, name, world.fixed(name), caller=caller) for _ in range(count)]


async def end_all(some: list[Use]) -> list[Use]:
    """Let each end as soon as it has begun; in which order they began."""
    order: list[Use] = []

    async def end(use: Use) -> None:
        await use.begun()
        order.append(use)
        await asyncio.sleep(0.1)
        await use.end()

    await asyncio.gather(*map(end, some))
    return order


class TestTurns:
    @virtual
    async def test_one_request_waits_for_one_turn_of_a_hundred(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            many = uses(scheduler, world, 100)
            await many[0].begun()
            await settle()
            [one] = uses(scheduler, world, 1, BOB)
            order = await end_all([*many, one])
            assert order.index(one) <= 1 + lookahead(1) + 1  # those inside, and one turn

    @virtual
    async def test_the_terminal_goes_first_and_the_others_in_between(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            others = uses(scheduler, world, 6)
            await others[0].begun()
            await settle()
            local = uses(scheduler, world, 3, THIS_PROCESS)
            order = await end_all([*others, *local])
            assert [use in local for use in order] == [False, False, True, False, True, False, True, False, False]

    @virtual
    async def test_loads_of_other_models_take_turns_too(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=1) as scheduler:
            first = Use(scheduler, "first", world.fixed("first"), caller=ANN)
            await first.begun()
            many = [use for name in "abcdef" for use in uses(scheduler, world, 1, ANN, name)]
            await asyncio.sleep(1)
            [one] = uses(scheduler, world, 1, BOB, "bobs")
            await first.end()
            await end_all([*many, one])
            assert [spec.model_paths[0] for spec in world.loads].index("bobs") <= 2

    @virtual
    async def test_a_runner_has_the_next_one_at_hand(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            some = [Use(scheduler, "a", world.fixed("a", n_seq=4)) for _ in range(20)]
            await some[0].begun()
            await settle()
            [resident] = scheduler.residents
            assert (len(resident.places), resident.beyond, resident.waiting) == (6, 2, 16)
            await end_all(some)

    @virtual
    async def test_who_asks_the_vocabulary_waits_for_no_slot(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            busy = uses(scheduler, world, 5)
            await busy[0].begun()
            began = now()
            await Use(scheduler, "a", world.fixed("a"), use="ask").run()
            await Use(scheduler, "b", world.fixed("b"), use="ask").run()
            assert now() - began == pytest.approx(1, abs=0.2)
            await end_all(busy)


class TestLimit:
    @virtual
    async def test_more_than_may_wait_are_refused_in_ollamas_words(self, world: World) -> None:
        async with world.scheduler(max_queue=2) as scheduler:
            some = uses(scheduler, world, 3)  # one runs, two wait
            await some[1].begun()
            with pytest.raises(Busy, match=FULL):
                await uses(scheduler, world, 1)[0].begun()
            await end_all(some)

    @virtual
    async def test_with_no_queue_at_all_a_free_model_answers(self, world: World) -> None:
        async with world.scheduler(max_queue=0) as scheduler:
            [first] = uses(scheduler, world, 1)
            await first.begun()
            with pytest.raises(Busy, match=FULL):
                await uses(scheduler, world, 1)[0].begun()
            await first.end()
            await uses(scheduler, world, 1)[0].run()

    @virtual
    async def test_with_no_queue_at_all_as_many_get_in_with_a_load_as_it_has_slots(self, world: World) -> None:
        async with world.scheduler(max_queue=0) as scheduler:
            some = [Use(scheduler, "a", world.fixed("a", n_seq=4)) for _ in range(6)]
            for use in some[:4]:
                await use.begun()
            for use in some[4:]:
                with pytest.raises(Busy, match=FULL):
                    await use.begun()
            await end_all(some[:4])

    @virtual
    async def test_with_no_queue_at_all_an_idle_model_makes_room(self, world: World) -> None:
        async with world.scheduler(max_queue=0, max_loaded_models=1) as scheduler:
            for name in "ab":
                await Use(scheduler, name, world.fixed(name)).run()

    @virtual
    async def test_a_model_with_a_free_slot_answers_while_another_is_full(self, world: World) -> None:
        async with world.scheduler(max_queue=1) as scheduler:
            full = uses(scheduler, world, 2)
            await full[1].begun()
            await Use(scheduler, "b", world.fixed("b")).run()
            await end_all(full)

    @virtual
    async def test_who_waits_for_room_counts(self, world: World) -> None:
        async with world.scheduler(max_queue=1, max_loaded_models=1) as scheduler:
            [busy] = uses(scheduler, world, 1)
            await busy.begun()
            [waiting] = uses(scheduler, world, 1, name="b")
            await asyncio.sleep(1)
            with pytest.raises(Busy, match=FULL):
                await uses(scheduler, world, 1, name="c")[0].begun()
            await busy.end()
            await waiting.run()

    @virtual
    async def test_in_a_full_queue_who_has_most_in_it_gives_way(self, world: World) -> None:
        async with world.scheduler(max_queue=10) as scheduler:
            anns = uses(scheduler, world, 11)
            await anns[1].begun()
            [bobs] = uses(scheduler, world, 1, BOB)
            with pytest.raises(Busy, match=FULL):
                await anns[10].begun()
            more = uses(scheduler, world, 20, BOB)
            await settle()
            assert sum(use.task.done() for use in [*anns[:10], *more]) == 20
            assert 4 <= sum(not use.task.done() for use in more) + 1 <= 6  # half of it each, and ann has two inside
            left = [use for use in [*anns, bobs, *more] if not use.task.done()]
            await end_all(left)


class TestRetryAfter:
    @virtual
    async def test_it_is_by_how_long_the_others_have_had_their_slots(self, world: World) -> None:
        async with world.scheduler(max_queue=10) as scheduler:
            for _ in range(5):
                use = Use(scheduler, "a", world.fixed("a", n_seq=2))
                await use.begun()
                await asyncio.sleep(30)
                await use.end()
            some = [Use(scheduler, "a", world.fixed("a", n_seq=2)) for _ in range(12)]
            await some[0].begun()
            with pytest.raises(Busy) as caught:
                await Use(scheduler, "a", world.fixed("a", n_seq=2)).begun()
            # Nine in the line before it and two slots: the last of them begins after five turns of half a minute.
            assert caught.value.retry_after == pytest.approx(5 * 30, abs=16)
            await end_all(some)

    @virtual
    async def test_before_anybody_has_ended_it_is_by_how_long_they_have_run(self, world: World) -> None:
        async with world.scheduler(max_queue=0) as scheduler:
            [first] = uses(scheduler, world, 1)
            await first.begun()
            await asyncio.sleep(20)
            with pytest.raises(Busy) as caught:
                await uses(scheduler, world, 1)[0].begun()
            assert caught.value.retry_after == pytest.approx(20, abs=1)
            await first.end()

    @virtual
    async def test_during_a_load_it_is_by_how_far_that_is(self, world: World) -> None:
        async with world.scheduler(max_queue=0) as scheduler:
            world.load_seconds = 100  # which says that it is half done from the beginning
            [first] = uses(scheduler, world, 1)
            await asyncio.sleep(40)
            with pytest.raises(Busy) as caught:
                await uses(scheduler, world, 1)[0].begun()
            assert caught.value.retry_after >= 40
            await first.run()


class TestStandings:
    @virtual
    async def test_everybody_stands_where_the_queue_has_them(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=1) as scheduler:
            some = uses(scheduler, world, 4)
            await asyncio.sleep(0.5)
            states = sorted((one.state, one.position) for one in scheduler.standings().values())
            assert states == [("loading", 0), ("loading", 0), ("loading", 2), ("loading", 3)]
            await some[0].begun()
            [room] = uses(scheduler, world, 1, BOB, "b")
            larger = Use(scheduler, "b", world.fixed("b", n_ctx=9000), caller=ANN)
            await settle()
            states = sorted((one.state, one.position) for one in scheduler.standings().values())
            assert states == [("queued", 1), ("queued", 2), ("waiting", 1), ("waiting", 2), ("waiting", 3)]
            await end_all([*some, room, larger])
            assert scheduler.standings() == {}
