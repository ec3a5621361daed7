"""Everything that can happen to a scheduler, as moves that a test makes in any order; and what must hold after each.

No deadlock (virtual_time.py would tell at once), no request that does not end, no more memory or models taken than
there are, no place free that somebody waits for, nobody passed over more often than turns allow.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field, replace

from ollama_engine.caller import THIS_PROCESS, Caller, current_caller
from ollama_engine.errors import Busy, EngineError, LoadFailed, RequestCanceled
from ollama_engine.scheduler.line import ABOUT_TO_GO
from ollama_engine.scheduler.residency import Scheduler
from ollama_engine.scheduler.resident import Resident, lookahead
from ollama_engine.scheduler.ticket import Placer, Ticket
from ollama_engine.scheduler.ticket import Use as Purpose
from tests.engine.scheduler.fakes import FakeRunner, World, gpus, subject
from tests.support.virtual_time import settle

SIZES = {"a": 150, "b": 300, "c": 500, "d": 700, "huge": 1500}
MODELS = tuple(SIZES)
CALLERS = (THIS_PROCESS, Caller("ann"), Caller("bob"), Caller("cy"), Caller("dee"))
CONTEXTS = (0, 1024, 4096, 16_384)
KEEP_ALIVES = (None, None, 0, 5, float("inf"))
USES: tuple[Purpose, ...] = ("answer", "answer", "answer", "answer", "load", "ask")
EXPECTED = (Busy, LoadFailed, RequestCanceled)


class WatchedScheduler(Scheduler):
    """Notes who was let in before whom."""

    passed: Counter[Ticket]

    def _grant(self, ticket: Ticket, resident: Resident) -> None:
        if ticket.takes_place:
            waiting = list(resident.line)
            heads = {one.caller: one for one in reversed(waiting)}
            self.passed.update(one for one in heads.values() if one is not ticket)
        super()._grant(ticket, resident)


@dataclass(eq=False)
class Asked:
    name: str
    n_ctx: int
    use: Purpose
    keep_alive: float | None
    task: asyncio.Task[str] | None = None
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    has_begun: bool = False


class Schedule:
    """Lives in a virtual loop. `ends` counts how requests have ended."""

    def __init__(self, *, limit: int = 2, max_queue: int = 512, on_gpus: bool = True) -> None:
        self.world = World(total=gpus(600, 400) if on_gpus else gpus())
        self.world.mapped = {} if on_gpus else {"a": 100, "c": 400}
        self.world.settings = replace(
            self.world.settings, max_loaded_models=limit, max_queue=max_queue, queue_timeout=120, load_timeout=60
        )
        self.scheduler = WatchedScheduler(self.world.settings, start=self.world.start, measure=self.world.measure)
        self.scheduler.passed = Counter()
        self.asked: list[Asked] = []
        self.ends: Counter[str] = Counter()

    # -- moves -------------------------------------------------------------------------------------------------

    def request(
        self, name: str, n_ctx: int, use: Purpose, keep_alive: float | None, caller: Caller, seconds: float | None
    ) -> None:
        """`seconds`: how long it uses the model; None until it is told to end."""
        one = Asked(name, n_ctx, use, keep_alive)
        before = current_caller.set(caller)
        one.task = asyncio.create_task(self._request(one, seconds))
        current_caller.reset(before)
        self.asked.append(one)

    async def _request(self, one: Asked, seconds: float | None) -> str:
        lease = self.scheduler.lease(subject(one.name), self.placer(one), one.keep_alive, use=one.use)
        async with lease as leased:
            one.has_begun = True
            runner = leased.runner
            assert isinstance(runner, FakeRunner)
            assert runner.spec.model_paths == [one.name]
            assert one.use == "ask" or runner.spec.n_ctx >= one.n_ctx
            ends = {asyncio.ensure_future(event.wait()) for event in (one.let_go, runner.died)}
            try:
                await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
            return "answered" if runner.alive else "died"

    def placer(self, one: Asked) -> Placer:
        size = SIZES[one.name] + (one.n_ctx or 4096) // 256
        return self.world.split(one.name, size, n_ctx=one.n_ctx, n_seq=2)

    def finish(self, which: int) -> None:
        if running := [one for one in self.asked if one.has_begun and not one.let_go.is_set()]:
            running[which % len(running)].let_go.set()

    def cancel(self, which: int) -> None:
        if alive := [one for one in self.asked if one.task and not one.task.done()]:
            task = alive[which % len(alive)].task
            assert task is not None
            task.cancel()

    def kill(self, which: int) -> None:
        if alive := sorted(self.world.alive, key=lambda runner: runner.spec.model_paths):
            alive[which % len(alive)].die()

    def fail(self, name: str) -> None:
        self.world.errors[name] = LoadFailed(f"{name} does not load this time")

    def heal(self) -> None:
        self.world.errors.clear()

    def load_slowly(self, seconds: float) -> None:
        self.world.load_seconds = seconds

    def take_memory(self, n: int) -> None:
        """Another program takes some of the RAM, or gives it back."""
        self.world.foreign = n

    async def unload(self, name: str) -> None:
        await asyncio.wait_for(self.scheduler.unload(name), 300)

    def pin(self, name: str, *, pinned: bool) -> None:
        if not pinned:
            self.scheduler.unpin(name)
        for resident in self.scheduler.residents:
            if resident.subject.key == name:
                resident.pinned = pinned

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await settle()

    # -- what holds --------------------------------------------------------------------------------------------

    async def check(self) -> None:
        await settle()
        self._collect()
        world, scheduler = self.world, self.scheduler
        assert not world.excess, world.excess
        residents = {resident.subject.key: resident for resident in scheduler.residents}
        waiting = 0
        for line in scheduler._admission:
            waiting += max(0, len(line) - (0 if line.decided else ABOUT_TO_GO))
            resident, first = residents.get(line.key), line.first()
            if resident is not None and resident.admits and first is not None and first.is_served_by(resident):
                most = resident.slots + min(lookahead(resident.slots), world.settings.max_queue)
                assert first.takes_place, "somebody waits for a model that is there, and wants no place of it"
                assert len(resident.places) >= most, "a place is free, and somebody waits for it"
        waiting += sum(resident.beyond for resident in residents.values())
        assert waiting <= world.settings.max_queue
        most = 2 * len(CALLERS) + 1
        assert all(n <= most for n in scheduler.passed.values()), "somebody was passed over again and again"

    def _collect(self) -> None:
        for one in [one for one in self.asked if one.task and one.task.done()]:
            self.asked.remove(one)
            assert one.task is not None
            if one.task.cancelled():
                self.ends["cancelled"] += 1
            elif (error := one.task.exception()) is None:
                self.ends[one.task.result()] += 1
            else:
                assert isinstance(error, EXPECTED), repr(error)
                assert isinstance(error, EngineError)
                assert str(error)
                self.ends[type(error).__name__] += 1

    async def end(self, *, close_first: bool = False) -> None:
        """Nothing fails any more, and everybody lets go in the end: then every request ends, and nothing is left."""
        self.heal()
        self.take_memory(0)
        self.load_slowly(0.5)
        if close_first:
            await asyncio.wait_for(self.scheduler.aclose(), 300)
        waited = 0
        while self.asked:
            for one in self.asked:
                one.let_go.set()
            await self.wait(1)
            await self.check()
            waited += 1
            assert waited < 1000, f"they do not end: {[(one.name, one.n_ctx, one.use) for one in self.asked]}"
        await asyncio.wait_for(self.scheduler.aclose(), 300)
        await settle()
        assert not self.world.alive
        assert self.scheduler.residents == []
        assert list(self.scheduler._admission) == []
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def random_schedule(number: int, moves: int = 60) -> Counter[str]:
    """One of very many; how its requests have ended."""
    chance = random.Random(number)
    schedule = Schedule(
        limit=chance.choice([1, 2, 3]), max_queue=chance.choice([0, 3, 512]), on_gpus=chance.random() < 0.7
    )
    for _ in range(moves):
        await random_move(schedule, chance)
        await schedule.check()
    await schedule.end(close_first=chance.random() < 0.2)
    return schedule.ends


async def random_move(schedule: Schedule, chance: random.Random) -> None:
    match chance.randrange(24):
        case 0:
            schedule.cancel(chance.randrange(100))
        case 1:
            schedule.kill(chance.randrange(100))
        case 2:
            schedule.fail(chance.choice(MODELS))
        case 3 | 4:
            schedule.heal()
        case 5:
            schedule.load_slowly(chance.choice([0.0, 0.5, 30.0]))
        case 15:
            schedule.take_memory(chance.choice([0, 300]))
        case 6:
            await schedule.unload(chance.choice(MODELS))
        case 7:
            schedule.pin(chance.choice(MODELS), pinned=chance.random() < 0.4)
        case 8 | 9 | 10:
            schedule.finish(chance.randrange(100))
        case 11 | 12 | 13:
            await schedule.wait(chance.choice([0.01, 0.3, 2.0, 20.0, 400.0]))
        case 14:
            for _ in range(chance.randrange(12)):  # one client with many at once
                schedule.request(chance.choice(MODELS), 0, "answer", None, CALLERS[1], 1.0)
        case _:
            schedule.request(
                chance.choice(MODELS),
                chance.choice(CONTEXTS),
                chance.choice(USES),
                chance.choice(KEEP_ALIVES),
                chance.choice(CALLERS),
                chance.choice([None, 0.0, 0.2, 3.0]),
            )
