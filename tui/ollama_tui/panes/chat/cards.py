"""What belongs to an answer beside its words: the thought before it, tools that it calls, what they gave, files."""

from __future__ import annotations

from textual.content import Content

from ollama_tui.chats import StoredMessage


def thinking_line(message: StoredMessage, *, unfolded: bool) -> Content:
    mark = "▾" if unfolded else "▸"
    return Content.styled(f"{mark} thought {len(message.thinking.split())} words", "$muted")


def call_lines(message: StoredMessage, width: int, *, unfolded: bool) -> list[Content]:
    return []


def result_lines(message: StoredMessage, width: int, *, unfolded: bool) -> list[Content]:
    return []


def attachment_lines(message: StoredMessage) -> list[Content]:
    return []
