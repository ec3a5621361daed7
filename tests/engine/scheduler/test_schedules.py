"""Whatever happens in whatever order: see schedule.py for what must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ollama_engine.caller import Caller
from ollama_engine.scheduler.ticket import Use as Purpose
from tests.engine.scheduler.schedule import (
    CALLERS,
    CONTEXTS,
    KEEP_ALIVES,
    MODELS,
    USES,
    Schedule,
    random_schedule,
)
from tests.support.virtual_time import VirtualLoop, run_virtual

T = TypeVar("T")

PARTS = 4
SCHEDULES = 600
SOAK_SCHEDULES = 6000
names = st.sampled_from(MODELS)
number = st.integers(0, 99)


class Moves(RuleBasedStateMachine):
    """As `random_schedule`, but chosen by hypothesis, which makes what fails as short as it can."""

    @initialize(limit=st.integers(1, 3), max_queue=st.sampled_from([0, 2, 512]), on_gpus=st.booleans())
    def begin(self, limit: int, max_queue: int, on_gpus: bool) -> None:
        self.loop = VirtualLoop()
        self.schedule = self.run(_made(limit, max_queue, on_gpus))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    @rule(
        name=names,
        n_ctx=st.sampled_from(CONTEXTS),
        use=st.sampled_from(USES),
        keep_alive=st.sampled_from(KEEP_ALIVES),
        caller=st.sampled_from(CALLERS),
        seconds=st.sampled_from([None, 0.0, 3.0]),
        times=st.sampled_from([1, 1, 1, 6]),
    )
    def request(
        self, name: str, n_ctx: int, use: Purpose, keep_alive: float | None, caller: Caller, seconds: float | None,
        times: int,
    ) -> None:  # fmt: skip
        async def ask() -> None:
            for _ in range(times):
                self.schedule.request(name, n_ctx, use, keep_alive, caller, seconds)

        self.run(ask())

    @rule(which=number)
    def finish(self, which: int) -> None:
        self.run(_now(lambda: self.schedule.finish(which)))

    @rule(which=number)
    def cancel(self, which: int) -> None:
        self.run(_now(lambda: self.schedule.cancel(which)))

    @rule(which=number)
    def kill(self, which: int) -> None:
        self.run(_now(lambda: self.schedule.kill(which)))

    @rule(name=names)
    def fail(self, name: str) -> None:
        self.schedule.fail(name)

    @rule()
    def heal(self) -> None:
        self.schedule.heal()

    @rule(seconds=st.sampled_from([0.0, 0.5, 30.0]))
    def load_slowly(self, seconds: float) -> None:
        self.schedule.load_slowly(seconds)

    @rule(name=names)
    def unload(self, name: str) -> None:
        self.run(self.schedule.unload(name))

    @rule(name=names, pinned=st.booleans())
    def pin(self, name: str, pinned: bool) -> None:
        self.run(_now(lambda: self.schedule.pin(name, pinned=pinned)))

    @rule(seconds=st.sampled_from([0.01, 0.3, 2.0, 20.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.run(self.schedule.wait(seconds))

    @invariant()
    def all_is_well(self) -> None:
        if hasattr(self, "schedule"):
            self.run(self.schedule.check())

    def teardown(self) -> None:
        if hasattr(self, "schedule"):
            try:
                self.run(self.schedule.end())
            finally:
                self.loop.close()


async def _made(limit: int, max_queue: int, on_gpus: bool) -> Schedule:
    return Schedule(limit=limit, max_queue=max_queue, on_gpus=on_gpus)


async def _now(move: Callable[[], None]) -> None:
    move()


Moves.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestMoves = Moves.TestCase


def run_all(numbers: range) -> Counter[str]:
    total: Counter[str] = Counter()
    for number in numbers:
        try:
            total += run_virtual(random_schedule(number))
        except BaseException as error:
            error.add_note(f"in schedule {number}")
            raise
    return total


@pytest.mark.parametrize("part", range(PARTS))
def test_every_request_of_a_random_schedule_ends(part: int) -> None:
    ends = run_all(range(part, SCHEDULES, PARTS))
    # They do reach what they are to try.
    assert set(ends) >= {"answered", "Busy", "cancelled", "LoadFailed", "RequestCanceled", "died"}
    assert ends["answered"] > ends.total() / 4


@pytest.mark.soak
def test_every_request_of_very_many_random_schedules_ends() -> None:
    run_all(range(SCHEDULES, SCHEDULES + SOAK_SCHEDULES))
