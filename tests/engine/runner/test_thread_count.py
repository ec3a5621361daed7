"""How many threads compute, by what others take of the cores: a clock and cores that the test moves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ollama_engine.runner import llama_context
from ollama_engine.runner.llama import C
from ollama_engine.runner.llama_batch import LlamaBatch
from ollama_engine.runner.protocol import LoadSpec
from ollama_engine.runner.thread_count import EVERY, STALE, Spent, ThreadCount, spent_so_far
from tests.engine.runner.stepping import load


class Machine:
    """Cores on which others compute; the process itself takes what its threads can get."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.others = 0.0
        self.time = 0.0
        self.spent = Spent(0.0, 0.0)
        self.count = ThreadCount(cores, clock=lambda: self.time, spent=lambda: self.spent)

    def compute(self, seconds: float = EVERY) -> int:
        """Compute with as many threads as it says, then ask again."""
        own = min(self.count.now(), self.cores - self.others)
        return self._pass(seconds, own)

    def rest(self, seconds: float) -> int:
        return self._pass(seconds, 0.0)

    def _pass(self, seconds: float, own: float) -> int:
        self.time += seconds
        idle = max(0.0, self.cores - self.others - own)
        self.spent = Spent(self.spent.idle + idle * seconds, self.spent.own + own * seconds)
        return self.count.now()


def test_a_machine_of_its_own_is_used_whole() -> None:
    machine = Machine(8)
    assert [machine.compute() for _ in range(5)] == [8] * 5


def test_a_core_that_others_take_is_left_to_them_and_taken_back() -> None:
    machine = Machine(2)
    machine.others = 1.0
    assert [machine.compute() for _ in range(4)] == [2, 1, 1, 1]
    machine.others = 0.0
    assert machine.compute() == 2


def test_what_a_server_and_its_clients_need_costs_no_thread() -> None:
    machine = Machine(2)
    machine.others = 0.3
    assert [machine.compute() for _ in range(5)] == [2] * 5


def test_one_moment_of_others_costs_no_thread() -> None:
    machine = Machine(4)
    machine.others = 3.0
    assert machine.compute() == 4
    machine.others = 0.0
    assert machine.compute() == 4


def test_one_thread_is_left_however_busy_the_machine_is() -> None:
    machine = Machine(4)
    machine.others = 4.0
    assert [machine.compute() for _ in range(3)] == [4, 1, 1]


def test_what_was_seen_long_before_the_request_does_not_count() -> None:
    machine = Machine(2)
    machine.others = 2.0
    machine.compute()
    assert machine.compute() == 1
    assert machine.rest(STALE + 1) == 2


def test_a_long_computation_counts_however_long_it_took() -> None:
    machine = Machine(2)
    machine.others = 1.0
    machine.compute(STALE + 1)
    assert machine.compute(STALE + 1) == 1


def test_it_is_not_looked_at_more_often_than_its_figures_change() -> None:
    machine = Machine(2)
    machine.others = 2.0
    assert {machine.compute(EVERY / 10) for _ in range(9)} == {2}


@pytest.mark.parametrize(("asked", "threads"), [(0, 1), (3, 3)])
def test_a_context_computes_with_as_many_unless_a_number_was_asked_for(
    looping: Path, monkeypatch: pytest.MonkeyPatch, asked: int, threads: int
) -> None:
    monkeypatch.setattr(llama_context, "usable_cores", lambda: 4)
    monkeypatch.setattr(ThreadCount, "now", lambda self: 1)
    context = llama_context.LlamaContext(load(looping), LoadSpec([], 64, n_threads=asked, n_threads_batch=asked))
    try:
        batch = LlamaBatch(8)
        batch.add([1, 2], 0, 0, want_logits=True)
        assert context.decode(batch) == 0
        assert C.llama_n_threads_batch(context.handle) == threads
    finally:
        C.llama_free(context.handle)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only where a process may be kept to some cores")
def test_what_passes_on_the_cores_of_the_process_is_idle_or_its_own() -> None:
    before = spent_so_far()
    sum(range(300_000))
    after = spent_so_far()
    assert after.own > before.own
    assert after.idle >= before.idle
