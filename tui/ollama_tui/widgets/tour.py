"""`Tour`: three lines for who is new here, above every pane, and under them what was found on the machine."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import var

from ollama_tui.actions import Keymap
from ollama_tui.widgets.lines import Lines

PANES = ("library", "pulls", "ps", "chat", "bench")


class Tour(Lines):
    """Never takes the focus: who types meanwhile goes on typing."""

    DEFAULT_CSS = """
    Tour { display: none; height: auto; padding: 0 1; background: $panel; border-left: outer $accent; }
    Tour.-shown { display: block; }
    """

    shown: var[bool] = var(False, init=False)

    def __init__(self) -> None:
        super().__init__(id="tour")

    def watch_shown(self, shown: bool) -> None:
        self.set_class(shown, "-shown")

    def draw(self, keymap: Keymap, pane: str, notice: str) -> None:
        """With the keys that are in force, for the pane that is shown; `notice`, where given, is one line more."""
        lines = chat_lines(keymap) if pane == "chat" else list_lines(keymap)
        text = Content("\n").join([*lines, last_line(keymap)])
        self.show(text + Content.styled(f"\n{notice}", "$success") if notice else text)


def chat_lines(keymap: Keymap) -> list[Content]:
    """What one does at the prompt."""
    return [
        _line(
            "Write below; ", keymap.name("chat.send"), " sends it, ", keymap.name("chat.model"),
            " chooses the model, ", keymap.name("chat.new"), " begins a new chat.",
        ),
        _line("Out of the prompt (", keymap.name("chat.leave"), "): ") + _everywhere(keymap),
    ]  # fmt: skip


def list_lines(keymap: Keymap) -> list[Content]:
    """What one does where models are chosen from."""
    return [
        _line(
            "Choose a model in the Library: ", keymap.name("library.chat"), " chats with it. ",
            keymap.name("tabs.next"), " shows models to pull.",
        ),
        _everywhere(keymap),
    ]  # fmt: skip


def _everywhere(keymap: Keymap) -> Content:
    panes = " ".join(keymap.name(f"app.{pane}") for pane in PANES)
    return _line(
        "", panes, " change panes, ", keymap.name("app.help"), " shows the keys, ", keymap.name("app.quit"), " quits,"
    )


def last_line(keymap: Keymap) -> Content:
    """Commands, and how the tour goes and comes back."""
    ends = keymap.name("app.tour_end")
    return (
        _line("and ", keymap.name("app.command"), " takes commands (", ":pull llama3.2", "). ")
        + _line("", ends, " hides this tour, " if ends else "")
        + _line("", ":tour", " shows it.")
    )


def _line(*parts: str) -> Content:
    """Words and keys in turn."""
    styles = ("", "$accent bold")
    return Content("").join(Content.styled(part, styles[index % 2]) for index, part in enumerate(parts))
