"""`TextScreen`: several lines of text are asked for, or shown; what is typed is checked when it is taken."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from ollama_tui import actions
from ollama_tui.text import visible
from ollama_tui.widgets.dialog import Dialog


class TextScreen(Dialog[str | None]):
    """Gives what was written, or None where the user changed their mind. `check` says what is wrong with it."""

    DEFAULT_CSS = """
    TextScreen {
        align: center middle;
        background: $background 60%;
        #text-box {
            width: 90; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; padding: 0 1; background: $surface;
        }
        TextArea { height: auto; min-height: 5; max-height: 16; background: $surface; border: none; padding: 0; }
        #text-note { color: $muted; height: auto; }
        #text-note.wrong { color: $error; }
    }
    """
    AUTO_FOCUS = "TextArea"
    groups = ("text",)
    topic = "Text"

    def __init__(
        self,
        title: str,
        text: str = "",
        *,
        note: str = "",
        read_only: bool = False,
        check: Callable[[str], str] = lambda _text: "",
    ) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._note = note
        self._read_only = read_only
        self._check = check

    def compose(self) -> ComposeResult:
        with Vertical(id="text-box") as box:
            box.border_title = visible(self._title)
            take, leave = ("text.take", "takes"), ("text.leave", "closes" if self._read_only else "leaves")
            box.border_subtitle = actions.in_force(self).hints(*([leave] if self._read_only else [take, leave]))
            text = visible(self._text) if self._read_only else self._text
            yield TextArea(text, id="text-area", soft_wrap=True, compact=True, read_only=self._read_only)
            note = Static(visible(self._note), id="text-note", markup=False)
            note.display = bool(self._note)
            yield note

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.cursor_blink = False
        if not self._read_only:
            area.move_cursor(area.document.end)

    def action_take(self) -> None:
        text = self.query_one(TextArea).text
        wrong = self._check(text)
        if wrong:
            note = self.query_one("#text-note", Static)
            note.update(visible(wrong))
            note.add_class("wrong")
            note.display = True
        elif not self._read_only:
            self.dismiss(text)

    def action_cancel(self) -> None:
        self.dismiss(None)
