"""What the title of the prompt says of the context."""

from __future__ import annotations

import pytest

from ollama_tui.panes.chat.status_text import context
from ollama_tui.services.chat_view import ContextUse


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (ContextUse(), ""),
        (ContextUse(110), "110 tokens"),
        (ContextUse(3557, 4096), "context 3.5k/4k (87%)"),
        (ContextUse(20_480, 131_072, cut_tokens=3), "context 20k/128k (16%), cut"),
        (ContextUse(4096, 4096, dropped_messages=1), "context 4.0k/4k (100%), 1 message left out"),
        (ContextUse(9, 0, dropped_messages=2), "9 tokens, 2 messages left out"),
    ],
)
def test_how_full_the_context_is_and_what_was_cut(use: ContextUse, text: str) -> None:
    assert context(use) == text
