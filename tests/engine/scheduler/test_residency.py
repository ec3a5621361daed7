"""Who gets which model when, and what goes for it; in virtual time."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from ollama_engine.caller import Caller
from ollama_engine.errors import Busy, InvalidRequest, LoadFailed, RequestCanceled
from ollama_engine.scheduler.placement import FreeMemory
from ollama_engine.scheduler.residency import Scheduler
from tests.engine.scheduler.fakes import Use, World, gpus, subject
from tests.support.virtual_time import now, settle, virtual


@pytest.fixture
def world() -> World:
    return World()


def names(scheduler: Scheduler) -> list[str]:
    return [resident.name for resident in scheduler.residents]


def states(scheduler: Scheduler) -> dict[str, str]:
    return {resident.name: resident.state for resident in scheduler.residents}


class TestLoading:
    @virtual
    async def test_two_requests_share_one_load(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            uses = [Use(scheduler, "a", world.fixed("a", n_seq=2)) for _ in range(2)]
            await asyncio.sleep(0.5)
            assert states(scheduler) == {"a": "loading"}
            assert scheduler.residents[0].progress == 0.5
            first, second = [await use.begun() for use in uses]
            assert first is second
            assert len(world.loads) == 1
            for use in uses:
                assert use.lease is not None
                assert use.lease.load_duration == pytest.approx(1e9)
                await use.end()

    @virtual
    async def test_models_of_other_weights_load_side_by_side(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            uses = [Use(scheduler, name, world.fixed(name)) for name in "ab"]
            for use in uses:
                await use.run()
            assert now() == pytest.approx(1.0, abs=0.1)

    @virtual
    async def test_a_slow_load_keeps_nobody_from_a_model_that_is_there(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            await Use(scheduler, "a", world.fixed("a")).run()
            world.load_seconds = 3600
            slow = Use(scheduler, "b", world.fixed("b"))
            await asyncio.sleep(1)
            began = now()
            await Use(scheduler, "a", world.fixed("a")).run()
            assert now() - began < 0.1
            await slow.run()

    @virtual
    async def test_a_failed_load_reaches_all_who_wait_and_the_next_request_tries_again(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            world.errors["a"] = LoadFailed("no tensors")
            uses = [Use(scheduler, "a", world.fixed("a")) for _ in range(20)]
            for use in uses:
                with pytest.raises(LoadFailed, match="no tensors"):
                    await use.begun()
            assert (names(scheduler), len(world.loads)) == ([], 1)
            world.errors.clear()
            assert (await Use(scheduler, "a", world.fixed("a")).run()).alive
            assert len(world.loads) == 2

    @virtual
    async def test_a_load_that_fails_for_what_one_asked_is_tried_again_for_the_others(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            world.errors["a"] = LoadFailed("out of memory")
            greedy = [Use(scheduler, "a", world.fixed("a", n_ctx=100_000)) for _ in range(3)]
            modest = Use(scheduler, "a", world.fixed("a", n_ctx=512))
            await asyncio.sleep(0.5)
            world.errors.clear()
            world.errors["a"] = LoadFailed("out of memory")
            for use in greedy:
                with pytest.raises(LoadFailed):
                    await use.begun()
            world.errors.clear()
            assert (await modest.run()).spec.n_ctx == 512

    @virtual
    async def test_the_end_of_the_only_one_who_waits_ends_the_load(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            use = Use(scheduler, "a", world.fixed("a"))
            await asyncio.sleep(0.5)
            use.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await use.task
            await settle()
            assert (world.cancelled_loads, names(scheduler)) == (1, [])
            await Use(scheduler, "a", world.fixed("a")).run()

    @virtual
    async def test_a_load_goes_on_for_the_others_when_one_gives_up(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            leaving, staying = (Use(scheduler, "a", world.fixed("a")) for _ in range(2))
            await asyncio.sleep(0.5)
            leaving.task.cancel()
            assert (await staying.run()).alive
            assert (len(world.loads), world.cancelled_loads) == (1, 0)

    @virtual
    async def test_options_that_make_no_sense_are_refused_with_their_own_error(self, world: World) -> None:
        def place(free: FreeMemory) -> Any:
            raise InvalidRequest("no such cache type")

        async with world.scheduler() as scheduler:
            with pytest.raises(InvalidRequest, match="no such cache type"):
                await Use(scheduler, "a", place).begun()

    @virtual
    async def test_a_model_whose_files_are_gone_is_refused_and_disturbs_nobody(self, world: World) -> None:
        def gone(free: FreeMemory) -> Any:
            raise FileNotFoundError("no such blob")

        async with world.scheduler() as scheduler:
            busy = Use(scheduler, "a", world.fixed("a"))
            await busy.begun()
            waiting = [Use(scheduler, "a", world.fixed("a")), Use(scheduler, "a", gone), Use(scheduler, "b", gone)]
            for use in waiting[1:]:
                with pytest.raises(LoadFailed, match=r"cannot read the files of .: no such blob"):
                    await use.begun()
            await busy.end()
            await waiting[0].run()
            assert len(world.loads) == 1


class TestDeath:
    @virtual
    async def test_a_dead_runner_is_replaced_at_the_next_request(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            use = Use(scheduler, "a", world.fixed("a"))
            dead = await use.begun()
            dead.die()
            # Also while the request it died under has not let go of it.
            other = Use(scheduler, "a", world.fixed("a"))
            alive = await other.begun()
            assert alive is not dead
            await use.end()
            assert names(scheduler) == ["a"]
            await other.end()
            alive.die()
            assert names(scheduler) == []

    @virtual
    async def test_who_waits_for_a_slot_of_a_runner_that_dies_gets_another_one(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            uses = [Use(scheduler, "a", world.fixed("a")) for _ in range(3)]
            runner = await uses[0].begun()
            await asyncio.sleep(1)
            assert not uses[2].has_begun
            runner.die()
            assert await uses[2].begun() is not runner
            for use in uses:
                await use.end()
            assert len(world.loads) == 2

    @virtual
    async def test_its_successor_stays_for_as_long(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            runner = await Use(scheduler, "a", world.fixed("a"), keep_alive=7200, pin=True).run()
            runner.die()
            await Use(scheduler, "a", world.fixed("a")).run()
            [resident] = scheduler.residents
            assert (resident.keep_alive, resident.pinned) == (7200, True)


class TestKeepAlive:
    @virtual
    async def test_an_idle_model_goes_when_its_time_is_over(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            use = Use(scheduler, "a", world.fixed("a"))
            runner = await use.begun()
            await asyncio.sleep(3600)
            assert runner.alive  # the time begins with the end of the last lease
            await use.end()
            await asyncio.sleep(299)
            assert runner.alive
            assert scheduler.residents[0].seconds_left == pytest.approx(1)
            await asyncio.sleep(2)
            assert not runner.alive
            assert names(scheduler) == []

    @virtual
    async def test_a_request_in_time_keeps_it(self, world: World) -> None:
        async with world.scheduler(keep_alive=10) as scheduler:
            runner = await Use(scheduler, "a", world.fixed("a")).run()
            for _ in range(5):
                await asyncio.sleep(9)
                assert await Use(scheduler, "a", world.fixed("a")).run() is runner

    @virtual
    async def test_zero_unloads_at_the_end_of_the_last_request(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            uses = [Use(scheduler, "a", world.fixed("a"), keep_alive=0) for _ in range(2)]
            runner = await uses[0].begun()
            await uses[0].end()
            await asyncio.sleep(1)
            assert runner.alive
            await uses[1].end()
            await asyncio.sleep(1)
            assert not runner.alive
            assert len(world.loads) == 1

    @virtual
    async def test_for_ever(self, world: World) -> None:
        async with world.scheduler(keep_alive=10) as scheduler:
            runner = await Use(scheduler, "a", world.fixed("a"), keep_alive=math.inf).run()
            await asyncio.sleep(10**8)
            assert runner.alive
            assert math.isinf(scheduler.residents[0].seconds_left)

    @virtual
    async def test_a_request_that_says_nothing_leaves_what_was_said(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            for keep_alive, expected in ((None, 300), (60, 60), (None, 60), (10, 10)):
                await Use(scheduler, "a", world.fixed("a"), keep_alive=keep_alive).run()
                assert scheduler.residents[0].seconds_left == pytest.approx(expected)
            await asyncio.sleep(20)
            await Use(scheduler, "a", world.fixed("a")).run()
            assert scheduler.residents[0].seconds_left == pytest.approx(300)  # it was gone, and with it what was said

    @virtual
    async def test_what_was_said_holds_for_the_runner_that_is_loaded_in_its_place(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            await Use(scheduler, "a", world.fixed("a", n_ctx=512), keep_alive=60).run()
            await Use(scheduler, "a", world.fixed("a", n_ctx=1024)).run()
            assert scheduler.residents[0].seconds_left == pytest.approx(60)

    @virtual
    async def test_it_shows_the_name_that_was_last_used_for_it(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            place = world.fixed("weights")
            for name in ("first", "second"):
                async with scheduler.lease(subject(name, key="weights"), place, None):
                    pass
            assert (names(scheduler), len(world.loads)) == (["second"], 1)


class TestPinning:
    @virtual
    async def test_neither_time_nor_another_model_unloads_it(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=2) as scheduler:
            pinned = await Use(scheduler, "a", world.fixed("a"), pin=True).run()
            await Use(scheduler, "a", world.fixed("a"), keep_alive=0).run()
            for name in "bcd":
                await Use(scheduler, name, world.fixed(name)).run()
            await asyncio.sleep(10**6)
            assert pinned.alive
            assert names(scheduler) == ["a"]
            assert math.isinf(scheduler.residents[0].seconds_left)

    @virtual
    async def test_where_all_room_is_pinned_the_refusal_says_by_what(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=1) as scheduler:
            await Use(scheduler, "a", world.fixed("a"), pin=True).run()
            with pytest.raises(LoadFailed, match="no room for b beside what is pinned: a") as caught:
                await Use(scheduler, "b", world.fixed("b")).begun()
            assert "pin --off a" in caught.value.hint

    @virtual
    async def test_where_the_memory_is_pinned_the_refusal_says_by_what(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            await Use(scheduler, "a", world.fixed("a", needed=600), pin=True).run()
            await Use(scheduler, "b", world.fixed("b", needed=100)).run()
            with pytest.raises(LoadFailed, match="no room for c beside what is pinned: a"):
                await Use(scheduler, "c", world.fixed("c", needed=600)).begun()
            assert names(scheduler) == ["a", "b"]

    @virtual
    async def test_unpinned_its_keep_alive_begins_to_run(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            runner = await Use(scheduler, "a", world.fixed("a"), pin=True).run()
            await asyncio.sleep(1000)
            scheduler.unpin("a")
            await asyncio.sleep(299)
            assert runner.alive
            await asyncio.sleep(2)
            assert not runner.alive

    @virtual
    async def test_it_can_be_stopped(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            runner = await Use(scheduler, "a", world.fixed("a"), pin=True).run()
            assert await scheduler.unload("a")
            assert not runner.alive
            await Use(scheduler, "a", world.fixed("a")).run()
            assert not scheduler.residents[0].pinned


class TestRoom:
    @virtual
    async def test_the_one_idle_for_longest_goes_at_the_limit(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=2) as scheduler:
            for name in "abac":
                await Use(scheduler, name, world.fixed(name)).run()
            assert names(scheduler) == ["a", "c"]
            assert world.most_models == 2

    @virtual
    async def test_one_that_was_to_stay_for_ever_goes_after_the_others(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=2) as scheduler:
            await Use(scheduler, "a", world.fixed("a"), keep_alive=math.inf).run()
            for name in "bc":
                await Use(scheduler, name, world.fixed(name)).run()
            assert names(scheduler) == ["a", "c"]
            await Use(scheduler, "c", world.fixed("c"), keep_alive=math.inf).run()
            await Use(scheduler, "d", world.fixed("d")).run()
            assert names(scheduler) == ["c", "d"]  # but it does go, where nothing else is left

    @virtual
    async def test_without_a_limit_of_the_user_there_are_three_a_gpu(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            for name in "abcd":
                await Use(scheduler, name, world.fixed(name)).run()
            assert names(scheduler) == ["b", "c", "d"]
        world.total = gpus(100, 100)
        async with world.scheduler() as scheduler:
            for name in "abcdefgh":
                await Use(scheduler, name, world.fixed(name)).run()
            assert len(names(scheduler)) == 6

    @virtual
    async def test_a_busy_model_is_waited_for(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=1) as scheduler:
            busy = Use(scheduler, "a", world.fixed("a"))
            await busy.begun()
            waiting = Use(scheduler, "b", world.fixed("b"))
            await asyncio.sleep(100)
            assert not waiting.has_begun
            await busy.end()
            assert (await waiting.run()).spec.model_paths == ["b"]
            assert world.most_models == 1

    @virtual
    async def test_waiting_for_room_ends_with_what_it_waited_for(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=1, queue_timeout=60) as scheduler:
            busy = [Use(scheduler, "a", world.fixed("a", n_seq=2)) for _ in range(2)]
            await busy[0].begun()
            began = now()
            with pytest.raises(Busy, match=r"no room for b within 60 s: a \(0\.0 GiB\) answers 2 requests") as caught:
                await Use(scheduler, "b", world.fixed("b")).begun()
            assert now() - began == pytest.approx(60)
            assert "cancel" in caught.value.hint
            assert caught.value.retry_after >= 30
            for use in busy:
                await use.end()

    @virtual
    async def test_waiting_for_a_slot_ends_when_nobodys_turn_comes_for_so_long(self, world: World) -> None:
        async with world.scheduler(queue_timeout=60) as scheduler:
            uses = [Use(scheduler, "a", world.fixed("a")) for _ in range(4)]
            await uses[1].begun()  # it waits in the runner
            await asyncio.sleep(40)
            await uses[0].end()
            await asyncio.sleep(40)
            assert uses[2].has_begun
            with pytest.raises(Busy, match="no slot of a has come free for 60 s"):
                await uses[3].begun()
            assert now() == pytest.approx(101, abs=0.1)
            for use in uses[1:3]:
                await use.end()

    @virtual
    async def test_a_model_that_is_asked_for_all_the_time_makes_room_in_the_end(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=1) as scheduler:
            world.load_seconds = 20

            async def ask(times: int, seconds: float) -> list[float]:
                waits = []
                for _ in range(times):
                    began = now()
                    use = Use(scheduler, "a", world.fixed("a", n_seq=4), caller=Caller("steady"))
                    await use.begun()
                    waits.append(now() - began)
                    await asyncio.sleep(seconds)
                    await use.end()
                return waits

            steady = [asyncio.create_task(ask(60, 0.7 + number / 5)) for number in range(4)]
            await asyncio.sleep(25)
            other = Use(scheduler, "b", world.fixed("b"))
            await other.begun()
            # It had worked for 5 s, may work for 15 more, and then the other is loaded.
            assert now() == pytest.approx(25 + 15 + 1 + 20, abs=1)
            await other.end()
            for waits in await asyncio.gather(*steady):
                assert max(waits[1:]) < 45  # it came back, when the other had done its work
            assert [spec.model_paths[0] for spec in world.loads] == ["a", "b", "a"]

    @virtual
    async def test_a_model_that_others_wait_behind_lets_them_in_again_when_nobody_wants_its_room(
        self, world: World
    ) -> None:
        async with world.scheduler(max_loaded_models=1) as scheduler:
            first = Use(scheduler, "a", world.fixed("a", n_seq=4))
            await first.begun()
            await asyncio.sleep(10)
            other = Use(scheduler, "b", world.fixed("b"))
            await asyncio.sleep(10)
            later = Use(scheduler, "a", world.fixed("a", n_seq=4))
            await asyncio.sleep(10)
            assert not later.has_begun
            other.task.cancel()
            await later.begun()
            await later.end()
            await first.end()
            assert len(world.loads) == 1

    @virtual
    async def test_who_needs_no_room_that_somebody_waits_for_goes_before(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=9) as scheduler:
            busy = Use(scheduler, "a", world.fixed("a", needed=700))
            await busy.begun()
            large = Use(scheduler, "large", world.fixed("large", needed=900))
            await asyncio.sleep(10)
            small, medium = (Use(scheduler, name, world.fixed(name, needed=n)) for name, n in (("s", 50), ("m", 200)))
            await small.begun()
            await asyncio.sleep(10)
            assert not medium.has_begun  # there is room for it now, but not beside the one that waits
            await busy.end()
            await large.begun()
            await asyncio.sleep(10)
            assert not medium.has_begun
            await large.end()
            await medium.run()
            await small.end()

    @virtual
    async def test_models_go_until_the_memory_is_enough(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=9) as scheduler:
            for name in "abc":
                await Use(scheduler, name, world.fixed(name, needed=300)).run()
            await Use(scheduler, "d", world.fixed("d", needed=600)).run()
            assert names(scheduler) == ["c", "d"]

    @virtual
    async def test_no_model_goes_in_vain(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=9) as scheduler:
            for name, needed in (("a", 50), ("b", 800), ("c", 50)):
                await Use(scheduler, name, world.fixed(name, needed=needed)).run()
            await Use(scheduler, "d", world.fixed("d", needed=500)).run()
            assert names(scheduler) == ["a", "c", "d"]

    @virtual
    async def test_models_that_load_at_once_do_not_take_the_same_memory_twice(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            first, second = (Use(scheduler, name, world.fixed(name, needed=600)) for name in "ab")
            await asyncio.sleep(0.5)
            assert [spec.model_paths for spec in world.loads] == [["a"]]
            await first.run()
            await second.run()
            assert names(scheduler) == ["b"]

    @virtual
    async def test_what_never_fits_is_refused_and_nothing_goes_for_it(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            await Use(scheduler, "a", world.fixed("a", needed=300)).run()
            with pytest.raises(LoadFailed, match="requires more memory"):
                await Use(scheduler, "b", world.fixed("b", needed=2000)).begun()
            assert names(scheduler) == ["a"]

    @virtual
    async def test_pages_of_files_count_though_the_system_calls_them_available(self, world: World) -> None:
        world.mapped = {"a": 550, "b": 550}
        async with world.scheduler() as scheduler:
            await Use(scheduler, "a", world.fixed("a", needed=600)).run()
            assert (await world.measure()).ram == 950
            await Use(scheduler, "b", world.fixed("b", needed=600)).run()
            assert names(scheduler) == ["b"]

    @virtual
    async def test_models_that_share_their_files_share_those_pages(self, world: World) -> None:
        world.mapped = {"a": 550}
        async with world.scheduler() as scheduler:
            place = world.fixed("a", needed=600)
            for use in ("chat", "embed"):
                async with scheduler.lease(subject(use, weights="a"), place, None):
                    pass
            assert len(scheduler.residents) == 2


class TestGpus:
    @virtual
    async def test_whole_beside_the_others_where_that_fits(self, world: World) -> None:
        world.total = gpus(1000, 1000)
        async with world.scheduler() as scheduler:
            for name in "ab":
                assert (await Use(scheduler, name, world.split(name, 900)).run()).spec.n_gpu_layers == 10
            assert names(scheduler) == ["a", "b"]

    @virtual
    async def test_whole_in_the_place_of_an_idle_one_before_a_part_of_it_beside(self, world: World) -> None:
        world.total = gpus(1000)
        async with world.scheduler() as scheduler:
            await Use(scheduler, "a", world.split("a", 600)).run()
            assert (await Use(scheduler, "b", world.split("b", 900)).run()).spec.n_gpu_layers == 10
            assert names(scheduler) == ["b"]

    @virtual
    async def test_a_part_of_it_beside_a_busy_one(self, world: World) -> None:
        world.total = gpus(1000)
        async with world.scheduler() as scheduler:
            busy = Use(scheduler, "a", world.split("a", 600))
            await busy.begun()
            assert (await Use(scheduler, "b", world.split("b", 900)).run()).spec.n_gpu_layers == 4
            await busy.end()

    @virtual
    async def test_the_idle_one_that_lies_in_the_way_goes_and_no_other(self, world: World) -> None:
        world.total = gpus(1000, 500)
        async with world.scheduler() as scheduler:
            await Use(scheduler, "small", world.split("small", 450, main_gpu=1)).run()  # the first GPU has more room
            await Use(scheduler, "other", world.split("other", 450)).run()
            await Use(scheduler, "third", world.split("third", 450)).run()
            assert names(scheduler) == ["small", "other", "third"]
            await Use(scheduler, "fourth", world.split("fourth", 450)).run()
            assert names(scheduler) == ["other", "third", "fourth"]

    @virtual
    async def test_what_a_gpu_gives_back_late_is_waited_for(self, world: World) -> None:
        world.total = gpus(1000)
        kept = world.measure
        late = {"until": 0.0}

        async def measure() -> FreeMemory:
            free = await kept()
            return gpus(100, ram=free.ram) if now() < late["until"] else free

        world.measure = measure  # pyright: ignore[reportAttributeAccessIssue]
        async with world.scheduler() as scheduler:
            await Use(scheduler, "a", world.split("a", 900)).run()
            late["until"] = now() + 2.5
            began = now()
            await Use(scheduler, "b", world.split("b", 900)).run()
            assert world.loads[-1].n_gpu_layers == 10
            assert 2.5 < now() - began < 5


class TestOtherOptions:
    @virtual
    async def test_a_smaller_context_is_served_by_what_is_there(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            runners = [await Use(scheduler, "a", world.fixed("a", n_ctx=n)).run() for n in (4096, 2048, 0, 4096)]
            assert len(set(map(id, runners))) == 1

    @virtual
    async def test_a_larger_one_loads_again_after_the_requests_that_run_and_before_those_that_came_later(
        self, world: World
    ) -> None:
        async with world.scheduler() as scheduler:
            small = Use(scheduler, "a", world.fixed("a", n_ctx=2048, n_seq=4))
            old = await small.begun()
            large = Use(scheduler, "a", world.fixed("a", n_ctx=8192, n_seq=4))
            later = Use(scheduler, "a", world.fixed("a", n_ctx=2048, n_seq=4))
            await asyncio.sleep(60)
            assert (large.has_begun, later.has_begun, old.alive) == (False, False, True)
            await small.end()
            new = await large.begun()
            assert not old.alive
            assert await later.begun() is new
            assert [spec.n_ctx for spec in world.loads] == [2048, 8192]
            await large.end()
            await later.end()

    @virtual
    async def test_a_larger_one_that_does_not_fit_is_refused_and_the_others_go_on(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            small = Use(scheduler, "a", world.fixed("a", n_ctx=2048, n_seq=4))
            runner = await small.begun()
            large = Use(scheduler, "a", world.fixed("a", n_ctx=8192, needed=2000))
            later = Use(scheduler, "a", world.fixed("a", n_ctx=2048, n_seq=4))
            with pytest.raises(LoadFailed, match="requires more memory"):
                await large.begun()
            assert await later.begun() is runner
            await later.end()
            await small.end()

    @virtual
    async def test_no_other_model_goes_before_its_own_requests_have_ended(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            small = Use(scheduler, "a", world.fixed("a", n_ctx=2048, needed=100))
            await small.begun()
            await Use(scheduler, "b", world.fixed("b", needed=300)).run()
            large = Use(scheduler, "a", world.fixed("a", n_ctx=8192, needed=900))
            await asyncio.sleep(60)
            assert names(scheduler) == ["a", "b"]
            await small.end()
            await large.run()
            assert names(scheduler) == ["a"]

    @virtual
    async def test_who_gives_up_holds_up_nobody(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            small = Use(scheduler, "a", world.fixed("a", n_ctx=2048, n_seq=4))
            await small.begun()
            large = Use(scheduler, "a", world.fixed("a", n_ctx=8192))
            later = Use(scheduler, "a", world.fixed("a", n_ctx=2048, n_seq=4))
            await asyncio.sleep(1)
            large.task.cancel()
            await later.run()
            await small.end()
            assert len(world.loads) == 1

    @pytest.mark.parametrize("option", [{"n_threads": 3}, {"n_gpu_layers": 0}, {"n_batch": 64}, {"use_mmap": False}])
    @virtual
    async def test_other_load_options_load_again_only_where_they_were_asked_for(
        self, world: World, option: dict[str, Any]
    ) -> None:
        async with world.scheduler() as scheduler:
            for asked in ({}, option, {}):
                await Use(scheduler, "a", world.fixed("a", **asked)).run()
            assert len(world.loads) == 2

    @virtual
    async def test_the_vocabulary_is_asked_whatever_the_options(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            busy = Use(scheduler, "a", world.fixed("a", n_ctx=512))
            runner = await busy.begun()
            assert await Use(scheduler, "a", world.fixed("a", n_ctx=8192), use="ask").run() is runner
            await busy.end()


class TestUnload:
    @virtual
    async def test_an_idle_model_is_gone_when_it_returns(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            runner = await Use(scheduler, "a", world.fixed("a")).run()
            assert await scheduler.unload("a")
            assert (runner.alive, names(scheduler)) == (False, [])
            assert not await scheduler.unload("a")

    @virtual
    async def test_a_busy_one_goes_when_its_requests_have_ended(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            use = Use(scheduler, "a", world.fixed("a"))
            runner = await use.begun()
            assert await scheduler.unload("a")
            assert runner.alive
            assert states(scheduler) == {"a": "stopping"}
            new = Use(scheduler, "a", world.fixed("a"))
            await asyncio.sleep(60)
            assert not new.has_begun
            await use.end()
            assert await new.begun() is not runner
            assert not runner.alive
            await new.end()

    @virtual
    async def test_a_load_that_only_a_preload_waits_for_is_broken_off(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            load = Use(scheduler, "a", world.fixed("a"), use="load")
            await asyncio.sleep(0.5)
            assert await scheduler.unload("a")
            with pytest.raises(RequestCanceled, match="unloaded while it was loading"):
                await load.begun()
            assert (names(scheduler), world.cancelled_loads) == ([], 1)

    @virtual
    async def test_a_load_that_a_request_waits_for_serves_it_first(self, world: World) -> None:
        async with world.scheduler() as scheduler:
            use = Use(scheduler, "a", world.fixed("a"))
            await asyncio.sleep(0.5)
            assert await scheduler.unload("a")
            runner = await use.run()
            await asyncio.sleep(1)
            assert not runner.alive


class TestClosing:
    @virtual
    async def test_it_ends_loads_waits_and_leases(self, world: World) -> None:
        async with world.scheduler(max_loaded_models=2) as scheduler:
            busy = Use(scheduler, "a", world.fixed("a"))
            runner = await busy.begun()
            world.gate.clear()
            loading = Use(scheduler, "b", world.fixed("b"))
            waiting = Use(scheduler, "c", world.fixed("c"))
            await asyncio.sleep(10)
            await scheduler.aclose()
            with pytest.raises(RequestCanceled, match="while it was loading"):
                await loading.task
            with pytest.raises(Busy, match="shutting down"):
                await waiting.task
            assert not runner.alive
            await busy.end()
            with pytest.raises(Busy, match="shutting down"):
                await Use(scheduler, "a", world.fixed("a")).begun()
            assert (world.alive, world.cancelled_loads, names(scheduler)) == (set(), 1, [])
            await settle()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            await scheduler.aclose()

    @pytest.mark.parametrize("ticks", range(12))
    @virtual
    async def test_a_cancelled_caller_stays_cancelled(self, world: World, ticks: int) -> None:
        """Also when the load under it is ended in the same moment."""
        async with world.scheduler() as scheduler:
            use = Use(scheduler, "a", world.fixed("a"))
            await asyncio.sleep(0.5)
            closed = asyncio.create_task(scheduler.aclose())
            for _ in range(ticks):
                await asyncio.sleep(0)
            in_time = use.task.cancel()
            await closed
            with pytest.raises(asyncio.CancelledError if in_time else RequestCanceled):
                await use.task
