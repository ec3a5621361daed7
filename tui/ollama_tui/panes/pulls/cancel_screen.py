"""Cancel a pull? And what of the bytes that came?"""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from ollama_tui import actions, figures
from ollama_tui.services.pull_progress import Pull
from ollama_tui.text import one_line, visible

Answer = Literal["keep", "remove"] | None


class CancelScreen(ModalScreen[Answer]):
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
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("cancel")]

    def __init__(self, pull: Pull, *, removable: bool) -> None:
        super().__init__()
        self._pull = pull
        self._removable = removable

    def compose(self) -> ComposeResult:
        came = self._pull.view.completed
        text = "It leaves the queue."
        if came and self._removable:
            text += (
                f" {figures.size(came)} of it are here already.\n\n"
                "enter  keeps them: the next pull of it goes on from there\n"
                "r      removes them from the disk"
            )
        elif came:
            text += f" {figures.size(came)} of it have come; the server keeps them for the next pull."
        with Vertical(id="cancel-box") as box:
            box.border_title = visible(f"Cancel {one_line(self._pull.view.name)}?")
            keys = "enter cancels, keeps · r removes · " if came and self._removable else "enter cancels · "
            box.border_subtitle = f"{keys}esc leaves"
            yield Static(text, markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._removable or parameters != ("remove",)

    def action_answer(self, answer: str) -> None:
        self.dismiss("remove" if answer == "remove" else "keep" if answer == "keep" else None)
