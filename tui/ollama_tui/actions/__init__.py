"""Every action a key can do, in one table with ids: bindings, footer, help, palette and command line come from it.

Ids are stable: a keymap names them. An action belongs to a pane, or to `app`, whose actions work everywhere; each
pane's are in its own module here.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding

from ollama_tui.actions import app, bench, chat, chats, discover, library, ps, pulls
from ollama_tui.actions.action import Action

__all__ = ["ACTIONS", "Action", "bindings", "key_name", "key_names", "keys_of", "of"]

ACTIONS: tuple[Action, ...] = (
    *discover.ACTIONS,
    *library.ACTIONS,
    *pulls.ACTIONS,
    *ps.ACTIONS,
    *chats.ACTIONS,
    *chat.ACTIONS,
    *bench.ACTIONS,
    *app.ACTIONS,
)

_GLYPHS = {
    "question_mark": "?",
    "slash": "/",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
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
