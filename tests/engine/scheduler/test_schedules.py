"""Whatever happens in whatever order: no deadlock, no lost request, never more models than allowed."""

from __future__ import annotations

import asyncio
import random as chance
from collections import Counter
from dataclasses import dataclass, field

import pytest

from ollama_engine.errors import EngineError, LoadFailed
from ollama_engine.scheduler.residency import Scheduler
from tests.engine.scheduler.fakes import World, subject

SCHEDULES = 300
REQUESTS = 25
LIMIT = 2


@dataclass
class Schedule:
    """A random run: requests of a few models with other options, cancels, unloads, deaths, failing loads."""

    random: chance.Random
    world: World
    scheduler: Scheduler
    ended: Counter[str] = field(default_factory=Counter)

    async def pause(self) -> None:
        for _ in range(self.random.choice([0, 0, 1, 2, 5, 12])):
            await asyncio.sleep(0)

    async def request(self) -> None:
        random = self.random
        name = random.choice("aabcd")
        placement = self.world.placement(
            name, n_ctx=random.choice([0, 2048, 4096, 8192]), n_seq=2, needed=random.choice([10, 400])
        )
        keep_alive = random.choice([None, 0, 0.001, 60])
        await self.pause()
        try:
            async with self.scheduler.lease(subject(name), placement, keep_alive) as lease:
                # It is the model that was asked for, with the context that was asked for.
                spec = lease.runner.spec  # pyright: ignore[reportAttributeAccessIssue]
                assert spec.model_paths == [name]
                assert "n_ctx" in placement.chosen or spec.n_ctx >= placement.spec.n_ctx
                assert any(resident.leases for resident in self.scheduler.residents)
                await self.pause()
                await self.pause()
        except EngineError as error:
            self.ended[type(error).__name__] += 1
        except asyncio.CancelledError:
            self.ended["cancelled"] += 1
        else:
            self.ended["answered"] += 1

    async def disturb(self, requests: list[asyncio.Task[None]]) -> None:
        for _ in range(20):
            await self.pause()
            match self.random.randrange(6):
                case 0:
                    self.random.choice(requests).cancel()
                case 1:
                    await asyncio.wait_for(self.scheduler.unload(self.random.choice("abcd")), 5)
                case 2 if self.world.alive:
                    self.random.choice(sorted(self.world.alive, key=lambda runner: runner.spec.model_paths)).die()
                case 3:
                    self.world.error = self.random.choice([None, LoadFailed("this time not")])
                case 4:
                    self.world.gate.clear()
                case _:
                    self.world.gate.set()
        self.world.error = None
        self.world.gate.set()


@pytest.mark.parametrize("part", range(4))
async def test_every_request_of_a_random_schedule_ends(part: int) -> None:
    total: Counter[str] = Counter()
    for number in range(part, SCHEDULES, 4):
        random = chance.Random(number)
        world = World()
        scheduler = world.scheduler(max_loaded_models=LIMIT, max_queue=random.choice([0, 3, 512]))
        schedule = Schedule(random, world, scheduler)
        requests = [asyncio.create_task(schedule.request()) for _ in range(REQUESTS)]
        try:
            async with asyncio.timeout(10):
                await schedule.disturb(requests)
                if random.random() < 0.3:
                    await scheduler.aclose()
                # A request cancelled before its first step never ran: that is its end, too.
                ends = await asyncio.gather(*requests, return_exceptions=True)
                schedule.ended["never began"] = sum(isinstance(end, asyncio.CancelledError) for end in ends)
                await scheduler.aclose()
        except TimeoutError:
            pytest.fail(f"schedule {number} hangs: {[(r.subject.name, r) for r in scheduler.residents]}")
        assert not [end for end in ends if end is not None and not isinstance(end, asyncio.CancelledError)], number
        assert schedule.ended.total() == REQUESTS, number
        assert world.most_alive <= LIMIT, number
        assert not world.alive, number
        assert scheduler.residents == [], number
        assert asyncio.all_tasks() == {asyncio.current_task()}, number
        total += schedule.ended
    # The schedules do reach what they are to try.
    assert set(total) >= {"answered", "Busy", "cancelled", "LoadFailed"}
    assert total["answered"] > total.total() / 4
