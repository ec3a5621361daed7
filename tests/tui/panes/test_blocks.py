"""Which part of a growing Markdown text is settled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_tui.panes.chat.blocks import settled


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("a paragraph", ""),
        ("a paragraph\n", ""),
        ("a paragraph\n\nnext", "a paragraph\n\n"),
        ("one\r\n\r\ntwo", "one\r\n\r\n"),
        ("```py\na\n\nb", ""),
        ("```py\na\n\nb\n```\n", ""),
        ("```py\na\n\nb\n```\n\nend", "```py\na\n\nb\n```\n\n"),
        ("~~~\n```\n\n~~~\n\nend", "~~~\n```\n\n~~~\n\n"),
        ("````\n```\n\n````\n\nend", "````\n```\n\n````\n\n"),
        ("- ```\n  a\n\n  b\n  ```\n\nend", "- ```\n  a\n\n  b\n  ```\n\n"),
        ("`` `x` ``\n\nend", "`` `x` ``\n\n"),
    ],
)
def test_a_blank_line_outside_a_fence_closes_a_block(text: str, closed: str) -> None:
    assert text[: settled(text, 0)] == closed


@given(st.lists(st.sampled_from(["a", "\n", "\n\n", "```", "~~~", "```py\n", "- x", " "]), max_size=30))
def test_what_is_settled_stays_settled_however_the_text_arrives(parts: list[str]) -> None:
    text, end = "", 0
    for part in parts:
        text += part
        end = settled(text, end)
    assert end == settled(text, 0)
