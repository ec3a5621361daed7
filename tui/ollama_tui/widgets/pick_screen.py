"""`PickScreen`: one of many is chosen; what is typed narrows the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from ollama_tui import actions
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.dialog import Dialog


@dataclass(frozen=True)
class Choice:
    """`text` is searched and shown; `note` only shown."""

    key: str
    text: str
    note: str = ""


class PickScreen(Dialog[str | None]):
    """Gives the key of the choice, or None where the user changed their mind."""

    DEFAULT_CSS = """
    PickScreen {
        align: center middle;
        background: $background 60%;
        #pick-box {
            width: 72; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; padding: 0 1; background: $surface;
        }
        Input { background: $surface; }
        OptionList { height: auto; max-height: 16; background: $surface; border: none; padding: 0; }
    }
    """
    AUTO_FOCUS = "Input"
    groups = ("picker",)
    topic = "Choice"

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._found: list[Choice] = list(choices)

    def compose(self) -> ComposeResult:
        with Vertical(id="pick-box") as box:
            box.border_title = visible(self._title)
            keys = actions.in_force(self).hints(("picker.take", "takes"), ("picker.leave", "leaves"))
            box.border_subtitle = Content("type to narrow · ") + keys
            yield Input(id="pick-input", compact=True)
            options = OptionList(id="pick-list", markup=False, compact=True)
            options.can_focus = False
            yield options

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self._fill()

    @on(Input.Changed)
    def _fill(self) -> None:
        words = self.query_one(Input).value.lower().split()
        self._found = [one for one in self._choices if all(word in one.text.lower() for word in words)]
        options = self.query_one(OptionList)
        options.set_options([Option(_line(choice)) for choice in self._found])
        options.highlighted = 0 if self._found else None

    @on(Input.Submitted)
    def action_take(self) -> None:
        self._pick(self.query_one(OptionList).highlighted)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._pick(event.option_index)

    def _pick(self, index: int | None) -> None:
        if index is not None and index < len(self._found):
            self.dismiss(self._found[index].key)

    def action_move(self, step: int) -> None:
        options = self.query_one(OptionList)
        if step < 0:
            options.action_cursor_up()
        else:
            options.action_cursor_down()

    def action_close(self) -> None:
        self.dismiss(None)


def _line(choice: Choice) -> Content:
    return Content(one_line(choice.text)) + Content.styled(
        f"  {one_line(choice.note)}" if choice.note else "", "$muted"
    )
