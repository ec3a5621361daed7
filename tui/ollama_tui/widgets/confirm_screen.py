"""`ConfirmScreen`: what cannot be undone is asked about first, saying what it does."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from ollama_tui import actions
from ollama_tui.text import visible
from ollama_tui.widgets.dialog import Dialog


class ConfirmScreen(Dialog[bool]):
    """`verb` is what "yes" does ("delete")."""

    DEFAULT_CSS = """
    ConfirmScreen {
        align: center middle;
        background: $background 60%;
        #confirm-box {
            width: 72; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; padding: 0 1; background: $surface;
        }
        Static { height: auto; }
    }
    """
    groups = ("confirm",)
    topic = "Question"

    def __init__(self, title: str, text: str, *, verb: str) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(id="confirm-box") as box:
            box.border_title = visible(self._title)
            box.border_subtitle = actions.in_force(self).hints(("confirm.yes", self._verb), ("confirm.no", "leaves"))
            yield Static(visible(self._text), markup=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
