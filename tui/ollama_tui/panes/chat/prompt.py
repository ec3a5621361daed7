"""The prompt editor: enter sends, several keys begin a new line, page keys scroll the conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

from ollama_tui import actions


class PromptEditor(TextArea):
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("chat", editor=True)]

    @dataclass
    class Sent(Message):
        """The user sends what stands in the editor."""

        text: str

    @dataclass
    class Paged(Message):
        """The user wants to read on: -1 is up, 1 down."""

        direction: int

    def __init__(self) -> None:
        super().__init__(
            id="prompt",
            placeholder="Ask something…",
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            compact=True,
        )
        self.cursor_blink = False

    async def _on_key(self, event: Key) -> None:
        keymap = actions.in_force(self)
        if any(event.key in keymap.of(action) for action in actions.of("chat") if action.editor):
            event.prevent_default()  # the binding of this key answers, not TextArea

    def action_send(self) -> None:
        self.post_message(self.Sent(self.text))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_cursor_page_up(self) -> None:
        self.post_message(self.Paged(-1))

    def action_cursor_page_down(self) -> None:
        self.post_message(self.Paged(1))
