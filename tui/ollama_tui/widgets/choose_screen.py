"""`ChooseScreen`: one of several things is chosen from a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ollama_tui.text import one_line, visible


class ChooseScreen(ModalScreen[str | None]):
    """Gives the key of what was chosen, or None. `choices` are keys, words and a note on each; `note` stands above."""

    DEFAULT_CSS = """
    ChooseScreen {
        align: center middle;
        background: $background 60%;
        #choose-box {
            width: 72; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; padding: 0 1; background: $surface;
        }
        #choose-note { height: auto; color: $warning; margin-bottom: 1; display: none; }
        OptionList { height: auto; max-height: 1fr; background: $surface; border: none; padding: 0; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "cancel", "cancel", id="choose.cancel"),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(
        self, title: str, choices: Sequence[tuple[str, str, str]], *, note: str = "", current: str = ""
    ) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._note = note
        self._current = current

    def compose(self) -> ComposeResult:
        with Vertical(id="choose-box") as box:
            box.border_title = visible(self._title)
            box.border_subtitle = "enter takes · esc leaves"
            yield Static(visible(self._note), id="choose-note", markup=False)
            width = max((len(text) for _, text, _ in self._choices), default=0) + 2
            yield OptionList(
                *(
                    Option(Content(f"{one_line(text):<{width}}") + Content.styled(one_line(note), "$muted"))
                    for _, text, note in self._choices
                ),
                id="choose-list",
                markup=False,
                compact=True,
            )

    def on_mount(self) -> None:
        self.query_one("#choose-note").display = bool(self._note)
        keys = [key for key, _, _ in self._choices]
        if self._current in keys:
            self.query_one(OptionList).highlighted = keys.index(self._current)

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index][0])

    def action_move(self, step: int) -> None:
        options = self.query_one(OptionList)
        (options.action_cursor_down if step > 0 else options.action_cursor_up)()

    def action_cancel(self) -> None:
        self.dismiss(None)
