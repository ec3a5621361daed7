"""`EmptyState`: a pane with nothing to show says what will be here and what to do meanwhile."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalGroup
from textual.widgets import Static


class EmptyState(VerticalGroup):
    """A title, a paragraph, and commands to copy, in the middle of the pane."""

    DEFAULT_CSS = """
    EmptyState {
        width: 1fr;
        max-width: 76;
        padding: 1 2;
        .empty-title { color: $accent; text-style: bold; }
        .empty-text { margin-top: 1; }
        .empty-command { color: $primary; padding-left: 2; }
        .empty-commands { margin-top: 1; height: auto; }
    }
    """

    def __init__(self, title: str, text: str, commands: tuple[tuple[str, str], ...] = (), note: str = "") -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._commands = commands
        self._note = note

    def compose(self) -> ComposeResult:
        yield Static(self._title, classes="empty-title", markup=False)
        yield Static(self._text, classes="empty-text", markup=False)
        for meaning, command in self._commands:
            yield Static(meaning, classes="empty-text", markup=False)
            if command:
                yield Static(command, classes="empty-command", markup=False)
        if self._note:
            yield Static(self._note, classes="empty-text", markup=False)
