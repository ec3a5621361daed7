"""Which actions of the table a test has done by keys, or by their names on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from textual.app import App
from textual.binding import Binding

from ollama_tui import commands


def record(patch: pytest.MonkeyPatch) -> set[str]:
    """The ids of the actions that are done from now on until `patch` is undone, as they come."""
    done: set[str] = set()

    async def check_bindings(self: App[object], key: str, priority: bool = False) -> bool:
        """App._check_bindings, which also says whose binding it was."""
        chain = list(reversed(self.screen._binding_chain) if priority else self.screen._modal_binding_chain)
        for place, (namespace, bindings) in enumerate(chain):
            for binding in bindings.key_to_bindings.get(key, ()):
                if binding.priority == priority and await self.run_action(binding.action, namespace):
                    above = (one.key_to_bindings.get(key, ()) for _, one in chain[place + 1 :])
                    # Enter in an Input is the Input's own: what was typed is taken by the screen around it.
                    done.update({binding.id} if binding.id else _first_of(above) if binding.action == "submit" else ())
                    return True
        return False

    def parse(line: str, acting: Sequence[str]) -> commands.Command:
        command = parsed(line, acting)
        done.add(command.action.id)
        return command

    parsed = commands.parse
    patch.setattr(App, "_check_bindings", check_bindings)
    patch.setattr(commands, "parse", parse)
    return done


def _first_of(above: Iterable[Sequence[Binding]]) -> set[str]:
    """The id of the first binding of the table among those of the nodes above."""
    return {next((binding.id for bindings in above for binding in bindings if binding.id), "")} - {""}
