"""`Action`: one thing that a key, a command or the palette can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """`keys` as Textual names them, the one shown first; `call` is the action method it runs.

    `footer` puts it on the bottom line; `palette` offers it in the command palette. `editor` marks what only a text
    editor's own keys mean, which are listed in the help and bound by the editor itself. `priority` reaches past
    inputs, and in the group `app` past modal screens. `command` is its name on the command line (`:pull`);
    `argument` names what may follow it there (`MODEL`), and is given to the action method as its one parameter, ""
    where nothing followed. Further names stand behind a comma.
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
    command: str = ""
    argument: str = ""

    @property
    def group(self) -> str:
        """The first word of its id: the pane, tab or screen that does it."""
        return self.id.partition(".")[0]

    @property
    def commands(self) -> tuple[str, ...]:
        """Its names on the command line, the one shown first."""
        return tuple(self.command.split(",")) if self.command else ()

    @property
    def usage(self) -> str:
        """How it is written there: `:pull MODEL`."""
        return f":{self.commands[0]} {self.argument}".rstrip() if self.command else ""

    @property
    def method(self) -> str:
        """The name that `check_action` is asked with."""
        return self.call.partition("(")[0]

    @property
    def run(self) -> str:
        """The action as Textual runs it for a key: with an argument left open."""
        return f"{self.call}('')" if self.argument and "(" not in self.call else self.call
