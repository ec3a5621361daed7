"""Which lines of a long conversation are on the screen: only messages near them are drawn, the others are guessed.

A place is a line of a message, not a line of the whole, so that nothing moves when a guess further up proves wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from ollama_tui.panes.chat.messages import MessageLines


@dataclass(frozen=True)
class Row:
    """A line on the screen: `item` is the number of its message, `id` its id."""

    id: int
    item: int
    line: int
    content: Content

    def looks_like(self, other: Row) -> bool:
        return self.content is other.content or (
            self.content.plain == other.content.plain and self.content.spans == other.content.spans
        )


class Viewport:
    """`items` from the oldest on; `following` keeps the last line at the bottom."""

    def __init__(self) -> None:
        self.items: list[MessageLines] = []
        self.following = True
        self.room = 0
        """Lines left free below when following has to move what is shown: then it need not for a while."""
        self._item = 0
        self._line = 0
        """The place at the top of the screen, while not following."""

    def replace(self, items: list[MessageLines]) -> None:
        """The conversation has these messages now; the reader stays with the message at the top, where it is there."""
        top = self.items[self._item].id if self._item < len(self.items) else None
        self.items = items
        if not self.following:
            found = next((index for index, item in enumerate(items) if item.id == top), None)
            if found is None:
                self.following = True
            else:
                self._item = found

    def rows(self, width: int, height: int) -> list[Row]:
        """What the screen shows now, from its top: at most `height` lines."""
        if not self.following:
            rows = self._down(self._item, self._line, width, height)
            if len(rows) == height:
                return rows
        elif self.room and self._item < len(self.items):
            rows = self._down(self._item, self._line, width, height)
            if rows and self._is_end(rows[-1], width):
                return rows
        rows = self._up(len(self.items), 0, width, height)
        if self.following and len(rows) == height:
            rows = rows[self.room :]
        if rows:
            self._item, self._line = rows[0].item, rows[0].line
        return rows

    def move(self, lines: int, width: int, height: int) -> None:
        """Go down by so many lines, or up where negative; at the end, follow it."""
        rows = self.rows(width, height)
        if not rows or not lines:
            return
        top = rows[0]
        if lines < 0:
            above = self._up(top.item, top.line, width, -lines)
            if above:
                self._item, self._line = above[0].item, above[0].line
                self.following = False
            return
        below = self._down(top.item, top.line, width, height + lines)
        top = below[max(0, len(below) - height)]
        self._item, self._line = top.item, top.line
        self.following = len(below) < height + lines or self._is_end(below[-1], width)

    def go_to(self, item: int, line: int = 0) -> None:
        """Put a line of a message at the top, as far as what follows fills the screen."""
        self._item, self._line, self.following = item, line, False

    def go_to_offset(self, offset: int, width: int) -> None:
        """Put the line at the top that is about so far down."""
        for index, item in enumerate(self.items):
            height = item.guess(width)
            if offset < height:
                self.go_to(index, max(0, min(offset, len(item.lines(width)) - 1)))
                return
            offset -= height
        self.following = True

    def extent(self, width: int) -> tuple[int, int]:
        """How many lines lie above the top, and how many there are in all, about."""
        heights = [item.guess(width) for item in self.items]
        return sum(heights[: self._item]) + self._line, sum(heights)

    def lines(self, first: int, end: int, width: int) -> list[Content]:
        """The lines from `first` to before `end`, counted as `extent` counts."""
        found: list[Content] = []
        for item in self.items:
            height = item.guess(width)
            if first < height and end > 0:
                found += item.lines(width)[max(0, first) : end]
            first, end = first - height, end - height
            if end <= 0:
                break
        return found

    def _is_end(self, row: Row, width: int) -> bool:
        return row.item == len(self.items) - 1 and row.line == len(self.items[row.item].lines(width)) - 1

    def _down(self, item: int, line: int, width: int, count: int) -> list[Row]:
        rows: list[Row] = []
        while item < len(self.items) and len(rows) < count:
            lines = self.items[item].lines(width)
            rows += [
                Row(self.items[item].id, item, y, lines[y])
                for y in range(line, min(len(lines), line + count - len(rows)))
            ]
            item, line = item + 1, 0
        return rows

    def _up(self, item: int, line: int, width: int, count: int) -> list[Row]:
        """The rows above a place, from the top."""
        rows: list[Row] = []
        while count > len(rows) and (line > 0 or item > 0):
            if line == 0:
                item -= 1
                line = len(self.items[item].lines(width))
            first = max(0, line - (count - len(rows)))
            rows[:0] = self._rows(item, width, first, line)
            line = first
        return rows

    def _rows(self, item: int, width: int, first: int, end: int) -> list[Row]:
        message = self.items[item]
        lines = message.lines(width)
        return [Row(message.id, item, y, lines[y]) for y in range(first, end)]
