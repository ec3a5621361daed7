"""Figures as people read them."""

from __future__ import annotations

import pytest

from ollama_tui import figures
from tests.support.demo_engine import NOW


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, ""),
        (999, "999 B"),
        (4_300_000, "4.3 MB"),
        (274_000_000, "274 MB"),
        (999_600_000, "1.0 GB"),
        (19_900_000_000, "20 GB"),
        (2_000_000_000_000, "2.0 TB"),
    ],
)
def test_sizes_have_two_or_three_digits(count: int, text: str) -> None:
    assert figures.size(count) == text


@pytest.mark.parametrize(("count", "text"), [(0, ""), (512, "512"), (8192, "8k"), (131072, "128k"), (1 << 20, "1M")])
def test_context_lengths_are_spoken(count: int, text: str) -> None:
    assert figures.tokens(count) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-03-01T11:59:59.123456789Z", "just now"),
        ("2026-03-01T13:58:00+02:00", "2 minutes ago"),
        ("2026-02-28T12:00:00Z", "1 day ago"),
        ("2024-03-01T12:00:00Z", "2 years ago"),
        ("0001-01-01T00:00:00Z", ""),
        ("soon", ""),
    ],
)
def test_ages(moment: str, text: str) -> None:
    assert figures.age(moment, NOW) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-03-01T12:04:31Z", "4:31"),
        ("2026-03-01T13:04:31Z", "1:04:31"),
        ("2026-03-09T12:00:00Z", "8 d"),
        ("2318-03-01T12:00:00Z", "forever"),
        ("2026-03-01T11:00:00Z", "now"),
        ("", ""),
    ],
)
def test_the_time_left(moment: str, text: str) -> None:
    assert figures.until(moment, NOW) == text


def test_a_rate_of_nothing_is_nothing() -> None:
    assert figures.rate(10, 0) == 0.0
    assert figures.per_second(figures.rate(84, 2_000_000_000)) == "42.0"
