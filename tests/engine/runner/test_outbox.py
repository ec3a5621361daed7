"""Results of quick steps leave together; nothing is held longer than it may be."""

from __future__ import annotations

import pytest

from ollama_engine.runner import outbox
from ollama_engine.runner.outbox import HOLD, Outbox
from ollama_engine.runner.protocol import Done, Piece, Step


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outbox, "time", clock)
    return clock


def step(*pieces: Piece, done: list[Done] | None = None) -> Step:
    return Step(list(pieces), done or [])


DONE = Done(1, "stop", 1, 0, 1, 3, 1)


def test_the_first_text_leaves_at_once_and_what_follows_quickly_together(clock: Clock) -> None:
    sent: list[Step] = []
    out = Outbox(sent.append)
    out.put(step(Piece(1, "a", 1)))
    assert sent == [step(Piece(1, "a", 1))]
    out.put(step(Piece(1, "b", 1), Piece(2, "x", 1)))
    out.put(step(Piece(1, "c", 2)))
    assert len(sent) == 1
    clock.now += HOLD
    out.put(step(Piece(2, "y", 1)))
    assert sent[1:] == [step(Piece(1, "bc", 3), Piece(2, "xy", 2))]


def test_steps_that_take_their_time_leave_one_by_one(clock: Clock) -> None:
    sent: list[Step] = []
    out = Outbox(sent.append)
    for text in "abc":
        out.put(step(Piece(1, text, 1)))
        clock.now += HOLD
    assert [sent_step.pieces[0].text for sent_step in sent] == ["a", "b", "c"]


def test_the_end_of_a_request_leaves_at_once_with_all_text_before_it(clock: Clock) -> None:
    sent: list[Step] = []
    out = Outbox(sent.append)
    out.put(step(Piece(1, "a", 1)))
    out.put(step(Piece(1, "b", 1), Piece(2, "x", 1)))
    out.put(step(Piece(1, "c", 1), done=[DONE]))
    assert sent[1:] == [step(Piece(1, "bc", 2), Piece(2, "x", 1), done=[DONE])]


def test_what_is_held_can_be_sent_and_nothing_is_sent_twice(clock: Clock) -> None:
    sent: list[Step] = []
    out = Outbox(sent.append)
    out.flush()
    out.put(step())
    assert sent == []
    out.put(step(Piece(1, "a", 1)))
    out.put(step(Piece(1, "b", 1)))
    out.flush()
    out.flush()
    assert [sent_step.pieces[0].text for sent_step in sent] == ["a", "b"]
