"""The conversation to read: it follows the newest words until the reader goes further up."""

from __future__ import annotations

import time
from dataclasses import dataclass

from textual import constants
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer

from ollama_tui.chats import StoredMessage
from ollama_tui.panes.chat.line_view import LineView
from ollama_tui.panes.chat.messages import MessageLines
from ollama_tui.panes.chat.viewport import Row, Viewport
from ollama_tui.services.chat_session import ChatView
from ollama_tui.terminal.profile import FRAMES_OVER_SSH
from ollama_tui.widgets.terminal_scroll import can_scroll, pending_writes

FRAMES = 8.0
"""A second, of an answer that is being written; half as many over SSH (see `terminal.profile`)."""
BACKLOG = 3
"""Writes that may wait for a slow line before frames are left out."""
DRAWING_SHARE = 0.2
"""Of the time, at most, goes into frames: what is typed meanwhile comes first."""


class Transcript(LineView, can_focus=True):
    """`show` draws a snapshot; `selected` is the id of the message that the actions mean."""

    selected: reactive[int | None] = reactive(None, repaint=False)

    @dataclass
    class LinkClicked(Message):
        """A link in an answer was clicked."""

        href: str

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self.frames_per_second = FRAMES if constants.MAX_FPS > FRAMES_OVER_SSH else FRAMES / 2
        """How often words of an answer are drawn at most; none is lost between."""
        self._shown = ChatView()
        self._waiting = ""
        self._growing: MessageLines | None = None
        self._frame_at = 0.0
        self._frame_cost = 0.0
        self._next_frame: Timer | None = None

    # What is shown

    async def clear(self) -> None:
        """Forget all messages: another conversation comes."""
        self.viewport = Viewport()
        self._shown, self._growing = ChatView(), None
        self.selected = None
        self.paint()

    async def show(self, view: ChatView, waiting: str) -> None:
        """Draw the conversation as it is; `waiting` where its answer has no word yet."""
        more_words_only = self._has_only_grown(view)
        self._shown, self._waiting = view, waiting
        if more_words_only:
            self._draw_soon()
            return
        self.viewport.replace(self._items(view))
        if all(item.id != self.selected for item in self.viewport.items):
            self.selected = None
        self._draw()

    def _has_only_grown(self, view: ChatView) -> bool:
        before, reply = self._shown.reply, view.reply
        return (
            before is not None
            and reply is not None
            and (before.id, before.phase) == (reply.id, reply.phase)
            and view.messages is self._shown.messages
            and view.queued is self._shown.queued
        )

    def _items(self, view: ChatView) -> list[MessageLines]:
        """The messages in their order, the answer under way behind them, then what waits for it."""
        known = {item.id: item for item in self.viewport.items}
        growing = view.reply.id if view.reply is not None else None

        def kept(message: StoredMessage) -> MessageLines:
            item = known.get(message.id) or MessageLines(message.id, message.role)
            item.show(message)
            return item

        items = [kept(message) for message in view.messages if message.id != growing]
        if view.reply is not None:
            self._growing = known.get(view.reply.id) or MessageLines(view.reply.id, "assistant")
            items.append(self._growing)
        return items + [kept(message) for message in view.queued]

    # Frames

    def _draw_soon(self) -> None:
        """Draw now, or when the next frame is due."""
        if self._next_frame is not None:
            return
        pause = max(1 / self.frames_per_second, self._frame_cost / DRAWING_SHARE)
        due = self._frame_at + pause - time.monotonic()
        if due <= 0.005 and pending_writes(self) <= BACKLOG:
            self._draw()
        else:
            self._next_frame = self.set_timer(max(due, 0.02), self._frame_is_due)

    def _frame_is_due(self) -> None:
        self._next_frame = None
        self._draw_soon()

    def _draw(self) -> None:
        began = time.monotonic()
        self.viewport.room = 0
        if self._growing is not None and self._shown.reply is not None:
            self._growing.grow(self._shown.reply, self._waiting)
            # Where the terminal cannot move lines by itself, they are all sent, so let that be seldom.
            self.viewport.room = 0 if can_scroll(self) else self.size.height // 6
        self.paint()
        self._frame_at = time.monotonic()
        self._frame_cost = self._frame_at - began

    # Reading

    async def action_read_up(self) -> None:
        """A page up, two lines of the one before it staying."""
        self.move(-max(1, self.size.height - 2))

    def action_read_down(self) -> None:
        """A page down."""
        self.move(max(1, self.size.height - 2))

    def action_open_link(self, href: str) -> None:
        self.post_message(self.LinkClicked(href))

    # The selected message

    def is_marked(self, row: Row) -> bool:
        return row.id == self.selected

    def watch_selected(self, before: int | None, selected: int | None) -> None:
        self.paint_lines(lambda row: row.id in (before, selected))

    def select(self, step: int) -> None:
        """Select the next message, or the one before where `step` is negative; show where it begins."""
        items = self.viewport.items
        if not items:
            return
        at = next((index for index, item in enumerate(items) if item.id == self.selected), None)
        if at is None:
            at = self.rows[-1].item if self.rows else len(items) - 1
        else:
            at = max(0, min(len(items) - 1, at + step))
        self.selected = items[at].id
        shown = [row.line for row in self.rows if row.item == at]
        if not shown or (shown[0] > 1 and len(shown) < self.size.height) or (step < 0 and shown[0] > 0):
            self.viewport.go_to(at)
            self.paint()

    def toggle_fold(self) -> None:
        """Unfold the selected message's thinking and tool calls, or fold them again."""
        item = self._selected_item()
        if item is not None:
            item.fold()
            self.paint()

    @property
    def selected_role(self) -> str:
        """`user`, `assistant`, `tool` or `system`; empty where there is no message."""
        item = self._selected_item()
        return item.role if item else ""

    def selected_text(self) -> str:
        """The words of the selected message, as they were written; of the last one where none is selected."""
        item = self._selected_item()
        return item.text if item else ""

    def selected_code(self) -> str:
        """The last code in the selected message; empty where there is none."""
        item = self._selected_item()
        return item.last_code if item else ""

    def _selected_item(self) -> MessageLines | None:
        items = self.viewport.items
        return next((item for item in items if item.id == self.selected), items[-1] if items else None)
