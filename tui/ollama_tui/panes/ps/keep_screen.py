"""How long shall this model stay? Asked over the PS pane; what is typed is checked while it is typed."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from ollama_engine.durations import format_duration, parse_keep_alive
from ollama_engine.errors import InvalidRequest
from ollama_engine.types import KeepAlive, RunningModel
from ollama_tui import actions
from ollama_tui.text import one_line
from ollama_tui.widgets.dialog import Dialog

FOREVER = ("forever", "never", "-1")
EXAMPLES = "30s, 10m, 1h30m after its last request; 0 lets it go as soon as it is idle; forever"


class KeepScreen(Dialog[KeepAlive]):
    """Gives what `Engine.load` takes as `keep_alive`, or None where the user changed their mind."""

    DEFAULT_CSS = """
    KeepScreen {
        align: center middle;
        background: $background 60%;
        #keep-box {
            width: 72; max-width: 100%; height: auto;
            border: round $border; padding: 0 1; background: $surface;
        }
        Input { background: $surface; }
        #keep-note { color: $muted; height: auto; }
        #keep-note.wrong { color: $error; }
    }
    """
    AUTO_FOCUS = "Input"
    groups = ("ask",)
    topic = "Keep"

    def __init__(self, model: str, current: str) -> None:
        super().__init__()
        self._model = model
        self._current = current

    def compose(self) -> ComposeResult:
        with Vertical(id="keep-box") as box:
            box.border_title = f"Keep {one_line(self._model)} for"
            box.border_subtitle = actions.in_force(self).hints(("ask.take", "takes"), ("ask.leave", "leaves"))
            yield Input(self._current, id="keep-input", compact=True, select_on_focus=True)
            yield Static(EXAMPLES, id="keep-note", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        wrong = _problem(event.value)
        note = self.query_one("#keep-note", Static)
        note.update(wrong or EXAMPLES)
        note.set_class(bool(wrong), "wrong")

    @on(Input.Submitted)
    def action_take(self) -> None:
        text = self.query_one(Input).value
        if text.strip() and not _problem(text):
            self.dismiss(read(text))

    def action_cancel(self) -> None:
        self.dismiss(None)


def read(text: str) -> KeepAlive:
    """What was typed as `keep_alive`; InvalidRequest where it is no duration."""
    text = text.strip().lower()
    if text in FOREVER:
        return -1
    parse_keep_alive(text)
    return text


def _problem(text: str) -> str:
    """What is wrong with it, in words; nothing while nothing is typed."""
    if not text.strip():
        return ""
    try:
        read(text)
    except InvalidRequest as error:
        return f"{error.message.removeprefix('time: ')}. {error.hint}"
    return ""


def keep_alive_text(model: RunningModel) -> str:
    """What keeps it, as it may be typed."""
    if model.keep_alive is None:
        return ""
    return "forever" if model.keep_alive < 0 else format_duration(model.keep_alive)


def how_long(keep_alive: KeepAlive) -> str:
    """What a new keep-alive means, as the end of a sentence."""
    if keep_alive == -1:
        return "stays for ever"
    seconds = parse_keep_alive(keep_alive)
    return f"stays for {keep_alive} after its last request" if seconds else "leaves memory as soon as it is idle"
