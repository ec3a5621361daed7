"""The command line's grammar: a name from the table of actions, and what follows it. Names may be shortened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ollama_tui import actions
from ollama_tui.actions import Action


@dataclass(frozen=True)
class Command:
    action: Action
    argument: str = ""


def named(acting: Sequence[str]) -> dict[str, Action]:
    """All commands by name. One name in two panes means the one at hand (`acting` groups, nearest first)."""
    found: dict[str, Action] = {}
    nearest = [*acting, "app"]
    for action in sorted(actions.ACTIONS, key=lambda one: nearest.index(one.group) if one.group in nearest else 99):
        for name in action.commands:
            found.setdefault(name, action)
    return dict(sorted(found.items()))


def parse(line: str, acting: Sequence[str]) -> Command:
    """What a line says, with or without the colon.

    Raises:
        ValueError: no such command, several of that beginning, or words after one that takes none.
    """
    name, _, argument = line.strip().removeprefix(":").strip().partition(" ")
    argument = argument.strip()
    action = _find(name, named(acting))
    if argument and not action.argument:
        raise ValueError(f":{name} takes nothing after it.")
    return Command(action, argument)


def _find(name: str, known: dict[str, Action]) -> Action:
    if name in known:
        return known[name]
    begun = {known[one].id: one for one in known if name and one.startswith(name)}
    if len(begun) == 1:
        return known[next(iter(begun.values()))]
    if begun:
        raise ValueError(f":{name} may be {', '.join(f':{one}' for one in begun.values())}.")
    near = get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(f':{one}' for one in near)}?" if near else "tab lists all."
    raise ValueError(f"No command '{name}'; {hint}")
