"""Cancel a pull? And what of the bytes that came?"""

from __future__ import annotations

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from ollama_tui import actions, figures
from ollama_tui.services.pull_progress import Pull
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.dialog import Dialog

Answer = Literal["keep", "remove"] | None


class CancelScreen(Dialog[Answer]):
    """`removable`: whether what came can be removed from here."""

    DEFAULT_CSS = """
    CancelScreen {
        align: center middle;
        background: $background 60%;
        #cancel-box {
            width: 72; max-width: 100%; height: auto;
            border: round $border; padding: 0 1; background: $surface;
        }
        Static { height: auto; }
    }
    """
    groups = ("cancel",)
    topic = "Cancel"

    def __init__(self, pull: Pull, *, removable: bool) -> None:
        super().__init__()
        self._pull = pull
        self._removable = removable

    def compose(self) -> ComposeResult:
        came = self._pull.view.completed
        keymap = actions.in_force(self)
        text = "It leaves the queue."
        if came and self._removable:
            keep, remove = keymap.name("cancel.keep"), keymap.name("cancel.remove")
            text += (
                f" {figures.size(came)} of it are here already.\n\n"
                f"{keep:<6} keeps them: the next pull of it goes on from there\n"
                f"{remove:<6} removes them from the disk"
            )
        elif came:
            text += f" {figures.size(came)} of it have come; the server keeps them for the next pull."
        with Vertical(id="cancel-box") as box:
            box.border_title = visible(f"Cancel {one_line(self._pull.view.name)}?")
            asks = came and self._removable
            cancels = [("cancel.keep", "cancels, keeps"), ("cancel.remove", "removes")] if asks else []
            box.border_subtitle = keymap.hints(*(cancels or [("cancel.keep", "cancels")]), ("cancel.leave", "leaves"))
            yield Static(text, markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._removable or parameters != ("remove",)

    def action_answer(self, answer: str) -> None:
        self.dismiss("remove" if answer == "remove" else "keep" if answer == "keep" else None)
