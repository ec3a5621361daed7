"""What the editor of Modelfiles asks: what becomes of changes, and one of several things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ollama_tui.text import one_line, visible

Leaving = Literal["keep", "drop", "stay"]


class LeaveScreen(ModalScreen[Leaving]):
    """Changes are kept, thrown away, or gone on with."""

    DEFAULT_CSS = """
    LeaveScreen {
        align: center middle; background: $background 60%;
        #leave-box {
            width: 72; max-width: 100%; height: auto;
            border: round $border; padding: 0 1; background: $surface;
        }
        Static { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "answer('keep')", "keep", id="leave.keep"),
        Binding("d", "answer('drop')", "throw away", id="leave.drop"),
        Binding("escape,n", "answer('stay')", "stay", id="leave.stay"),
    ]

    def __init__(self, again: str) -> None:
        """`again` is the key that opens the draft again."""
        super().__init__()
        self._again = again

    def compose(self) -> ComposeResult:
        with Vertical(id="leave-box") as box:
            box.border_title = "Leave the editor?"
            box.border_subtitle = "enter keeps the draft · d throws it away · esc goes on"
            yield Static(
                f"The changes are a draft, which {self._again} in the Library opens again. No model was made of them.",
                markup=False,
            )

    def action_answer(self, answer: Leaving) -> None:
        self.dismiss(answer)


class ChoiceScreen(ModalScreen[str | None]):
    """One of several: words typed narrow them down, enter takes the lit one. None where the user changed their mind."""

    DEFAULT_CSS = """
    ChoiceScreen {
        align: center middle; background: $background 60%;
        #choice-box {
            width: 76; max-width: 100%; height: auto; max-height: 90%;
            border: round $border; padding: 0 1; background: $surface;
        }
        Input { background: $surface; }
        OptionList { height: auto; max-height: 16; background: $surface; border: none; padding: 0; }
        #choice-note { color: $muted; height: auto; }
    }
    """
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", id="choice.leave"),
        Binding("up", "move(-1)", "up", id="choice.up"),
        Binding("down", "move(1)", "down", id="choice.down"),
    ]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], *, note: str = "", chosen: str = "") -> None:
        """`choices` are values and what is said of each."""
        super().__init__()
        self._title = title
        self._choices = tuple(choices)
        self._note = note
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        with Vertical(id="choice-box") as box:
            box.border_title = visible(self._title)
            box.border_subtitle = "enter takes · esc leaves"
            yield Input(placeholder="type to narrow down", id="choice-filter", compact=True)
            yield OptionList(id="choices", markup=False)
            yield Static(visible(self._note), id="choice-note", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self.query_one(OptionList).can_focus = False
        self._show("")

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._show(event.value)

    def _show(self, typed: str) -> None:
        words = typed.lower().split()
        shown = [
            (number, value, said)
            for number, (value, said) in enumerate(self._choices)
            if all(word in f"{value} {said}".lower() for word in words)
        ]
        choices = self.query_one(OptionList)
        choices.set_options(
            [
                Option(
                    Content(one_line(value) or "–") + Content.styled(f"  {one_line(said)}", "$muted"), id=str(number)
                )
                for number, value, said in shown
            ]
        )
        lit = next((place for place, (_, value, _) in enumerate(shown) if value == self._chosen), 0)
        choices.highlighted = lit if shown else None

    def action_move(self, step: int) -> None:
        choices = self.query_one(OptionList)
        if step < 0:
            choices.action_cursor_up()
        else:
            choices.action_cursor_down()

    @on(Input.Submitted)
    def _take(self) -> None:
        choices = self.query_one(OptionList)
        if choices.highlighted is not None:
            self._dismiss_with(choices.get_option_at_index(choices.highlighted))

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._dismiss_with(event.option)

    def _dismiss_with(self, option: Option) -> None:
        self.dismiss(self._choices[int(option.id or 0)][0])

    def action_leave(self) -> None:
        self.dismiss(None)
