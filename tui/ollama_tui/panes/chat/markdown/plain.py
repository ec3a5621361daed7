"""A line too long for Markdown, as plain text."""

from __future__ import annotations

from textual.content import Content

from ollama_tui.panes.chat.markdown.wrap import cut, line_starts
from ollama_tui.text import visible


class GrowingPlain:
    """Lines that are full stay as they are; only the last one grows."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._kept: list[Content] = []
        self._seen = 0
        self._rest = ""

    def lines(self, text: str) -> list[Content]:
        self._rest += _flat(text[self._seen :])
        self._seen = len(text)
        starts = line_starts(self._rest, self._width)
        lines = [Content(line) for line in cut(self._rest, starts)]
        self._kept += lines[:-1]
        self._rest = self._rest[starts[-1] :]
        return [*self._kept, lines[-1]]


def draw_plain(text: str, width: int) -> list[Content]:
    flat = _flat(text.strip("\r\n"))
    return [Content(line) for line in cut(flat, line_starts(flat, width))]


def _flat(text: str) -> str:
    return visible(text).replace("\t", " ").replace("\n", " ")
