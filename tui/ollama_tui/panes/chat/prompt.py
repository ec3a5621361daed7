"""The prompt editor: enter sends, several keys begin a new line, page keys scroll the conversation.

In its first line the key up brings back what was sent before, in its last the key down what came after that; while
prompts wait, up in an empty editor takes the last of them back. A pasted path becomes a file that is sent along. A
command that begins with a slash is completed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Key, Paste
from textual.message import Message
from textual.widgets import TextArea

from ollama_tui import actions
from ollama_tui.panes.chat.attaching import pasted_paths


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

    @dataclass
    class Pasted(Message):
        """The user pasted paths of files."""

        paths: list[Path]

    class EarlierWanted(Message):
        """The user looks for earlier prompts, and there are none yet: `remember` is to be called with them."""

    class TakeBackWanted(Message):
        """The user wants the prompt that waits last in the empty editor."""

    class CompletionWanted(Message):
        """The user wants a command completed."""

    class Emptied(Message):
        """Backspace in an empty prompt: what is attached goes next."""

    class OutsideWanted(Message):
        """The user wants to write in an editor of their own."""

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
        self.prompts_wait = False
        """Whether something is to be taken back where the editor is empty."""
        self._earlier: list[str] | None = None
        self._since: list[str] = []
        """What was sent before `remember`, commands too, which are not among the prompts that are kept."""
        self._at = 0
        self._own = ""

    async def _on_key(self, event: Key) -> None:
        keymap = actions.in_force(self)
        if any(event.key in keymap.of(action) for action in actions.of("chat") if action.editor):
            event.prevent_default()  # the binding of this key answers, not TextArea
        elif event.key == "backspace" and not self.text:
            self.post_message(self.Emptied())

    async def _on_paste(self, event: Paste) -> None:
        paths = pasted_paths(event.text)
        if paths:
            event.prevent_default()
            event.stop()
            self.post_message(self.Pasted(paths))

    def put(self, text: str) -> None:
        """Hold this text, the cursor behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    def action_send(self) -> None:
        self.post_message(self.Sent(self.text))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_edit_outside(self) -> None:
        self.post_message(self.OutsideWanted())

    def action_complete(self) -> None:
        if self.text.startswith("/"):
            self.post_message(self.CompletionWanted())
        else:
            self.screen.focus_next()

    # What was sent before

    def remember(self, prompts: Sequence[str]) -> None:
        """Earlier prompts, the oldest first; the last of them is shown."""
        self._earlier = [*_before(prompts, self._since), *self._since]
        self._at = len(self._earlier)
        self._recall(-1)

    def sent(self, text: str) -> None:
        """One more to remember."""
        if not text.strip():
            return
        if self._earlier is None:
            self._since.append(text)
        else:
            self._earlier.append(text)
            self._at = len(self._earlier)

    def unsent(self, text: str) -> None:
        """It is in the editor again, and was not sent after all."""
        sent = self._since if self._earlier is None else self._earlier
        if text in sent:
            del sent[len(sent) - 1 - sent[::-1].index(text)]
            self._at = len(sent)

    def action_cursor_up(self, select: bool = False) -> None:
        if select or not self.cursor_at_first_line or self.wrapped_document.location_to_offset(self.cursor_location).y:
            super().action_cursor_up(select)
        elif self.prompts_wait and not self.text:
            self.post_message(self.TakeBackWanted())
        elif self._earlier is None:
            self.post_message(self.EarlierWanted())
        else:
            self._recall(-1)

    def action_cursor_down(self, select: bool = False) -> None:
        last = self.wrapped_document.height - 1
        if select or self.wrapped_document.location_to_offset(self.cursor_location).y < last:
            super().action_cursor_down(select)
        elif self._earlier is not None:
            self._recall(1)

    def _recall(self, step: int) -> None:
        assert self._earlier is not None
        at = self._at + step
        if not 0 <= at <= len(self._earlier):
            return
        if self._at == len(self._earlier):
            self._own = self.text
        self._at = at
        self.put(self._own if at == len(self._earlier) else self._earlier[at])

    def action_cursor_page_up(self) -> None:
        self.post_message(self.Paged(-1))

    def action_cursor_page_down(self) -> None:
        self.post_message(self.Paged(1))


def _before(prompts: Sequence[str], since: Sequence[str]) -> list[str]:
    """Those of `prompts` that are not also the last ones, sent `since`."""
    earlier = list(prompts)
    for text in reversed(since):
        if earlier and earlier[-1] == text:
            earlier.pop()
    return earlier
