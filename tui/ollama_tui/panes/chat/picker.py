"""A list to choose from, above the prompt: type to narrow it, enter takes, esc leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from ollama_tui import actions


@dataclass(frozen=True)
class Choice:
    """`text` is searched and shown; `note` only shown."""

    key: str
    text: str
    note: str = ""


class Picker(Vertical):
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("picker")]

    @dataclass
    class Picked(Message):
        """`topic` is what `ask` was called with."""

        topic: str
        key: str

    class Closed(Message):
        """The user chose nothing."""

    def __init__(self) -> None:
        super().__init__(id="picker")
        self._topic = ""
        self._current = ""
        self._choices: Sequence[Choice] = ()
        self._found: list[Choice] = []

    def compose(self) -> ComposeResult:
        yield Input(id="picker-filter", compact=True)
        choices = OptionList(id="picker-list", markup=False, compact=True)
        choices.can_focus = False
        yield choices

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False

    def ask(self, topic: str, title: str, choices: Sequence[Choice], *, current: str = "") -> None:
        """Open with these choices, `current` highlighted."""
        self._topic, self._choices, self._current = topic, choices, current
        self.border_title = title
        keys = actions.in_force(self).hints(("picker.take", "takes"), ("picker.leave", "leaves"))
        self.border_subtitle = Content("type to narrow · ") + keys
        self.query_one(Input).value = ""
        self.display = True
        self._fill(current)
        self.query_one(Input).focus()

    def _fill(self, current: str = "") -> None:
        words = self.query_one(Input).value.lower().split()
        self._found = [one for one in self._choices if all(word in one.text.lower() for word in words)]
        options = self.query_one(OptionList)
        options.set_options([Option(_line(choice)) for choice in self._found])
        at = next((index for index, choice in enumerate(self._found) if choice.key == current), 0)
        options.highlighted = at if self._found else None

    @on(Input.Changed, "#picker-filter")
    def _narrow(self, event: Input.Changed) -> None:
        event.stop()
        if self.display:
            self._fill("" if event.value else self._current)

    @on(Input.Submitted, "#picker-filter")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_take()

    def action_take(self) -> None:
        self._pick(self.query_one(OptionList).highlighted)

    @on(OptionList.OptionSelected, "#picker-list")
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._pick(event.option_index)

    def _pick(self, index: int | None) -> None:
        self.display = False
        if index is None or index >= len(self._found):
            self.post_message(self.Closed())
        else:
            self.post_message(self.Picked(self._topic, self._found[index].key))

    def action_move(self, step: int) -> None:
        options = self.query_one(OptionList)
        if step < 0:
            options.action_cursor_up()
        else:
            options.action_cursor_down()

    def action_close(self) -> None:
        self.display = False
        self.post_message(self.Closed())


def _line(choice: Choice) -> Content:
    return Content(choice.text) + Content.styled(f"  {choice.note}" if choice.note else "", "$muted")
