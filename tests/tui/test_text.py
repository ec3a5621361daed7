"""What a terminal would obey is shown instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_tui.text import one_line, short_name, visible


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


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("llama3.2:1b", 11, "llama3.2:1b"),
        ("127.0.0.1:5000/tests/two:latest", 20, "…/tests/two:latest"),
        ("hf.co/someone/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", 40, "…/Llama-3.2-3B-Instruct-GGUF:Q4_K_M"),
        ("hf.co/someone/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", 22, "Llama-3.2-3B-I…:Q4_K_M"),
        ("someone/bard:latest", 10, "bard"),
        ("a-long-name-without-a-tag", 10, "a-long-na…"),
        ("模型模型模型:1b", 8, "模型…:1b"),
    ],
)
def test_a_name_that_is_too_long_keeps_what_tells_it_from_others(name: str, width: int, shown: str) -> None:
    assert short_name(name, width) == shown
