"""`Keymap`: which keys do an action now. Presets and the user's file are layers over the keys of the table.

Textual overlays it on every binding that has an action's id (`App.set_keymap`), so that a change shows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from textual.content import Content

from ollama_tui.actions.action import Action
from ollama_tui.actions.keys import key_name, key_names, parse_key, typed

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

Layer = Mapping[str, Any]
"""Keys by the id of an action: one key, a list of them, or an empty list for none."""

UNDER_ALL = ("app", "list", "screen")
"""Groups of actions that are at hand beside those of a pane."""
TABS = ("library", "discover")
"""Groups of the tabs between which `tabs` goes."""
_DIALOG = ("dialog", "screen")
ALONE: Mapping[str, tuple[str, ...]] = {
    "ask": _DIALOG,
    "cancel": _DIALOG,
    "chat_settings": ("list", *_DIALOG),
    "choose": ("list", *_DIALOG),
    "command": _DIALOG,
    "confirm": _DIALOG,
    "dialog": ("screen",),
    "editor": ("modelfile", *_DIALOG),
    "keys": ("list", "screen"),
    "leaving": _DIALOG,
    "modelfile": (),
    "picker": _DIALOG,
    "plan": _DIALOG,
    "settings": ("list", *_DIALOG),
    "text": _DIALOG,
}
"""Groups of screens and lines that keep the keys to themselves while they are open, with what else is at hand there."""


def unset(action_id: str) -> str:
    """What stands for a key where an action has none; no terminal sends it."""
    return f"<{action_id}>"


@dataclass(frozen=True)
class Keymap:
    keys: Mapping[str, tuple[str, ...]]
    problems: tuple[str, ...] = ()
    """What was wrong in the layers, a sentence each."""

    def of(self, action: Action) -> tuple[str, ...]:
        return self.keys.get(action.id, ())

    def names(self, action: Action) -> str:
        """The keys of an action as people write them, "" where it has none."""
        return key_names(self.of(action))

    def name(self, action_id: str) -> str:
        """The key of an action that is shown, as people write it."""
        keys = self.keys.get(action_id, ())
        return key_name(keys[0]) if keys else ""

    def hints(self, *does: tuple[str, str]) -> Content:
        """The keys of some actions with what each does, as the edge of a box tells them: `enter takes · esc leaves`."""
        keys = ((self.name(action_id), words) for action_id, words in does)
        return Content(" · ".join(f"{key} {words}" for key, words in keys if key))

    def bindings(self) -> dict[str, str]:
        """As `App.set_keymap` takes it."""
        return {action_id: ",".join(keys) or unset(action_id) for action_id, keys in self.keys.items()}


def default_keys(action: Action) -> tuple[str, ...]:
    return tuple(key for key in action.keys.split(",") if key)


def make(table: Sequence[Action], *layers: tuple[str, Layer]) -> Keymap:
    """The table's keys under some layers, each with the name of where it stands; later ones go before earlier ones.

    What a layer has wrong is left out and told in `problems`, and so are the keys that mean two things.
    """
    known = {action.id: action for action in table}
    keys = {action.id: default_keys(action) for action in table}
    problems: list[str] = []
    for where, layer in layers:
        for action_id, value in layer.items():
            if action_id not in known:
                near = get_close_matches(action_id, known, n=1)
                problems.append(f"{where}: no action '{action_id}'" + (f"; did you mean '{near[0]}'?" if near else "."))
                continue
            try:
                keys[action_id] = _keys(known[action_id], value)
            except ValueError as error:
                problems.append(f"{where}: '{action_id}': {error}.")
    return Keymap(keys, (*problems, *clashes(table, keys)))


def _keys(action: Action, value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("its keys are a text or a list of texts")
    keys = tuple(dict.fromkeys(parse_key(text) for text in texts if text.strip()))
    letters = [key for key in keys if typed(key)]
    if action.priority and letters:
        raise ValueError(f"'{key_name(letters[0])}' is a letter that one types; it works everywhere, also in a prompt")
    return keys


def clashes(table: Sequence[Action], keys: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Keys that mean two things in one place. Two that share a key in the table know how to."""
    found: dict[str, dict[str, None]] = {}
    for group in dict.fromkeys(action.group for action in table):
        here = [action for action in table if _is_at_hand(action, group)]
        for at, one in enumerate(here):
            for other in here[at + 1 :]:
                both = [key for key in keys[one.id] if key in keys[other.id]]
                if both and not set(default_keys(one)) & set(default_keys(other)):
                    found.setdefault(both[0], {}).update({one.id: None, other.id: None})
    return [f"'{key_name(key)}' clashes: it does {' and '.join(ids)}." for key, ids in found.items()]


def _is_at_hand(action: Action, group: str) -> bool:
    """Whether an action can be done while the actions of `group` can."""
    if action.group == group:
        return True
    if action.group == "tabs" and group in TABS:
        return True
    if group in ALONE:
        return action.group in ALONE[group] or (action.group == "app" and action.priority)
    return group not in UNDER_ALL and action.group in UNDER_ALL


def beside(group: str) -> tuple[str, ...]:
    """Groups of actions at hand beside those of `group`, where that is of a dialog."""
    return ALONE.get(group, ())


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys of tables in tables with dots between them: TOML reads `library.copy = "y"` as a table `library`."""
    entries: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            entries |= flat(value, f"{prefix}{name}.")
        else:
            entries[prefix + name] = value
    return entries


def in_force(node: MessagePump, otherwise: Iterable[Action] = ()) -> Keymap:
    """The keymap of the workstation that `node` is in; the keys of the table where it is in another App."""
    keymap = getattr(node.app, "keymap", None)
    return keymap if isinstance(keymap, Keymap) else Keymap({one.id: default_keys(one) for one in otherwise})
