"""`?`: the keys of the pane one comes from, and those that work everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from ollama_tui import actions
from ollama_tui.widgets.reader import Reader


class KeysScreen(ModalScreen[None], inherit_bindings=False):
    DEFAULT_CSS = """
    KeysScreen {
        align: center middle;
        background: $background;
        #keys-box {
            width: 92; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; padding: 0 2; background: $surface;
        }
        .keys-heading { margin-top: 1; color: $accent; text-style: bold; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("keys"), *actions.bindings("screen")]

    def __init__(self, groups: Sequence[str], title: str, *, everywhere: bool = True) -> None:
        """`groups` of actions that the pane has at hand; its `title`; whether what works in all panes does here."""
        super().__init__()
        self._groups = groups
        self._title = title
        self._everywhere = everywhere

    def compose(self) -> ComposeResult:
        with Reader(id="keys-box") as box:
            box.border_title = f"Keys · {self._title}"
            box.border_subtitle = f"{actions.in_force(self).name('keys.close')} closes"
            yield Static(self._section(*self._groups), markup=False)
            if not self._everywhere:
                return
            yield Static("Everywhere", classes="keys-heading", markup=False)
            yield Static(self._section("app", "screen"), markup=False)
            yield Static("Lists", classes="keys-heading", markup=False)
            yield Static(self._section("list"), markup=False)

    def _section(self, *groups: str) -> Table | str:
        keymap = actions.in_force(self)
        listed = [action for action in actions.of(*groups) if keymap.of(action) or action.command]
        if not listed:
            return "This pane has no keys of its own yet."
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="bold", width=24)
        table.add_column(ratio=1)
        for action in listed:
            table.add_row(Text(f"{keymap.names(action)} {action.usage}".strip()), Text(action.help))
        return table

    def action_close(self) -> None:
        self.dismiss(None)
