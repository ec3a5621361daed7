"""Text cut into lines of a width in cells."""

from __future__ import annotations

from itertools import pairwise

from rich._wrap import divide_line
from textual.content import Content


def wrap(content: Content, width: int) -> list[Content]:
    """Words kept whole where they fit; lines that the text itself ends stay lines."""
    return [line for part in content.split(allow_blank=True) for line in part.wrap(width)]


def line_starts(text: str, width: int) -> list[int]:
    """Where the lines of one long line of plain text begin; quick, for it may be a megabyte."""
    if not text.isascii():
        return [0, *divide_line(text, width, fold=True)]
    starts = [0]
    while len(text) - starts[-1] > width:
        start = starts[-1]
        blank = text.rfind(" ", start, start + width + 1)
        starts.append(blank + 1 if blank > start else start + width)
    return starts


def cut(text: str, starts: list[int]) -> list[str]:
    """The lines that begin at `starts`."""
    return [text[start:end].rstrip(" ") for start, end in pairwise([*starts, len(text)])]


def fold(content: Content, width: int) -> list[Content]:
    """Cut at the width, wherever that is: for code."""
    return content.fold(width) if content.cell_length > width else [content]


def fill(content: Content, width: int) -> Content:
    """Blanks behind `content` up to `width`."""
    return content.pad_right(max(0, width - content.cell_length))
