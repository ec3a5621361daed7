"""Where a growing Markdown text is settled: blocks that a blank line outside a fence has closed will not change."""

from __future__ import annotations

import re

_FENCE = re.compile(r"[\s>]*(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}|~{3,})(.*)$")


def settled(text: str, start: int) -> int:
    """The end of the last closed block in `text`, counted from `start`, which is such an end itself (or 0)."""
    end = start
    fence = ""
    position = start
    while (newline := text.find("\n", position)) >= 0:
        line = text[position:newline].rstrip("\r")
        position = newline + 1
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
        elif not line.strip():
            end = position
    return end
