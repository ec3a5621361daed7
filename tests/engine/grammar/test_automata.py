"""Patterns, formats and number ranges as automata: what they accept is what they stand for."""

from __future__ import annotations

import random
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.grammar.automaton import Automaton, difference, intersection, lengths, words
from ollama_engine.grammar.formats import FORMATS
from ollama_engine.grammar.numbers import Range, RangeError, range_automaton
from ollama_engine.grammar.pattern import pattern_automaton

PATTERNS = [
    "^[a-z]{3,5}$",
    "foo",
    "^a|b$",
    r"^(\d{3}-)?\d{4}$",
    r"^[^\s@]+@[^\s@]+\.[a-z]{2,}$",
    "a.c",
    "^(?:ab|cd)*x?$",
    r"^\x41\u0042[\]\-a^]$",
    "^$",
    "(^x)|(y$)",
    r"[^\d]\D\W",
    "^(a+)+$",
    "(a|b)*a(a|b){3}",
    r"^\S+$",
    "x*",
    "^(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])$",
    "^[-a]{2,}?[b-]$",
    r"\$\^\.\/",
    "",
]


def examples(automaton: Automaton, seed: int, count: int = 60) -> list[str]:
    """Texts by random walks through an automaton, no longer than 300 characters."""
    rng = random.Random(seed)
    found: list[str] = []
    for _ in range(20 * count):
        state, text = 0, ""
        while len(text) < 300 and len(found) < count and (automaton.edges[state] or automaton.accepting[state]):
            if automaton.accepting[state] and (not automaton.edges[state] or rng.random() < 0.3):
                found.append(text)
                break
            low, high, state = rng.choice(automaton.edges[state])
            text += chr(rng.randint(low, min(high, low + 120)))
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_a_patterns_automaton_accepts_matches_the_pattern(pattern: str) -> None:
    automaton = pattern_automaton(pattern, "#/pattern")
    found = examples(automaton, 1)
    assert len(found) >= 10
    assert all(re.search(pattern, text) for text in found)


@pytest.mark.parametrize("pattern", ["^(a|bc)*$", "b", "^a?b{1,2}$|c$", "[^a]c", "(ab?)+c"])
@given(st.text(alphabet="abc", max_size=7))
def test_a_pattern_over_plain_letters_is_matched_exactly(pattern: str, text: str) -> None:
    assert pattern_automaton(pattern, "").matches(text) == bool(re.search(pattern, text))


@given(st.lists(st.text(alphabet="ab", max_size=4), max_size=5), st.text(alphabet="ab", max_size=5))
def test_automata_intersect_and_subtract(listed: list[str], text: str) -> None:
    short, some = lengths(1, 3), words(listed)
    assert intersection(short, some).matches(text) == (text in listed and 1 <= len(text) <= 3)
    assert difference(short, some).matches(text) == (text not in listed and 1 <= len(text) <= 3)


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("date", ["2024-02-29", "2000-02-29", "1999-12-31"], ["2023-02-29", "1900-02-29", "0000-01-01", "2024-04-31"]),
        ("time", ["00:00:00Z", "23:59:59.123+05:30"], ["24:00:00Z", "12:00:00", "12:60:00Z"]),
        ("date-time", ["2024-02-29T12:00:00Z"], ["2024-02-29 12:00:00Z", "2024-02-30T12:00:00Z"]),
        ("duration", ["P1Y2M3D", "PT5M", "P4W", "P1DT1H"], ["P", "PT", "P1Y3D", "1D"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]),
        ("email", ["ada.l+x@example.org"], ["ada@", ".a@example.org", "a@example"]),
        ("ipv4", ["0.0.0.0", "255.249.10.1"], ["256.1.1.1", "1.1.1", "01.1.1.1"]),
        ("ipv6", ["::", "::1", "fe80::1:2", "1:2:3:4:5:6:7:8", "1::"], ["1:2:3:4:5:6:7", ":::", "1::2::3", "12345::"]),
        ("uri", ["https://example.org/a/b?c=d#e", "ftp://a.org:21"], ["example.org", "https://", "http://a b.org"]),
        ("hostname", ["example.org", "localhost"], ["-a.org", "a..org", ""]),
        ("json-pointer", ["", "/a/b~0c~1"], ["a", "/~2"]),
    ],
)
def test_formats(name: str, yes: list[str], no: list[str]) -> None:
    automaton = pattern_automaton(FORMATS[name], "")
    assert [text for text in yes if not automaton.matches(text)] == []
    assert [text for text in no if automaton.matches(text)] == []


@given(st.integers(-400, 400), st.integers(0, 3000), st.sampled_from([1, 2, 7, 12]), st.integers(-500, 4000))
def test_integer_ranges_are_exact(low: int, width: int, step: int, value: int) -> None:
    wanted = Range(Decimal(low), Decimal(low + width), integer=True, steps=(Decimal(step),))
    assert range_automaton(wanted).matches(str(value)) == (low <= value <= low + width and value % step == 0)


decimals = st.decimals(-1000, 1000, places=3)


@given(decimals, decimals, st.booleans(), st.booleans(), st.integers(0, 99))
def test_numbers_stay_within_their_bounds_as_text_and_as_doubles(
    low: Decimal, high: Decimal, low_open: bool, high_open: bool, seed: int
) -> None:
    wanted = Range(low, high, low_open, high_open)
    for text in examples(range_automaton(wanted), seed, 10):
        assert wanted.contains(Decimal(text))
        assert not low_open or float(text) > float(low)
        assert not high_open or float(text) < float(high)


@pytest.mark.parametrize("text", ["-0", "-0.0", "007", "1.", ".5", "+1", "1e3", "-"])
def test_numbers_are_written_as_json_has_them(text: str) -> None:
    assert not range_automaton(Range(Decimal(-9), Decimal(99))).matches(text)


def test_the_largest_64_bit_integer_can_be_written() -> None:
    automaton = range_automaton(Range(Decimal(0), Decimal(2**63 - 1), integer=True))
    assert automaton.matches(str(2**63 - 1))
    assert not automaton.matches(str(2**63))


@pytest.mark.parametrize("step", ["1e-30", "12345.678", "123457"])
def test_steps_beyond_reach_are_refused(step: str) -> None:
    with pytest.raises(RangeError):
        range_automaton(Range(Decimal(0), None, steps=(Decimal(step),)))
