"""`AskScreen`: one line of text is asked for; what is typed is checked while it is typed."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from ollama_tui import actions
from ollama_tui.text import visible
from ollama_tui.widgets.dialog import Dialog


class AskScreen(Dialog[str | None]):
    """Gives what was typed, without spaces around it, or None where the user changed their mind.

    Args:
        check: what is wrong with a text, in words; "" where nothing is.
        note: stands under the line while nothing is wrong.
    """

    DEFAULT_CSS = """
    AskScreen {
        align: center middle;
        background: $background 60%;
        #ask-box {
            width: 72; max-width: 100%; height: auto;
            border: round $border; padding: 0 1; background: $surface;
        }
        Input { background: $surface; }
        #ask-note { color: $muted; height: auto; }
        #ask-note.wrong { color: $error; }
    }
    """
    AUTO_FOCUS = "Input"
    groups = ("ask",)
    topic = "Question"

    def __init__(
        self, title: str, value: str = "", *, note: str = "", check: Callable[[str], str] = lambda _text: ""
    ) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._note = note
        self._check = check

    def compose(self) -> ComposeResult:
        with Vertical(id="ask-box") as box:
            box.border_title = visible(self._title)
            box.border_subtitle = actions.in_force(self).hints(("ask.take", "takes"), ("ask.leave", "leaves"))
            yield Input(self._value, id="ask-input", compact=True, select_on_focus=True)
            yield Static(visible(self._note), id="ask-note", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False

    @on(Input.Changed)
    def _judge(self, event: Input.Changed) -> None:
        text = event.value.strip()
        wrong = self._check(text) if text else ""
        note = self.query_one("#ask-note", Static)
        note.update(visible(wrong or self._note))
        note.set_class(bool(wrong), "wrong")

    @on(Input.Submitted)
    def action_take(self) -> None:
        text = self.query_one(Input).value.strip()
        if text and not self._check(text):
            self.dismiss(text)

    def action_cancel(self) -> None:
        self.dismiss(None)
