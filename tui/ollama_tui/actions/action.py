"""`Action`: one thing that a key, a command or the palette can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """`keys` as Textual names them, the one shown first; `call` is the action method it runs.

    `footer` puts it on the bottom line; `palette` offers it in the command palette. `editor` marks what only a text
    editor's own keys mean, which are listed in the help and bound by the editor itself. `priority` reaches past
    modal screens and inputs. `command` is its name on the command line (`:pull`); `argument` names what may follow it
    there (`MODEL`), and is given to the action method as its one parameter, "" where nothing followed.
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
    def pane(self) -> str:
        return self.id.partition(".")[0]
