"""Speeds are tokens over the time that they took, of the last seconds."""

from __future__ import annotations

import pytest

from ollama_engine.runner.throughput import WINDOW, Throughput


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throughput(clock: Clock) -> Throughput:
    return Throughput(clock)


def steps(clock: Clock, throughput: Throughput, count: int, n: int, seconds: float) -> None:
    for _ in range(count):
        clock.now += seconds
        throughput.add(n, seconds)


def test_nothing_yet_is_no_speed(throughput: Throughput) -> None:
    assert throughput.per_second == 0


@pytest.mark.parametrize("seconds", [0.01, 0.15, 3.0])
def test_steps_one_after_the_other_have_the_speed_of_each(clock: Clock, throughput: Throughput, seconds: float) -> None:
    steps(clock, throughput, 7, 4, seconds)
    assert throughput.per_second == pytest.approx(4 / seconds)


def test_a_pause_does_not_make_it_slower_and_then_ends_it(clock: Clock, throughput: Throughput) -> None:
    steps(clock, throughput, 1, 512, 0.25)
    clock.now += WINDOW - 1
    assert throughput.per_second == pytest.approx(2048)
    clock.now += 1.5
    assert throughput.per_second == 0


def test_a_change_of_speed_is_all_there_is_after_the_window(clock: Clock, throughput: Throughput) -> None:
    steps(clock, throughput, 100, 1, 0.05)
    steps(clock, throughput, 50, 1, 0.1)
    assert throughput.per_second == pytest.approx(10)


def test_a_model_with_steps_of_ten_seconds_does_not_seem_to_rest_between_them(
    clock: Clock, throughput: Throughput
) -> None:
    steps(clock, throughput, 2, 1, 10)
    clock.now += 9
    assert throughput.per_second == pytest.approx(0.1)


def test_steps_without_such_tokens_do_not_count(clock: Clock, throughput: Throughput) -> None:
    steps(clock, throughput, 1, 10, 1.0)
    steps(clock, throughput, 5, 0, 0.1)
    assert throughput.per_second == pytest.approx(10)
