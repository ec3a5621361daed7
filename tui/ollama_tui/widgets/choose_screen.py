"""`ChooseScreen`: one of several things is chosen from a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ollama_tui import actions
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.dialog import Dialog


class Choices(OptionList, inherit_bindings=False):
    DEFAULT_CSS = """
    /* Light enough for the notes beside the choices. */
    Choices:focus > .option-list--option-highlighted {
        color: $block-cursor-blurred-foreground; background: $block-cursor-blurred-background; text-style: bold;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("list")]

    def action_half_page_up(self) -> None:
        self._move_by(-self._half_page)

    def action_half_page_down(self) -> None:
        self._move_by(self._half_page)

    @property
    def _half_page(self) -> int:
        return max(1, self.size.height // 2)

    def _move_by(self, lines: int) -> None:
        self.highlighted = min(max(0, (self.highlighted or 0) + lines), self.option_count - 1)


class ChooseScreen(Dialog[str | None]):
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
    groups = ("choose",)
    topic = "Choice"

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
            box.border_subtitle = actions.in_force(self).hints(("choose.take", "takes"), ("choose.leave", "leaves"))
            yield Static(visible(self._note), id="choose-note", markup=False)
            width = max((len(text) for _, text, _ in self._choices), default=0) + 2
            yield Choices(
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
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index][0])

    def action_take(self) -> None:
        self.query_one(OptionList).action_select()

    def action_cancel(self) -> None:
        self.dismiss(None)
