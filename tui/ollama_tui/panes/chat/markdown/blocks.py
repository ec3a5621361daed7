"""Where a growing Markdown text is settled: the blocks that nothing written later can change.

`closed` finds them from the text alone, so that it does not matter in which pieces the text arrives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ollama_tui.panes.chat.markdown.parser import References, parse_blocks
from ollama_tui.text import visible

LONG = 8000
"""Characters of a block that is settled before its end, so that drawing what grows has a bounded cost."""

Kind = Literal["markdown", "fence", "plain"]
"""A `plain` block is one line too long for Markdown."""

_FENCE = re.compile(r"(?:[ \t\r]*\n)* {0,3}(`{3,}(?!.*`)|~{3,})[^\n]*(\n|$)")
_FENCE_LINE = re.compile(r"^ {0,3}(`{3,}(?!.*`)|~{3,})[^\n]*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    start: int
    end: int
    kind: Kind


def closed(text: str, start: int, *, references: References, whole: bool = False) -> list[Block]:
    """The blocks of `text` that are closed, from `start` on, where one begins.

    `whole` says that nothing will follow: the last one is closed then as well. Definitions of links are added to
    `references`.
    """
    found: list[Block] = []
    while start < len(text):
        new = _next(text, start, references, whole)
        if not new:
            break
        found += new
        start = found[-1].end
    return found


def open_kind(text: str, start: int) -> Kind:
    """What stands open at `start`, where no closed block begins."""
    if _FENCE.match(text, start):
        return "fence"
    return "plain" if _long_line(text, start) else "markdown"


def _next(text: str, start: int, references: References, whole: bool) -> list[Block]:
    fence = _FENCE.match(text, start)
    if fence:
        return _fenced(text, start, fence, whole)
    if _long_line(text, start):
        end = text.find("\n", start) + 1
        return [Block(start, end or len(text), "plain")] if end or whole else []
    cut = len(text) - start > LONG
    end = len(text) if whole and not cut else text.rfind("\n", start, start + LONG) + 1
    if end <= start:
        return []
    starts, fence_follows = _block_starts(text[start:end], references)
    edges = [start, *(start + one for one in starts)]
    if not fence_follows and ((whole and not cut) or (cut and not starts)):
        edges.append(end)
    return [Block(one, other, "markdown") for one, other in pairwise(edges)]


def _fenced(text: str, start: int, fence: re.Match[str], whole: bool) -> list[Block]:
    mark = fence[1]
    close = re.compile(rf"^ {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t\r]*\n", re.MULTILINE)
    found = close.search(text, fence.end()) if fence[2] else None
    if found:
        return [Block(start, found.end(), "fence")]
    return [Block(start, len(text), "fence")] if whole else []


def _long_line(text: str, start: int) -> bool:
    return len(text) - start > LONG and "\n" not in text[start : start + LONG]


def _block_starts(text: str, references: References) -> tuple[list[int], bool]:
    """Where the blocks of `text` after the first begin, up to the first fence; whether there is one."""
    fence = _FENCE_LINE.search(text)
    if fence is not None:
        # What follows a fence is not parsed for what stands before it: an answer full of code would be parsed again
        # and again. A fence inside a list is no block of its own; then all of the text is looked at.
        starts, fence_follows = _starts(text[: fence.end()], references)
        if fence_follows:
            return starts, True
    return _starts(text, references)


def _starts(text: str, references: References) -> tuple[list[int], bool]:
    tokens = [
        token for token in parse_blocks(visible(text), references, lasting=True) if token.level == 0 and token.map
    ]
    starts: list[int] = []
    position, line = 0, 0
    for token in tokens[1:]:
        assert token.map is not None
        while line < token.map[0]:
            position = text.index("\n", position) + 1
            line += 1
        starts.append(position)
        if token.type == "fence":
            return starts, True
    return starts, False
