from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.durations import (
    format_duration,
    format_nanoseconds,
    parse_duration,
    parse_env_keep_alive,
    parse_keep_alive,
)
from ollama_engine.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("5s", 5.0),
        ("300ms", 0.3),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("-2m3.4s", -123.4),
        ("+1ns", 1e-9),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("10μs", 1e-5),
        ("1m1m", 120.0),
        ("2562047h47m16.854775807s", 9223372036.854775807),
    ],
)
def test_a_go_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("10", 'time: missing unit in duration "10"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("1h30", 'time: missing unit in duration "1h30"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ("s", 'time: invalid duration "s"'),
        (".s", 'time: invalid duration ".s"'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("9" * 5000 + "s", "time: invalid duration"),
        ("٣s", 'time: invalid duration "٣s"'),
    ],
)
def test_a_text_that_is_no_duration_is_refused_by_name_with_a_way_out(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_duration(text)
    assert caught.value.message.startswith(message)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (300, "5m0s"),
        (0, "0s"),
        (1.5, "1.5s"),
        (0.3, "300ms"),
        (3661, "1h1m1s"),
        (3600, "1h0m0s"),
        (1e-6, "1µs"),
        (1.1e-6, "1.1µs"),
        (1e-9, "1ns"),
        (-90, "-1m30s"),
        (math.inf, "2562047h47m16.854775807s"),
    ],
)
def test_seconds_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_what_is_written_reads_back_to_the_nanosecond(nanoseconds: int) -> None:
    assert round(parse_duration(format_nanoseconds(nanoseconds)) * 1e9) == pytest.approx(nanoseconds, abs=1)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_an_invalid_request(text: str) -> None:
    for parse in (parse_duration, parse_env_keep_alive):
        with contextlib.suppress(InvalidRequest):
            assert not math.isnan(parse(text))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (10, 10.0),
        (0.5, 0.5),
        (0, 0.0),
        (-1, math.inf),
        (-0.1, math.inf),
        ("10m", 600.0),
        ("-1s", math.inf),
        ("0", 0.0),
        (10**400, math.inf),
        (None, 300.0),
    ],
)
def test_keep_alive_is_seconds_or_a_duration_and_negative_is_forever(
    value: int | float | str | None, seconds: float
) -> None:
    assert parse_keep_alive(value) == seconds


def test_keep_alive_that_nobody_gave_takes_the_default_of_the_caller() -> None:
    assert parse_keep_alive(None, default=7.0) == 7.0


@pytest.mark.parametrize("text", ["10", "-1", "soon"])
def test_a_keep_alive_string_needs_a_unit(text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        parse_keep_alive(text)


def test_a_keep_alive_of_another_json_type_is_refused_by_gos_name_for_it() -> None:
    with pytest.raises(InvalidRequest, match=r"^Unsupported type: 'bool'$"):
        parse_keep_alive(True)
    with pytest.raises(InvalidRequest, match=r"^Unsupported type: '\[\]interface \{\}'$"):
        parse_keep_alive([])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300.0), ("90", 90.0), ("-1", math.inf), ("0", 0.0), ("-5m", math.inf)]
)
def test_the_environment_may_give_plain_seconds(text: str, seconds: float) -> None:
    assert parse_env_keep_alive(text) == seconds


def test_the_environment_is_not_ignored_when_it_makes_no_sense() -> None:
    with pytest.raises(InvalidRequest, match="soon"):
        parse_env_keep_alive("soon")
