"""`CommandScreen`: the command line at the bottom: names with completion and history, and what each does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from ollama_tui import actions, commands
from ollama_tui.text import one_line
from ollama_tui.widgets.command_history import CommandHistory
from ollama_tui.widgets.dialog import Dialog
from ollama_tui.widgets.lines import Lines

SHOWN = 8
"""Completions in sight at once."""
NAME_WIDTH = 24


class CommandScreen(Dialog[str | None]):
    """Gives the line that was typed, which is a command, or None where the user changed their mind.

    Args:
        acting: the groups of actions that are at hand, nearest first.
        words_for: what may stand for an argument, by its name in the table of actions.
    """

    DEFAULT_CSS = """
    CommandScreen {
        align: left bottom;
        background: transparent;
        #command-box { width: 100%; height: auto; background: $surface; border-top: solid $border; }
        #command-found { height: auto; padding: 0 1; }
        #command-line { height: 1; background: $panel; }
        #command-colon { width: 1; color: $accent; text-style: bold; }
        #command-input { width: 1fr; background: $panel; }
        #command-wrong { height: auto; padding: 0 1; color: $error; display: none; }
    }
    """
    AUTO_FOCUS = "#command-input"
    groups = ("command",)
    topic = "Command line"

    def __init__(
        self, acting: Sequence[str], history: CommandHistory, words_for: Callable[[str], Sequence[str]]
    ) -> None:
        super().__init__()
        self._acting = acting
        self._history = history
        self._words_for = words_for
        self._named = commands.named(acting)
        self._typed = ""
        """What the user wrote themselves, before completing or leafing through history."""
        self._found: list[tuple[str, Content]] = []
        self._lit = -1
        self._older = -1

    def compose(self) -> ComposeResult:
        with Vertical(id="command-box"):
            yield Lines(id="command-found")
            yield Lines(id="command-wrong")
            with Horizontal(id="command-line"):
                yield Static(":", id="command-colon", markup=False)
                yield Input(id="command-input", compact=True)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self._find()

    @on(Input.Changed, "#command-input")
    def _changed(self, event: Input.Changed) -> None:
        shown = [self._line(self._lit)] if self._lit >= 0 else []
        shown += self._history.beginning(self._typed)[self._older : self._older + 1] if self._older >= 0 else []
        if event.value in shown:
            return
        self._typed, self._lit, self._older = event.value, -1, -1
        self.query_one("#command-wrong", Lines).display = False
        self._find()

    def _find(self) -> None:
        """What the line may become."""
        name, space, rest = self._typed.partition(" ")
        if not space:
            self._found = [
                (one, _described(action))
                for one, action in self._named.items()
                if one.startswith(name) and (name or one == action.commands[0])
            ]
        else:
            action = self._named.get(name)
            words = self._words_for(action.argument) if action and action.argument else ()
            self._found = [(f"{name} {word}", Content(one_line(word))) for word in _matching(rest.lower(), words)]
        self._draw()

    def _draw(self) -> None:
        first = max(0, min(self._lit - SHOWN // 2, len(self._found) - SHOWN))
        lines = [
            content.stylize("$block-cursor-foreground on $block-cursor-background") if at == self._lit else content
            for at, (_, content) in list(enumerate(self._found))[first : first + SHOWN]
        ]
        more = len(self._found) - first - len(lines)
        if more > 0:
            lines.append(Content.styled(f"… {more} more", "$muted"))
        found = self.query_one("#command-found", Lines)
        found.display = bool(lines)
        found.show(Content("\n").join(lines))

    def _line(self, index: int) -> str:
        text = self._found[index][0]
        action = self._named.get(text)
        return f"{text} " if action is not None and action.argument else text

    def _write(self, text: str) -> None:
        field = self.query_one(Input)
        field.value = text
        field.cursor_position = len(text)

    # What the user does

    def action_complete(self, step: int) -> None:
        """Take the completion after (1) or before (-1) the one that stands there."""
        if not self._found:
            return
        if len(self._found) == 1:
            self._write(self._line(0))
            return
        self._lit = (self._lit + step) % len(self._found) if self._lit >= 0 else (0 if step > 0 else -1)
        self._lit %= len(self._found)
        self._older = -1
        self._write(self._line(self._lit))
        self._draw()

    def action_leaf(self, step: int) -> None:
        """Show what was typed before: 1 is older, -1 newer."""
        lines = self._history.beginning(self._typed)
        self._older = min(max(-1, self._older + step), len(lines) - 1)
        self._lit = -1
        self._write(lines[self._older] if self._older >= 0 else self._typed)
        self._draw()

    @on(Input.Submitted, "#command-input")
    def action_take(self) -> None:
        line = self.query_one(Input).value.strip()
        if not line.strip(": "):
            self.dismiss(None)
            return
        try:
            commands.parse(line, self._acting)
        except ValueError as error:
            wrong = self.query_one("#command-wrong", Lines)
            wrong.display = True
            wrong.show(one_line(str(error)))
            return
        self._history.add(line)
        self.dismiss(line)

    def action_cancel(self) -> None:
        self.dismiss(None)


def _described(action: actions.Action) -> Content:
    usage = action.usage.removeprefix(":")
    return Content.styled(usage.ljust(NAME_WIDTH), "$primary") + Content.styled(action.help, "$muted")


def _matching(text: str, words: Sequence[str]) -> list[str]:
    """Those that hold `text`, the ones that begin with it first; what follows a word only once that is there."""
    found = [word for word in words if text in word.lower() and (" " in text or " " not in word)]
    return sorted(found, key=lambda word: not word.lower().startswith(text))
