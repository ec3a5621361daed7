"""`LineView`: a tall text of which one widget paints the lines on the screen, with as few bytes as it takes.

A line that has changed is sent alone; where all have moved, the terminal is asked to move them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, cast

from textual.content import Content
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Offset, Region, Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from ollama_tui.panes.chat.viewport import Row, Viewport
from ollama_tui.widgets.terminal_scroll import scroll_terminal

GUTTER = 2
"""Columns on the left: the mark of a selected line."""
MARGIN = 2
"""Columns on the right: the bar that says where one reads, where that is not the end."""
WHEEL_LINES = 3


class LineView(ScrollView, inherit_bindings=False):
    """`viewport` says which lines are on the screen; `paint` brings the screen there."""

    DEFAULT_CSS = """
    LineView { overflow: hidden hidden; height: 1fr; }
    """
    ALLOW_MAXIMIZE: ClassVar[bool] = False

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.viewport = Viewport()
        self.rows: list[Row] = []
        """What the screen shows."""
        self._strips: dict[int, Strip] = {}
        self._above = 0
        self._painted_size = Size(0, 0)
        self._bar: tuple[int, int] | None = None

    def is_marked(self, row: Row) -> bool:
        """Whether a line stands out: it gets a mark in the gutter."""
        return False

    @property
    def text_width(self) -> int:
        return max(20, self.size.width - GUTTER - MARGIN)

    # Painting

    def paint(self) -> None:
        """Show what the viewport shows now."""
        if not self.is_mounted:
            return
        if not self.size:  # hidden: what the screen shows when it comes back is not what was painted last
            self.rows = []
            return
        before, rows = self.rows, self.viewport.rows(self.text_width, self.size.height)
        self.rows = rows
        above, total = self.viewport.extent(self.text_width)
        self._tell_extent(above, total)
        bar = self._place_bar(above, total)
        if self._painted_size != self.size or bar != self._bar or (rows and not before):
            self._painted_size, self._bar = self.size, bar
            self.paint_all()
        else:
            self._send(before, rows)

    def paint_all(self) -> None:
        self._strips.clear()
        self.refresh()

    def paint_lines(self, wanted: Callable[[Row], bool]) -> None:
        """Paint again those lines of the screen."""
        self._repaint([Region(0, y, self.size.width, 1) for y, row in enumerate(self.rows) if wanted(row)])

    def _send(self, before: list[Row], rows: list[Row]) -> None:
        width, shift = self.size.width, _shift(before, rows)
        if not shift or not len(before) == len(rows) == self.size.height:
            regions = [self._changed(y, old, new) for y, (old, new) in enumerate(zip(before, rows, strict=False))]
            fewer, more = sorted((len(before), len(rows)))
            self._repaint([*regions, *(Region(0, y, width, 1) for y in range(fewer, more))])
            return
        changed: list[Region] = []
        for y, row in enumerate(rows):
            is_kept = 0 <= y + shift < len(before)
            changed.append(self._changed(y, before[y + shift], row) if is_kept else Region(0, y, width, 1))
        changed = [region for region in changed if region]
        self._strips = {y - shift: strip for y, strip in self._strips.items()}
        for region in changed:
            self._strips.pop(region.y, None)
        if not scroll_terminal(self, shift, changed):
            self.refresh()

    def _repaint(self, regions: Sequence[Region]) -> None:
        regions = [region for region in regions if region]
        for region in regions:
            self._strips.pop(region.y, None)
        if regions:
            self.refresh(*regions)

    def _changed(self, y: int, old: Row, new: Row) -> Region:
        """What must be sent where the screen has `old` at `y` and shall have `new`; empty for nothing."""
        if self.is_marked(old) != self.is_marked(new):
            return Region(0, y, self.size.width, 1)
        if old.looks_like(new):
            return Region()
        return Region(0, y, GUTTER + max(old.content.cell_length, new.content.cell_length), 1)

    def render_line(self, y: int) -> Strip:
        if y not in self._strips:
            self._strips[y] = self._strip(y)
        return self._strips[y].apply_offsets(0, self._above + y)

    def _strip(self, y: int) -> Strip:
        width = self.size.width
        row = self.rows[y] if y < len(self.rows) else None
        line = Content("  ")
        if row is not None:
            line = (Content.styled("▌ ", "$accent") if self.is_marked(row) else line) + row.content
            selection = self.text_selection
            if selection is not None and (span := selection.get_span(self._above + y)) is not None:
                style = self.screen.get_visual_style("screen--selection")
                line = line.stylize(style, span[0], None if span[1] < 0 else span[1])
        if self._bar is not None:
            top, length = self._bar
            line = line.pad_right(max(0, width - 1 - line.cell_length))
            line += Content.styled("▐" if top <= y < top + length else " ", "$scrollbar")
        return Visual.to_strips(self, line.truncate(width), width, 1, self.visual_style, pad=True)[0].simplify()

    def _place_bar(self, above: int, total: int) -> tuple[int, int] | None:
        """First line and length of the bar; None at the end, so that following words does not repaint it."""
        height = self.size.height
        if self.viewport.following or total <= height:
            return None
        length = max(1, height * height // total)
        return min(height - length, above * height // total), length

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self, event: Resize) -> None:
        self.paint()

    # Text selection by mouse

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        first = selection.start.y if selection.start else self._above
        last = selection.end.y if selection.end else self._above + len(self.rows) - 1
        lines = self.viewport.lines(first, last + 1, self.text_width)
        text = "\n".join(" " * GUTTER + line.plain.rstrip() for line in lines)
        start, end = selection.start, selection.end
        here = Selection(start and Offset(start.x, start.y - first), end and Offset(end.x, end.y - first))
        return "\n".join(line.removeprefix(" " * GUTTER) for line in here.extract(text).split("\n")), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.paint_all()

    # Going up and down

    def _tell_extent(self, above: int, total: int) -> None:
        """Textual's own idea of where this is, without its watchers: they would paint it all."""
        self._above = above
        quiet = cast("Callable[[object, object], None]", self.set_reactive)
        quiet(Widget.virtual_size, Size(self.size.width, total))
        quiet(Widget.scroll_y, float(above))
        quiet(Widget.scroll_target_y, float(above))

    def _scroll_update(self, virtual_size: Size) -> None:
        """Textual would move the top where the size changed; `paint` does it."""

    @property
    def allow_vertical_scroll(self) -> bool:
        return self.max_scroll_y > 0

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Somebody wants another line at the top."""
        if not self.is_mounted:
            return
        moved = round(new_value) - round(old_value)
        if abs(moved) <= 2 * self.size.height:
            self.move(moved)
        else:
            self.viewport.go_to_offset(round(new_value), self.text_width)
            self.paint()

    def move(self, lines: int) -> None:
        """Go down by so many lines, up where negative."""
        self.viewport.move(lines, self.text_width, self.size.height)
        self.paint()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self.move(-WHEEL_LINES)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self.move(WHEEL_LINES)

    def scroll_home(self, **_: object) -> None:
        self.viewport.go_to(0)
        self.paint()

    def scroll_end(self, **_: object) -> None:
        self.follow_end()

    def follow_end(self) -> None:
        """Go to the newest words and stay with them."""
        self.viewport.following = True
        self.paint()


def _shift(before: Sequence[Row], rows: Sequence[Row]) -> int:
    """How far what was shown `before` has gone up (down where negative); 0 where it has not, or is not there."""
    places = {(row.item, row.line): y for y, row in enumerate(before)}
    for y, row in enumerate(rows):
        at = places.get((row.item, row.line))
        if at is not None:
            return at - y if abs(at - y) <= len(rows) * 3 // 4 else 0
    return 0
