"""`?`: the keys of the pane one comes from, and those that work everywhere."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ollama_tui import actions


class KeysScreen(ModalScreen[None]):
    DEFAULT_CSS = """
    KeysScreen {
        align: center middle;
        background: $background;
        #keys-box {
            width: 76; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; padding: 0 2; background: $surface;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,enter", "app.pop_screen", "close", id="keys.close")
    ]

    def __init__(self, pane: str, title: str) -> None:
        super().__init__()
        self._pane = pane
        self._title = title

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="keys-box") as box:
            box.border_title = f"Keys · {self._title}"
            box.border_subtitle = "esc closes"
            yield Static(self._section(self._pane))
            yield Static("\nEverywhere", markup=False)
            yield Static(self._section("app"))

    def _section(self, pane: str) -> Content:
        lines: list[Content] = []
        for action in actions.of(pane):
            keys = actions.key_names(actions.keys_of(action))
            lines.append(Content.styled(f"{keys:<26} ", "$accent") + Content(action.help))
        return Content("\n").join(lines) if lines else Content("This pane has no keys of its own yet.")
