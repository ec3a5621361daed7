"""Who gets which model when, and what goes for it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from ollama_engine.errors import Busy, LoadFailed, RequestCanceled, RunnerDied
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import LoadSpec
from ollama_engine.scheduler.placement import FreeMemory
from ollama_engine.scheduler.residency import Lease, Scheduler
from tests.engine.runner.running import until
from tests.engine.scheduler.fakes import FakeRunner, World, subject


@pytest.fixture
def world() -> World:
    return World()


class Use:
    """A request that holds its lease until it is told to let go."""

    def __init__(
        self, scheduler: Scheduler, world: World, name: str, keep_alive: float | None = None, **placement: Any
    ) -> None:
        self.lease: Lease | None = None
        self._let_go = asyncio.Event()
        self.task = asyncio.create_task(self._use(scheduler, world, name, keep_alive, placement))

    async def _use(
        self, scheduler: Scheduler, world: World, name: str, keep_alive: float | None, placement: dict[str, Any]
    ) -> None:
        async with scheduler.lease(subject(name), world.placement(name, **placement), keep_alive) as self.lease:
            await self._let_go.wait()

    async def begun(self) -> FakeRunner:
        """Its runner, once it has one."""
        await until(lambda: self.lease or self.task.done())
        if self.lease is None:
            await self.task
        assert self.lease is not None
        return cast("FakeRunner", self.lease.runner)

    async def end(self) -> None:
        self._let_go.set()
        await self.task


@contextlib.asynccontextmanager
async def closing(scheduler: Scheduler) -> AsyncIterator[Scheduler]:
    try:
        yield scheduler
    finally:
        async with asyncio.timeout(10):
            await scheduler.aclose()


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(30):
        await asyncio.sleep(0)


def names(scheduler: Scheduler) -> list[str]:
    return [resident.subject.name for resident in scheduler.residents]


class TestLoading:
    async def test_two_requests_share_one_load(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            world.gate.clear()
            uses = [Use(scheduler, world, "a") for _ in range(2)]
            await settle()
            assert [resident.state for resident in scheduler.residents] == ["loading"]
            assert scheduler.residents[0].progress == 0.5
            world.gate.set()
            first, second = [await use.begun() for use in uses]
            assert first is second
            assert len(world.loads) == 1
            for use in uses:
                assert use.lease is not None
                assert use.lease.load_duration > 0
                await use.end()

    async def test_models_of_other_weights_load_side_by_side(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            world.gate.clear()
            uses = [Use(scheduler, world, name) for name in "ab"]
            await settle()
            assert [spec.model_paths for spec in world.loads] == [["a"], ["b"]]
            world.gate.set()
            for use in uses:
                await use.begun()
                await use.end()

    async def test_a_failed_load_reaches_all_who_wait_and_the_next_request_tries_again(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            world.gate.clear()
            world.error = LoadFailed("no tensors")
            uses = [Use(scheduler, world, "a") for _ in range(3)]
            await settle()
            world.gate.set()
            for use in uses:
                with pytest.raises(LoadFailed, match="no tensors"):
                    await use.begun()
            assert names(scheduler) == []
            world.error = None
            use = Use(scheduler, world, "a")
            assert (await use.begun()).alive
            assert len(world.loads) == 2
            await use.end()

    async def test_the_end_of_the_only_one_who_waits_ends_the_load(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            world.gate.clear()
            use = Use(scheduler, world, "a")
            await settle()
            use.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await use.task
            await until(lambda: world.cancelled_loads == 1)
            await settle()
            assert names(scheduler) == []
            world.gate.set()
            again = Use(scheduler, world, "a")
            await again.begun()
            await again.end()

    async def test_a_load_goes_on_for_the_others_when_one_gives_up(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            world.gate.clear()
            leaving, staying = Use(scheduler, world, "a"), Use(scheduler, world, "a")
            await settle()
            leaving.task.cancel()
            await settle()
            world.gate.set()
            assert (await staying.begun()).alive
            assert (len(world.loads), world.cancelled_loads) == (1, 0)
            await staying.end()

    async def test_a_dead_runner_is_replaced(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            use = Use(scheduler, world, "a")
            dead = await use.begun()
            dead.die()
            # Also while the request it died under has not let go of it.
            other = Use(scheduler, world, "a")
            alive = await other.begun()
            assert alive is not dead
            await use.end()
            assert names(scheduler) == ["a"]
            await other.end()
            alive.die()
            assert names(scheduler) == []


class TestKeepAlive:
    async def test_an_idle_model_goes_when_its_time_is_over(self, world: World) -> None:
        async with closing(world.scheduler(keep_alive=0.02)) as scheduler:
            use = Use(scheduler, world, "a")
            runner = await use.begun()
            await asyncio.sleep(0.05)
            assert runner.alive  # the time begins with the end of the last lease
            await use.end()
            assert runner.alive
            await until(lambda: not runner.alive)
            await until(lambda: names(scheduler) == [])

    async def test_a_request_in_time_keeps_it(self, world: World) -> None:
        async with closing(world.scheduler(keep_alive=0.02)) as scheduler:
            use = Use(scheduler, world, "a")
            runner = await use.begun()
            await use.end()
            again = Use(scheduler, world, "a")
            assert await again.begun() is runner
            await asyncio.sleep(0.05)
            assert runner.alive
            await again.end()

    async def test_zero_unloads_at_the_end_of_the_last_request(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            uses = [Use(scheduler, world, "a", keep_alive=0) for _ in range(2)]
            runner = await uses[0].begun()
            await uses[0].end()
            await settle()
            assert runner.alive
            await uses[1].end()
            await until(lambda: not runner.alive)
            assert len(world.loads) == 1

    async def test_for_ever(self, world: World) -> None:
        async with closing(world.scheduler(keep_alive=0.01)) as scheduler:
            use = Use(scheduler, world, "a", keep_alive=math.inf)
            runner = await use.begun()
            await use.end()
            await asyncio.sleep(0.03)
            assert runner.alive
            assert math.isinf(scheduler.residents[0].seconds_left)

    async def test_a_request_that_says_nothing_leaves_what_was_said(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            for keep_alive, expected in ((None, 300), (60, 60), (None, 60), (10, 10)):
                use = Use(scheduler, world, "a", keep_alive=keep_alive)
                await use.begun()
                await use.end()
                assert scheduler.residents[0].seconds_left == pytest.approx(expected, abs=1)


class TestRoom:
    async def test_the_one_idle_for_longest_goes_at_the_limit(self, world: World) -> None:
        async with closing(world.scheduler(max_loaded_models=2)) as scheduler:
            for name in ("a", "b", "a"):
                use = Use(scheduler, world, name)
                await use.begun()
                await use.end()
            use = Use(scheduler, world, "c")
            await use.begun()
            assert names(scheduler) == ["a", "c"]
            assert world.most_alive == 2
            await use.end()

    async def test_without_a_limit_of_the_user_there_are_three(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            for name in "abcd":
                use = Use(scheduler, world, name)
                await use.begun()
                await use.end()
            assert names(scheduler) == ["b", "c", "d"]

    async def test_a_busy_model_is_waited_for(self, world: World) -> None:
        async with closing(world.scheduler(max_loaded_models=1)) as scheduler:
            busy = Use(scheduler, world, "a")
            await busy.begun()
            waiting = Use(scheduler, world, "b")
            await settle()
            assert waiting.lease is None
            await busy.end()
            assert (await waiting.begun()).spec.model_paths == ["b"]
            assert world.most_alive == 1
            await waiting.end()

    async def test_waiting_ends_with_busy(self, world: World) -> None:
        async with closing(world.scheduler(max_loaded_models=1, load_timeout=0.02)) as scheduler:
            busy = Use(scheduler, world, "a")
            await busy.begun()
            with pytest.raises(Busy, match="no room for b") as caught:
                await Use(scheduler, world, "b").begun()
            assert caught.value.hint
            await busy.end()

    async def test_an_idle_model_goes_though_a_busy_one_is_to_be_replaced(self, world: World) -> None:
        async with closing(world.scheduler(max_loaded_models=2)) as scheduler:
            for name in "ab":
                use = Use(scheduler, world, name)
                await use.begun()
                await use.end()
            busy = Use(scheduler, world, "a")
            await busy.begun()
            larger = Use(scheduler, world, "a", n_ctx=100_000)
            await settle()
            other = Use(scheduler, world, "c")
            await other.begun()
            await busy.end()
            for use in (larger, other):
                await use.begun()
                await use.end()

    async def test_models_go_until_the_memory_is_enough(self, world: World) -> None:
        async with closing(world.scheduler(max_loaded_models=9)) as scheduler:
            for name in "abc":
                use = Use(scheduler, world, name, needed=300)
                await use.begun()
                await use.end()
            use = Use(scheduler, world, "d", needed=600)
            await use.begun()
            assert names(scheduler) == ["c", "d"]
            await use.end()

    async def test_models_that_load_at_once_do_not_take_the_same_memory_twice(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            world.gate.clear()
            first = Use(scheduler, world, "a", needed=600)
            second = Use(scheduler, world, "b", needed=600)
            await settle()
            assert [spec.model_paths for spec in world.loads] == [["a"]]
            world.gate.set()
            await first.begun()
            await first.end()
            await second.begun()
            assert names(scheduler) == ["b"]
            await second.end()

    async def test_what_never_fits_is_refused_and_nothing_goes_for_it(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            use = Use(scheduler, world, "a", needed=300)
            await use.begun()
            await use.end()
            with pytest.raises(LoadFailed, match="requires more memory"):
                await Use(scheduler, world, "b", needed=2000).begun()
            assert names(scheduler) == ["a"]


class TestOtherOptions:
    async def test_a_smaller_context_is_served_by_what_is_there(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            runners = []
            for n_ctx in (4096, 2048, 0, 4096):
                use = Use(scheduler, world, "a", n_ctx=n_ctx)
                runners.append(await use.begun())
                await use.end()
            assert len(set(map(id, runners))) == 1

    async def test_a_larger_one_loads_again_after_the_requests_that_run(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            small = Use(scheduler, world, "a", n_ctx=2048)
            old = await small.begun()
            large = Use(scheduler, world, "a", n_ctx=8192)
            later = Use(scheduler, world, "a", n_ctx=2048)
            await settle()
            assert (large.lease, later.lease, old.alive) == (None, None, True)
            await small.end()
            new = await large.begun()
            assert not old.alive
            assert await later.begun() is new
            assert [spec.n_ctx for spec in world.loads] == [2048, 8192]
            await large.end()
            await later.end()

    @pytest.mark.parametrize("option", [{"n_threads": 3}, {"n_gpu_layers": 0}, {"n_batch": 64}, {"use_mmap": False}])
    async def test_other_load_options_load_again_only_where_they_were_asked_for(
        self, world: World, option: dict[str, Any]
    ) -> None:
        async with closing(world.scheduler()) as scheduler:
            for asked in ({}, option, {}):
                use = Use(scheduler, world, "a", **asked)
                await use.begun()
                await use.end()
            assert len(world.loads) == 2


class TestUnload:
    async def test_an_idle_model_is_gone_when_it_returns(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            use = Use(scheduler, world, "a")
            runner = await use.begun()
            await use.end()
            assert await scheduler.unload("a")
            assert (runner.alive, names(scheduler)) == (False, [])
            assert not await scheduler.unload("a")

    async def test_a_busy_one_goes_when_its_requests_have_ended(self, world: World) -> None:
        async with closing(world.scheduler()) as scheduler:
            use = Use(scheduler, world, "a")
            runner = await use.begun()
            assert await scheduler.unload("a")
            assert runner.alive
            assert scheduler.residents[0].state == "stopping"
            new = Use(scheduler, world, "a")
            await settle()
            assert new.lease is None
            await use.end()
            assert await new.begun() is not runner
            assert not runner.alive
            await new.end()


class TestQueue:
    async def test_more_than_may_wait_are_refused_in_ollamas_words(self, world: World) -> None:
        async with closing(world.scheduler(max_queue=2)) as scheduler:
            uses = [Use(scheduler, world, "a", n_seq=1) for _ in range(3)]  # one runs, two wait in the runner
            for use in uses:
                await use.begun()
            with pytest.raises(Busy, match=r"^server busy, please try again\.  maximum pending requests exceeded$"):
                await Use(scheduler, world, "a", n_seq=1).begun()
            for use in uses:
                await use.end()

    async def test_a_model_with_a_free_slot_answers_while_another_is_full(self, world: World) -> None:
        async with closing(world.scheduler(max_queue=1)) as scheduler:
            free = Use(scheduler, world, "b", n_seq=2)
            await free.begun()
            uses = [Use(scheduler, world, "a", n_seq=1) for _ in range(2)]
            for use in uses:
                await use.begun()
            also = Use(scheduler, world, "b", n_seq=2)
            await also.begun()
            for use in (*uses, free, also):
                await use.end()

    async def test_who_waits_for_room_counts(self, world: World) -> None:
        async with closing(world.scheduler(max_queue=1, max_loaded_models=1)) as scheduler:
            busy = Use(scheduler, world, "a")
            await busy.begun()
            waiting = Use(scheduler, world, "b")
            await settle()
            with pytest.raises(Busy, match="maximum pending"):
                await Use(scheduler, world, "c").begun()
            await busy.end()
            await waiting.begun()
            await waiting.end()

    async def test_with_no_queue_at_all_a_free_model_answers(self, world: World) -> None:
        async with closing(world.scheduler(max_queue=0)) as scheduler:
            use = Use(scheduler, world, "a")
            await use.begun()
            with pytest.raises(Busy):
                await Use(scheduler, world, "a").begun()
            await use.end()


class TestClosing:
    async def test_it_ends_loads_waits_and_leases(self, world: World) -> None:
        scheduler = world.scheduler(max_loaded_models=2)
        busy = Use(scheduler, world, "a")
        runner = await busy.begun()
        world.gate.clear()
        loading = Use(scheduler, world, "b")
        waiting = Use(scheduler, world, "c")
        await settle()
        async with asyncio.timeout(5):
            await scheduler.aclose()
        with pytest.raises(RequestCanceled, match="while it was loading"):
            await loading.task
        with pytest.raises(Busy, match="shutting down"):
            await waiting.task
        assert not runner.alive
        await busy.end()
        with pytest.raises(Busy, match="shutting down"):
            await Use(scheduler, world, "a").begun()
        assert (world.alive, world.cancelled_loads, names(scheduler)) == (set(), 1, [])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await scheduler.aclose()

    @pytest.mark.parametrize("ticks", range(8))
    async def test_a_cancelled_caller_stays_cancelled(self, world: World, ticks: int) -> None:
        """Also when the load under it is cancelled in the same moment."""
        scheduler = world.scheduler()
        world.gate.clear()
        use = Use(scheduler, world, "a")
        await settle()
        closed = asyncio.create_task(scheduler.aclose())
        for _ in range(ticks):
            await asyncio.sleep(0)
        in_time = use.task.cancel()
        await closed
        with pytest.raises(asyncio.CancelledError if in_time else RequestCanceled):
            await use.task

    async def test_a_real_runner_comes_and_goes(self, world: World) -> None:
        """The same with a process and the bundled model."""
        from tests.engine.runner.running import BARD, answer

        async def measure() -> FreeMemory:
            return FreeMemory(2**34)

        async with closing(Scheduler(world.settings, measure=measure)) as scheduler:
            placement = world.placement(str(BARD), n_ctx=256)
            async with scheduler.lease(subject("bard"), placement, None) as lease:
                assert (await answer(lease.runner, "To be", max_tokens=3)).text
                runner = lease.runner
                runner.kill()
                with pytest.raises(RunnerDied):
                    await answer(runner, [1])
            async with scheduler.lease(subject("bard"), placement, None) as lease:
                assert isinstance(lease.runner, Runner)
                assert lease.runner is not runner
                assert (await answer(lease.runner, "To be", max_tokens=3)).text
            assert isinstance(placement.spec, LoadSpec)
