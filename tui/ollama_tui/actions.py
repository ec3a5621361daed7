"""Every action a key can do, in one table with ids: bindings, footer, help and command palette all come from it.

Ids are stable: a keymap will name them. An action belongs to a pane, or to `app`, whose actions work everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """`keys` as Textual names them, the one shown first; `call` is the action method it runs.

    `footer` puts it on the bottom line; `palette` offers it in the command palette. `editor` marks what only a text
    editor's own keys mean, which are listed in the help and bound by the editor itself. `priority` reaches past
    modal screens and inputs.
    """

    id: str
    keys: str
    call: str
    label: str
    help: str
    footer: bool = True
    palette: bool = True
    editor: bool = False
    priority: bool = False

    @property
    def pane(self) -> str:
        return self.id.partition(".")[0]


# Digits are text inside a prompt, and most terminals send alt+digit as a character: function keys go to panes there.
ACTIONS: tuple[Action, ...] = (
    Action("library.chat", "enter", "chat", "chat", "Chat with the selected model", palette=False),
    Action("library.details", "i", "details", "details", "Show or hide what is known of the selected model"),
    Action("library.filter", "slash", "filter", "filter", "Show only models whose name holds some words"),
    Action("library.refresh", "r", "refresh", "refresh", "Read the store again"),
    Action("library.clear", "escape", "clear_filter", "clear filter", "Show all models again", palette=False),
    Action("ps.unload", "u", "unload", "unload", "Unload the selected model once its requests have ended"),
    Action("ps.keep", "t", "keep", "keep for", "Change how long the selected model stays"),
    Action("ps.pin", "p", "pin", "pin", "Keep the selected model in memory, or no longer"),
    Action("ps.requests", "tab,shift+tab", "requests", "requests", "Go to the requests, and back to the models"),
    Action("ps.cancel", "x", "cancel", "cancel", "Cancel the selected request; what it has said stays"),
    Action("ps.refresh", "r", "refresh", "refresh", "Ask what is in memory now"),
    Action("chat.send", "enter", "send", "send", "Send the prompt", palette=False, editor=True),
    Action("chat.stop", "escape", "stop", "stop", "Stop the answer; what was written of it stays"),
    Action(
        "chat.newline",
        "shift+enter,ctrl+j,alt+enter",
        "newline",
        "new line",
        "Begin a new line in the prompt",
        footer=False,
        palette=False,
        editor=True,
    ),
    Action("chat.model", "ctrl+o", "pick_model", "model", "Choose the model that answers"),
    Action("chat.new", "ctrl+n", "new", "new", "Begin a new conversation"),
    Action("chat.conversations", "ctrl+l", "pick_conversation", "chats", "Open another conversation"),
    Action("chat.leave", "escape", "leave", "leave", "Leave the prompt: then 1-5 and q work", palette=False),
    Action("chat.write", "enter,i", "write", "write", "Go to the prompt"),
    Action("chat.up", "pageup", "read_up", "page up", "Read further up", footer=False, palette=False),
    Action("chat.down", "pagedown", "read_down", "page down", "Read further down", footer=False, palette=False),
    Action("chat.top", "ctrl+home", "top", "top", "Go to the oldest message shown", footer=False),
    Action("chat.end", "ctrl+end", "end", "end", "Go to the newest words and follow them", footer=False),
    Action("app.library", "1,f1", "pane('library')", "Library", "Go to the models in the store", footer=False),
    Action("app.pulls", "2,f2", "pane('pulls')", "Pulls", "Go to the downloads", footer=False),
    Action("app.ps", "3,f3", "pane('ps')", "PS", "Go to the models in memory", footer=False),
    Action("app.chat", "4,f4", "pane('chat')", "Chat", "Go to the conversation", footer=False),
    Action("app.bench", "5,f5", "pane('bench')", "Bench", "Go to the measurements", footer=False),
    Action("app.palette", "ctrl+p", "command_palette", "menu", "Search all commands", palette=False, priority=True),
    Action("app.help", "question_mark,ctrl+g", "keys", "keys", "Show the keys of this pane"),
    Action("app.quit", "q", "quit", "quit", "Quit; conversation and draft are kept"),
    Action(
        "app.quit_anywhere",
        "ctrl+q",
        "quit",
        "quit",
        "Quit from anywhere, also out of a prompt",
        palette=False,
        priority=True,
    ),
    Action(
        "app.interrupt",
        "ctrl+c",
        "interrupt",
        "copy",
        "Copy the selected text (ctrl+q quits)",
        footer=False,
        palette=False,
    ),
)

_GLYPHS = {
    "question_mark": "?",
    "slash": "/",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
}


def of(*panes: str) -> list[Action]:
    """The actions of these panes, in the order of the table."""
    return [action for action in ACTIONS if action.pane in panes]


def bindings(pane: str, *, editor: bool = False) -> list[Binding]:
    """Textual bindings of a pane, or of its editor."""
    return [
        Binding(
            action.keys,
            action.call,
            action.label,
            show=False,
            id=action.id,
            tooltip=action.help,
            priority=action.priority,
        )
        for action in of(pane)
        if action.editor == editor
    ]


def key_name(key: str) -> str:
    """A key as people write it: `?`, `^o`, `alt+1`."""
    name = _GLYPHS.get(key, key)
    return f"^{name.removeprefix('ctrl+')}" if name.startswith("ctrl+") else name


def key_names(keys: Iterable[str]) -> str:
    return " ".join(key_name(key) for key in keys)


def keys_of(action: Action) -> list[str]:
    return action.keys.split(",")
