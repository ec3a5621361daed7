"""Sizes, counts, times and tables read as Ollama prints them (spec §3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ollama_tui import format

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1500, "1.5 KB"),
        (999_999, "999 KB"),
        (9_999_999, "10.0 MB"),
        (274_302_450, "274 MB"),
        (4_661_224_676, "4.7 GB"),
        (10_990_000_000, "10 GB"),
        (2_000_000_000, "2 GB"),
        (1_200_000_000_000, "1.2 TB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_sizes_are_decimal_and_cut_to_whole_units_from_ten(count: int, text: str) -> None:
    assert format.size(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (512, "512"),
        (22_000, "22K"),
        (22_713_216, "22.71M"),
        (137_000_000, "137M"),
        (494_032_768, "494.03M"),
        (1_000_000_000, "1B"),
        (7_615_616_512, "7.6B"),
        (70_000_000_000, "70B"),
    ],
)
def test_parameter_counts(count: int, text: str) -> None:
    assert format.parameter_count(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (0.99, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE - 1, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_spans_of_time(seconds: float, text: str) -> None:
    assert format.span(seconds) == text


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (NOW - timedelta(days=3), "3 days ago"),
        (NOW + timedelta(minutes=4, seconds=30), "4 minutes from now"),
        (NOW + timedelta(days=292 * 365), "Forever"),
        (datetime(1, 1, 1, tzinfo=UTC), "Never"),
        (None, "Never"),
    ],
)
def test_moments_are_told_as_seen_from_now(when: datetime | None, text: str) -> None:
    assert format.moment(when, NOW) == text


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-03-01T12:00:00Z", NOW),
        ("2026-03-01T13:00:00.123456789+01:00", NOW.replace(microsecond=123456)),
        ("2026-03-01T12:00:00", NOW),
        ("", None),
        ("yesterday", None),
    ],
)
def test_timestamps_of_any_server_are_read(text: str, when: datetime | None) -> None:
    assert format.parse_timestamp(text) == when


@pytest.mark.parametrize(
    ("total", "on_device", "text"),
    [
        (100, 0, "100% CPU"),
        (100, 100, "100% GPU"),
        (100, 52, "48%/52% CPU/GPU"),
        (1000, 995, "1%/99% CPU/GPU"),
        (100, 101, "Unknown"),
    ],
)
def test_processor_tells_where_a_model_lies(total: int, on_device: int, text: str) -> None:
    assert format.processor(total, on_device) == text


def test_a_model_past_its_time_is_stopping_and_one_without_end_stays_forever() -> None:
    assert format.until(NOW - timedelta(seconds=1), NOW) == "Stopping..."
    assert format.until(NOW + timedelta(days=200_000), NOW) == "Forever"
    assert format.until(NOW + timedelta(minutes=5), NOW) == "5 minutes from now"


def test_tables_have_four_blanks_between_columns_and_none_at_the_end() -> None:
    rows = [("NAME", "ID", "SIZE"), ("bard:latest", "0123456789ab", "4.1 MB"), ("x", "y", "")]
    assert format.table(rows) == (
        "NAME           ID              SIZE\n"
        "bard:latest    0123456789ab    4.1 MB\n"
        "x              y\n"
    )  # fmt: skip


def test_wide_characters_keep_columns_straight() -> None:
    assert format.table([("模型", "a"), ("abcd", "b")]) == "模型    a\nabcd    b\n"


@pytest.mark.parametrize(
    ("text", "cells"),
    [("abc", 3), ("模型", 4), ("e\u0301", 1), ("👩‍💻", 2), ("❤️", 2), ("模\x07", 2)],
)
def test_cells_are_counted_as_a_terminal_does(text: str, cells: int) -> None:
    assert format.cell_width(text) == cells


def test_control_characters_of_strangers_do_not_reach_the_terminal() -> None:
    assert format.plain("a\x1b[31m\x07\tb\nc\r\x9b") == "a[31m\tb\nc"
