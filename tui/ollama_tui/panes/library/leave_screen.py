"""What the editor of Modelfiles asks when it is left: what becomes of the changes."""

from __future__ import annotations

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from ollama_tui import actions
from ollama_tui.widgets.dialog import Dialog

Leaving = Literal["keep", "drop", "stay"]


class LeaveScreen(Dialog[Leaving]):
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
    groups = ("leaving",)
    topic = "Modelfile"

    def __init__(self, again: str) -> None:
        """`again` is the key that opens the draft again."""
        super().__init__()
        self._again = again

    def compose(self) -> ComposeResult:
        with Vertical(id="leave-box") as box:
            box.border_title = "Leave the editor?"
            box.border_subtitle = actions.in_force(self).hints(
                ("leaving.keep", "keeps the draft"), ("leaving.drop", "throws it away"), ("leaving.stay", "goes on")
            )
            yield Static(
                f"The changes are a draft, which {self._again} in the Library opens again. No model was made of them.",
                markup=False,
            )

    def action_answer(self, answer: Leaving) -> None:
        self.dismiss(answer)
