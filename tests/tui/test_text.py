"""What a terminal would obey is shown instead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ollama_tui.text import one_line, visible


def test_escapes_are_shown_as_pictures() -> None:
    assert visible("\x1b[2J\x07\x9b1m\x7f") == "␛[2J␇\\x9b1m␡"


def test_marks_that_turn_text_around_are_shown() -> None:
    assert visible("a\u202eb") == "a\\u202eb"


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    assert visible("tab\tline\nשלום 日本 👩‍👧 é") == "tab\tline\nשלום 日本 👩‍👧 é"


@given(st.text())
def test_nothing_a_terminal_obeys_is_left(text: str) -> None:
    assert not any(ord(one) < 32 and one not in "\t\n" for one in visible(text))
    assert "\n" not in one_line(text)
    assert "\t" not in one_line(text)
