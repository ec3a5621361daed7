"""`LiveLines`: lines of figures that change again and again; only what has changed is sent to the terminal.

A line that has changed is sent from its beginning to the last cell that differs, and the others not at all: put what
changes often to the left.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

Cell = tuple[str, Style | None]


class LiveLines(Widget):
    """As tall as it has lines; one that is too long is cut."""

    DEFAULT_CSS = """
    LiveLines { height: auto; }
    """
    ALLOW_SELECT = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._lines: tuple[Content, ...] = ()
        self._strips: list[Strip] | None = None
        """`_lines` at `_width` and in the colours of now; None where they are still to be drawn."""
        self._width = 0

    def show(self, lines: Sequence[Content]) -> None:
        """Show these lines in place of those before."""
        before = self._strips if self._width == self.content_size.width else None
        count = len(self._lines)
        self._lines = tuple(lines)
        if before is None or len(self._lines) != count:
            self._strips = None
            self.refresh(layout=len(self._lines) != count)
            return
        self._strips = self._draw()
        changed = [
            Region(0, y, end, 1)
            for y, (old, new) in enumerate(zip(before, self._strips, strict=True))
            if (end := _last_difference(old, new))
        ]
        if changed:
            self.refresh(*changed)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def render(self) -> Content:
        return Content("\n").join(self._lines)

    def render_line(self, y: int) -> Strip:
        if self._strips is None or self._width != self.content_size.width:
            self._strips = self._draw()
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.content_size.width)

    def notify_style_update(self) -> None:
        self._strips = None
        super().notify_style_update()

    def _draw(self) -> list[Strip]:
        width = self._width = self.content_size.width
        cut = (line.truncate(width, ellipsis=True) for line in self._lines)
        return [Visual.to_strips(self, line, width, 1, self.visual_style, pad=True)[0] for line in cut]


def _last_difference(old: Strip, new: Strip) -> int:
    """One beyond the last cell that differs; 0 where none does."""
    one, other = _cells(old), _cells(new)
    if len(one) != len(other):
        return max(len(one), len(other))
    return next((x + 1 for x in reversed(range(len(one))) if one[x] != other[x]), 0)


def _cells(strip: Strip) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, _ in strip:
        for character in text:
            width = cell_len(character)
            if width == 0 and cells:  # a combining mark belongs to the cell before it
                cells[-1] = (cells[-1][0] + character, style)
            cells += [(character, style)] + [("", style)] * (width - 1) if width else []
    return cells
