"""Whose turn it is."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.caller import THIS_PROCESS, Caller
from ollama_engine.scheduler.fair_queue import FairQueue

A, B, C = Caller("a"), Caller("b"), Caller("c")


def queue_of(*items: tuple[str, Caller]) -> FairQueue[str]:
    queue = FairQueue[str]()
    for item, caller in items:
        queue.add(item, caller)
    return queue


def take_all(queue: FairQueue[str]) -> str:
    return " ".join(queue.take() for _ in range(len(queue)))


def test_callers_take_turns() -> None:
    queue = queue_of(("a1", A), ("a2", A), ("a3", A), ("b1", B), ("c1", C), ("b2", B))
    assert list(queue) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert take_all(queue) == "a1 b1 c1 a2 b2 a3"


def test_who_comes_later_waits_for_one_of_each_other() -> None:
    queue = queue_of(*((f"a{n}", A) for n in range(100)))
    assert queue.take() == "a0"
    queue.add("b1", B)
    assert [queue.take(), queue.take()] == ["a1", "b1"]


def test_a_terminal_goes_first_but_not_twice_running_while_others_wait() -> None:
    queue = queue_of(("a1", A), ("a2", A), *((f"t{n}", THIS_PROCESS) for n in range(4)))
    assert list(queue) == ["t0", "a1", "t1", "a2", "t2", "t3"]
    assert take_all(queue) == "t0 a1 t1 a2 t2 t3"


def test_what_is_removed_costs_nobody_a_turn() -> None:
    queue = queue_of(("a1", A), ("a2", A), ("b1", B), ("c1", C))
    assert queue.remove("a1")
    assert not queue.remove("a1")
    assert "b1" in queue
    assert queue.remove("b1")
    assert "b1" not in queue
    assert take_all(queue) == "a2 c1"
    assert queue.first() is None
    with pytest.raises(IndexError):
        queue.take()


callers = st.sampled_from([A, B, C, Caller("d"), THIS_PROCESS, Caller("other terminal", local=True)])
moves = st.lists(st.tuples(st.sampled_from(["add", "add", "add", "take", "remove"]), callers), max_size=200)


@given(moves)
def test_the_order_that_it_tells_is_the_order_in_which_it_gives_and_nobody_waits_long(moves: list) -> None:
    queue = FairQueue[int]()
    waiting: dict[int, Caller] = {}
    bounds: dict[int, int] = {}
    """How many may still be taken before the first of each caller."""

    def renew() -> None:
        order = list(queue)
        assert order == list(iter(queue))
        assert len(order) == len(queue) == len(waiting)
        assert set(order) == set(waiting)
        for caller in set(waiting.values()):
            first = min(item for item in waiting if waiting[item] == caller)
            others = {other for other in waiting.values() if other != caller and other.local == caller.local}
            bounds.setdefault(first, 2 * len(others) + 1)

    for number, (move, caller) in enumerate(moves):
        if move == "add":
            queue.add(number, caller)
            waiting[number] = caller
        elif move == "take" and waiting:
            expected = next(iter(queue))
            assert queue.first() == expected
            assert queue.take() == expected
            bounds.pop(expected, None)
            del waiting[expected]
            for item in bounds:
                bounds[item] -= 1
                assert bounds[item] >= 0, "somebody waited for more turns than there are callers before it"
        elif move == "remove" and waiting:
            item = next(iter(waiting))
            assert queue.remove(item)
            bounds.pop(item, None)
            del waiting[item]
        renew()
    counts = Counter(waiting.values())
    assert all(queue.count(caller) == count for caller, count in counts.items())
