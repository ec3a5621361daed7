"""Every action a key can do, in one table with ids: bindings, footer, help, palette and command line come from it.

Ids are stable: a keymap names them. An action belongs to a pane, a tab or a screen (the first word of its id), or to
`app`, whose actions work everywhere; each one's are in its own module here. `keymap` says which keys are in force.
"""

from __future__ import annotations

from textual.binding import Binding
from textual.message_pump import MessagePump

from ollama_tui.actions import app, bench, chat, chats, discover, editor, keymap, library, ps, pulls, shared
from ollama_tui.actions.action import Action
from ollama_tui.actions.keymap import Keymap, beside
from ollama_tui.actions.keys import key_name, key_names

__all__ = [
    "ACTIONS",
    "Action",
    "Keymap",
    "beside",
    "bindings",
    "by_id",
    "in_force",
    "key_name",
    "key_names",
    "keys_of",
    "of",
]

ACTIONS: tuple[Action, ...] = (
    *discover.ACTIONS,
    *library.ACTIONS,
    *editor.ACTIONS,
    *pulls.ACTIONS,
    *ps.ACTIONS,
    *chats.ACTIONS,
    *chat.ACTIONS,
    *bench.ACTIONS,
    *shared.ACTIONS,
    *app.ACTIONS,
)


def of(*groups: str) -> list[Action]:
    """The actions of these groups, in the order of the table."""
    return [action for action in ACTIONS if action.group in groups]


def by_id(action_id: str) -> Action:
    return next(action for action in ACTIONS if action.id == action_id)


def bindings(group: str, *, editor: bool = False) -> list[Binding]:
    """Textual bindings of a pane, a tab or a screen, or of its editor.

    Their keys are given by the keymap alone: what is bound here no terminal sends, as Textual decides by the keys of a
    class which of them an input takes for typing.
    """
    return [
        Binding(
            keymap.unset(action.id),
            action.run,
            action.label,
            show=False,
            id=action.id,
            tooltip=action.help,
            priority=action.priority,
        )
        for action in of(group)
        if action.editor == editor
    ]


def keys_of(action: Action) -> list[str]:
    """The keys of the table; `in_force` has those of now."""
    return list(keymap.default_keys(action))


def in_force(node: MessagePump) -> Keymap:
    """The keymap of the App that `node` is in."""
    return keymap.in_force(node, ACTIONS)
