"""Medians and spreads, whatever is measured; rates; what counts as a difference."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ollama_engine.bench.compare import LEAST, judge
from ollama_engine.bench.metrics import generation_rate, prompt_rate, throughput
from ollama_engine.bench.records import Sample
from ollama_engine.bench.statistics import Summary, summary
from tests.support.bench_runs import sample

FIGURES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=40)


@given(FIGURES)
def test_a_summary_has_the_median_between_the_quartiles_of_pythons_own_library(values: list[float]) -> None:
    found = summary(values)
    assert found is not None
    assert found.median == pytest.approx(statistics.median(values))
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    if len(values) > 1:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.count == len(values)


@given(FIGURES, st.floats(0.01, 100), st.randoms())
def test_order_does_not_matter_and_another_unit_scales_all(values: list[float], factor: float, random: object) -> None:
    shuffled = sorted(values, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert summary(shuffled) == summary(values)
    one, other = summary(values), summary([value * factor for value in values])
    assert one is not None
    assert other is not None
    assert other.median == pytest.approx(one.median * factor)
    assert other.spread == pytest.approx(one.spread * factor, abs=1e-6 * factor * max(values))


def test_nothing_measured_has_no_summary() -> None:
    assert summary([]) is None


@given(FIGURES, FIGURES, st.booleans())
def test_a_difference_within_the_spread_is_never_called_one(
    before: list[float], after: list[float], rising: bool
) -> None:
    old, new = summary(before), summary(after)
    assert old is not None
    assert new is not None
    _, verdict = judge(old, new, rising=rising)
    _, reversed_verdict = judge(new, old, rising=rising)
    apart = abs(new.median - old.median)
    if min(old.count, new.count) < 3:
        assert verdict == reversed_verdict == "unsure"
    elif apart <= max(old.spread, new.spread):
        assert verdict == reversed_verdict == "same"
    elif apart > max(LEAST * old.median, LEAST * new.median):
        assert {verdict, reversed_verdict} == {"better", "worse"}
        assert (verdict == "better") == ((new.median > old.median) == rising)


@given(st.floats(1, 1e5), st.floats(0, 0.5))
def test_a_difference_with_itself_is_none(median: float, spread: float) -> None:
    one = Summary(median, median * (1 - spread), median * (1 + spread), 5)
    assert judge(one, one, rising=True) == (0.0, "same")


def test_rates_count_what_was_computed() -> None:
    one = Sample(
        round=0,
        prompt_tokens=100,
        cached_tokens=20,
        prompt_ns=400_000_000,
        tokens=11,
        generation_ns=100_000_000,
        first_token_ns=500_000_000,
        total_ns=600_000_000,
    )
    assert prompt_rate(one) == pytest.approx(200)  # 80 of them were read
    assert generation_rate(one) == pytest.approx(100)  # ten steps after the first token


@given(st.integers(2, 200), st.integers(1, 8))
def test_requests_at_once_have_the_throughput_of_all_of_them(tokens: int, at_once: int) -> None:
    assume(tokens > 1)
    rounds = [sample(0, stream, speed=50.0, tokens=tokens) for stream in range(at_once)]
    assert throughput(rounds) == pytest.approx(50.0 * at_once, rel=1e-3)
