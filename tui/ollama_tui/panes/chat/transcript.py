"""The conversation to read: its last messages, following the newest words until the reader scrolls away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from ollama_tui.chats import StoredMessage
from ollama_tui.panes.chat.messages import Answer, Question
from ollama_tui.services.chat_session import ChatView, Reply

WINDOW = 20
"""Messages mounted at first, and how many more at a time: each answer is about twenty widgets."""


class Transcript(VerticalScroll):
    """`show` draws a snapshot; what is there already stays as it is."""

    BLANK = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "read_up", show=False),
        Binding("pagedown", "read_down", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self._widgets: dict[int, Question | Answer] = {}
        self._window = WINDOW
        self._messages: tuple[StoredMessage, ...] = ()

    def compose(self) -> ComposeResult:
        earlier = Static("", id="transcript-earlier", markup=False)
        earlier.display = False
        yield earlier

    def on_mount(self) -> None:
        self.anchor()

    async def clear(self) -> None:
        """Forget all messages: another conversation comes."""
        await self.remove_children("Question, Answer")
        self._widgets.clear()
        self._window = WINDOW
        self._messages = ()
        self.anchor()

    async def show(self, view: ChatView, waiting: str) -> None:
        self._messages = view.messages
        await self._show_window(view.reply.id if view.reply else None)
        for message in view.messages[-2:]:
            widget = self._widgets.get(message.id)
            if isinstance(widget, Answer) and widget.growing:
                await widget.finish(message)
        if view.reply is not None:
            await self._grow(view.reply, waiting)

    async def _show_window(self, growing: int | None) -> None:
        """Mount what belongs into the window, remove what does not; `growing` is the id of the answer under way."""
        shown = self._messages[-self._window :]
        wanted = {message.id for message in shown} | {growing}
        for message_id in [one for one in self._widgets if one not in wanted]:
            await self._widgets.pop(message_id).remove()
        there = [index for index, message in enumerate(shown) if message.id in self._widgets]
        first = there[0] if there else len(shown)
        await self._mount(shown[:first], before=self._widgets[shown[first].id] if there else None)
        await self._mount([message for message in shown[first:] if message.id not in self._widgets])
        hidden = len(self._messages) - len(shown)
        earlier = self.query_one("#transcript-earlier", Static)
        earlier.display = hidden > 0
        earlier.update(f"{hidden} earlier message{'s' if hidden > 1 else ''} · page up shows them")

    async def _mount(self, messages: Sequence[StoredMessage], before: Widget | None = None) -> None:
        made = {message.id: _widget(message) for message in messages}
        if made:
            await self.mount_all(made.values(), before=before)
            self._widgets.update(made)

    async def _grow(self, reply: Reply, waiting: str) -> None:
        widget = self._widgets.get(reply.id)
        if widget is None:
            widget = self._widgets[reply.id] = Answer(reply.model)
            await self.mount(widget)
        if isinstance(widget, Answer):
            await widget.grow(reply, waiting)

    async def action_read_up(self) -> None:
        """A page up; from the top of what is mounted, a window more of older messages."""
        if self.scroll_y > 0 or self._window >= len(self._messages):
            self.scroll_page_up(animate=False)
            return
        height = self.max_scroll_y
        self._window += WINDOW
        growing = next((one for one, widget in self._widgets.items() if _is_growing(widget)), None)
        await self._show_window(growing)
        # What was read stays where it was: the older messages came in above it.
        self.call_after_refresh(
            lambda: self.scroll_to(y=self.max_scroll_y - height - self.size.height // 2, animate=False)
        )

    def action_read_down(self) -> None:
        self.scroll_page_down(animate=False)

    def follow_end(self) -> None:
        """Go to the newest words and stay with them."""
        self.anchor()
        self.scroll_end(animate=False)


def _is_growing(widget: Question | Answer) -> bool:
    return isinstance(widget, Answer) and widget.growing


def _widget(message: StoredMessage) -> Question | Answer:
    return Answer(message.model, message) if message.role == "assistant" else Question(message)
