"""The conversation to read: it follows the newest words until the reader goes further up.

One widget draws all lines. A new word sends the line that it stands in; a new line has the terminal move the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from textual.content import Content
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer
from textual.visual import Visual
from textual.widget import Widget

from ollama_tui.panes.chat.messages import MessageLines
from ollama_tui.panes.chat.viewport import Row, Viewport
from ollama_tui.services.chat_session import ChatView, Reply
from ollama_tui.widgets.terminal_scroll import pending_writes, scroll_terminal

GUTTER = 2
"""Columns on the left: the mark of the selected message."""
MARGIN = 2
"""Columns on the right: the bar that says where one reads, where that is not the end."""
BACKLOG = 3
"""Writes that may wait for a slow line before frames are left out."""
WHEEL_LINES = 3


class Transcript(ScrollView, can_focus=True, inherit_bindings=False):
    """`show` draws a snapshot; `selected` is the id of the message that the actions mean."""

    DEFAULT_CSS = """
    Transcript { overflow: hidden hidden; height: 1fr; }
    """
    ALLOW_MAXIMIZE: ClassVar[bool] = False

    selected: reactive[int | None] = reactive(None, repaint=False)

    @dataclass
    class LinkClicked(Message):
        """A link in an answer was clicked."""

        href: str

    def __init__(self, *, frames_per_second: float = 8.0) -> None:
        super().__init__(id="transcript")
        self.frames_per_second = frames_per_second
        """How often words of an answer are drawn at most; none is lost between."""
        self._view = Viewport()
        self._rows: list[Row] = []
        self._strips: dict[int, Strip] = {}
        self._drawn_size = Size(0, 0)
        self._drawn_bar: tuple[int, int] | None = None
        self._reply: tuple[Reply, str] | None = None
        self._frame_at = 0.0
        self._frame_cost = 0.0
        self._next_frame: Timer | None = None

    # What is shown

    async def clear(self) -> None:
        """Forget all messages: another conversation comes."""
        self._view = Viewport()
        self._reply = None
        self.selected = None
        self._draw()

    async def show(self, view: ChatView, waiting: str) -> None:
        """Draw the conversation as it is; `waiting` where its answer has no word yet."""
        reply = view.reply
        growing = reply.id if reply is not None else None
        if self._is_frame_of_the_same(view, growing):
            self._reply = (reply, waiting) if reply is not None else None
            self._draw_soon()
            return
        known = {item.id: item for item in self._view.items}
        items: list[MessageLines] = []
        for message in view.messages:
            if message.id == growing:
                continue
            item = known.get(message.id) or MessageLines(message.id, message.role)
            item.show(message)
            items.append(item)
        if reply is not None:
            items.append(known.get(reply.id) or MessageLines(reply.id, "assistant"))
        self._messages = view.messages
        self._view.replace(items)
        self._reply = (reply, waiting) if reply is not None else None
        if self.selected is not None and all(item.id != self.selected for item in items):
            self.selected = None
        self._draw()

    def _is_frame_of_the_same(self, view: ChatView, growing: int | None) -> bool:
        before = self._reply
        return (
            before is not None
            and before[0].id == growing
            and view.messages is self._messages
            and view.reply is not None
            and view.reply.phase == before[0].phase
        )

    _messages: Sequence[object] = ()

    # Frames

    def _draw_soon(self) -> None:
        """Draw now, or when the next frame is due."""
        if self._next_frame is not None:
            return
        # A frame that takes long is drawn less often: what is typed meanwhile comes first.
        pause = max(1 / self.frames_per_second, 4 * self._frame_cost)
        due = self._frame_at + pause - time.monotonic()
        if due <= 0.005 and pending_writes(self) <= BACKLOG:
            self._draw()
        else:
            self._next_frame = self.set_timer(max(due, 0.02), self._frame_is_due)

    def _frame_is_due(self) -> None:
        self._next_frame = None
        self._draw_soon()

    def _draw(self) -> None:
        """Bring the screen to what is shown now, with as few bytes as it takes."""
        if not self.is_mounted or not self.size:
            return
        began = time.monotonic()
        if self._reply is not None:
            self._view.items[-1].grow(*self._reply)
        before, rows = self._rows, self._view.rows(self._text_width, self.size.height)
        self._rows = rows
        above, total = self._view.extent(self._text_width)
        self._tell_extent(above, total)
        bar = self._bar(above, total)
        if self._drawn_size != self.size or bar != self._drawn_bar or len(before) < min(len(rows), 1):
            self._drawn_size, self._drawn_bar = self.size, bar
            self._strips.clear()
            self.refresh()
        else:
            self._send(before, rows)
        self._frame_at = time.monotonic()
        self._frame_cost = self._frame_at - began

    def _send(self, before: list[Row], rows: list[Row]) -> None:
        shift = _shift(before, rows)
        if shift and len(before) == len(rows) == self.size.height:
            moved = before[shift:] if shift > 0 else before[:shift]
            kept = range(len(moved)) if shift > 0 else range(-shift, len(rows))
            dirty = [self._changed(y, old, rows[y]) for y, old in zip(kept, moved, strict=True)]
            new = range(len(moved), len(rows)) if shift > 0 else range(-shift)
            regions = [one for one in dirty if one] + [Region(0, y, self.size.width, 1) for y in new]
            self._strips = {
                y - shift: strip for y, strip in self._strips.items() if 0 <= y - shift < len(rows)
            }  # fmt: skip
            self._forget(regions)
            if not scroll_terminal(self, shift, regions):
                self.refresh()
            return
        regions = [self._changed(y, old, new) for y, (old, new) in enumerate(zip(before, rows, strict=False))]
        fewer, more = sorted((len(before), len(rows)))
        regions += [Region(0, y, self.size.width, 1) for y in range(fewer, more)]
        regions = [region for region in regions if region]
        self._forget(regions)
        if regions:
            self.refresh(*regions)

    def _changed(self, y: int, old: Row, new: Row) -> Region:
        """What must be sent where the screen has `old` at `y` and shall have `new`; empty for nothing."""
        if old.item == new.item and old.looks_like(new):
            return Region()
        if self._is_selected(old) != self._is_selected(new):
            return Region(0, y, self.size.width, 1)
        return Region(0, y, GUTTER + max(old.content.cell_length, new.content.cell_length), 1)

    def _forget(self, regions: Sequence[Region]) -> None:
        for region in regions:
            self._strips.pop(region.y, None)

    # Drawing lines

    @property
    def _text_width(self) -> int:
        return max(20, self.size.width - GUTTER - MARGIN)

    def render_line(self, y: int) -> Strip:
        if y not in self._strips:
            self._strips[y] = self._strip(y)
        return self._strips[y]

    def _strip(self, y: int) -> Strip:
        width = self.size.width
        if y >= len(self._rows):
            return Visual.to_strips(self, Content(""), width, 1, self.visual_style, pad=True)[0]
        row = self._rows[y]
        mark = Content.styled("▌ ", "$accent") if self._is_selected(row) else Content("  ")
        line = mark + row.content
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(y)) is not None:
            start, end = span
            line = line.stylize(self.screen.get_visual_style("screen--selection"), start, None if end < 0 else end)
        if self._drawn_bar is not None:
            top, length = self._drawn_bar
            here = top <= y < top + length
            line = line.pad_right(max(0, width - 1 - line.cell_length))
            line += Content.styled("▐" if here else " ", "$scrollbar")
        strips = Visual.to_strips(self, line.truncate(width), width, 1, self.visual_style, pad=True)
        return strips[0].simplify().apply_offsets(0, y)

    def _is_selected(self, row: Row) -> bool:
        return self._view.items[row.item].id == self.selected if row.item < len(self._view.items) else False

    def _bar(self, above: int, total: int) -> tuple[int, int] | None:
        """First line and length of the bar; None at the end, so that following words does not redraw it."""
        height = self.size.height
        if self._view.following or total <= height:
            return None
        length = max(1, height * height // total)
        return min(height - length, above * height // total), length

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self, event: Resize) -> None:
        self._draw()

    # Text selection by mouse

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        text = "\n".join(f"  {row.content.plain}".rstrip() for row in self._rows)
        return selection.extract(text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self._strips.clear()
        self.refresh()

    def action_open_link(self, href: str) -> None:
        self.post_message(self.LinkClicked(href))

    # Going up and down

    def _tell_extent(self, above: int, total: int) -> None:
        """Textual's own idea of where this is, without its watchers: they would draw it all."""
        quiet = cast("Callable[[object, object], None]", self.set_reactive)
        quiet(Widget.virtual_size, Size(self.size.width, total))
        quiet(Widget.scroll_y, float(above))
        quiet(Widget.scroll_target_y, float(above))

    @property
    def allow_vertical_scroll(self) -> bool:
        return self.max_scroll_y > 0

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Somebody wants another line at the top."""
        if not self.is_mounted:
            return
        moved = round(new_value) - round(old_value)
        if abs(moved) <= 2 * self.size.height:
            self._move(moved)
        else:
            self._view.go_to_offset(round(new_value), self._text_width)
            self._draw()

    def _move(self, lines: int) -> None:
        self._view.move(lines, self._text_width, self.size.height)
        self._draw()

    async def action_read_up(self) -> None:
        """A page up, two lines of the one before it staying."""
        self._move(-max(1, self.size.height - 2))

    def action_read_down(self) -> None:
        """A page down."""
        self._move(max(1, self.size.height - 2))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self._move(-WHEEL_LINES)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self._move(WHEEL_LINES)

    def scroll_home(self, **_: object) -> None:
        self._view.go_to(0)
        self._draw()

    def scroll_end(self, **_: object) -> None:
        self.follow_end()

    def follow_end(self) -> None:
        """Go to the newest words and stay with them."""
        self._view.following = True
        self._draw()

    # The selected message

    def select(self, step: int) -> None:
        """Select the next message, or the one before where `step` is negative; show where it begins."""
        items = self._view.items
        if not items:
            return
        at = next((index for index, item in enumerate(items) if item.id == self.selected), None)
        if at is None:
            at = self._rows[-1].item if self._rows else len(items) - 1
        else:
            at = max(0, min(len(items) - 1, at + step))
        self.selected = items[at].id
        shown = [row for row in self._rows if row.item == at]
        if not shown or shown[0].line > 1 or (step < 0 and shown[0].line > 0):
            self._view.go_to(at)
            self._view.move(0, self._text_width, self.size.height)
            self._draw()

    def watch_selected(self, before: int | None, selected: int | None) -> None:
        ids = {before, selected}
        regions = [
            Region(0, y, GUTTER + row.content.cell_length, 1)
            for y, row in enumerate(self._rows)
            if row.item < len(self._view.items) and self._view.items[row.item].id in ids
        ]
        self._forget(regions)
        if regions:
            self.refresh(*regions)

    def _selected_item(self) -> MessageLines | None:
        """The selected message, else the last one."""
        items = self._view.items
        return next((item for item in items if item.id == self.selected), items[-1] if items else None)

    def selected_text(self) -> str:
        """The words of the selected message, as they were written; of the last one where none is selected."""
        item = self._selected_item()
        return item.text if item else ""

    def toggle_fold(self) -> None:
        """Unfold the selected message's thinking and tool calls, or fold them."""
        item = self._selected_item()
        if item is not None:
            item.fold()
            self._draw()


def _shift(before: Sequence[Row], rows: Sequence[Row]) -> int:
    """How far what was shown `before` has gone up (down where negative); 0 where it has not, or is not there."""
    if not before or not rows:
        return 0
    places = {(row.item, row.line): y for y, row in enumerate(before)}
    for y, row in enumerate(rows):
        at = places.get((row.item, row.line))
        if at is not None:
            shift = at - y
            return shift if abs(shift) <= len(rows) // 2 else 0
    return 0
