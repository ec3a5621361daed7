"""What comes and goes is told once it has come, or gone, for long enough."""

from __future__ import annotations

from ollama_tui.services.steady import LOOKS, Steady


def test_what_the_first_look_finds_is_told_at_once() -> None:
    assert Steady().look(["a", "b"]) == ("a", "b")


def test_what_comes_later_is_told_once_some_looks_in_a_row_have_found_it() -> None:
    steady = Steady()
    steady.look([])
    looks = [steady.look(found) for found in (["a"], [], *[["a"]] * LOOKS)]
    assert looks == [()] * (LOOKS + 1) + [("a",)]


def test_what_is_told_stays_until_some_looks_in_a_row_have_missed_it() -> None:
    steady = Steady()
    steady.look(["a", "b"])
    looks = [steady.look(found) for found in (["b"], ["b", "a"], *[["b"]] * LOOKS)]
    assert looks == [("a", "b")] * (LOOKS + 1) + [("b",)]
