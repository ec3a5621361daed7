"""Writes docs/keys.md from the table of actions: `python -m tests.support.keys_page`."""

from __future__ import annotations

from pathlib import Path

from ollama_tui import actions
from ollama_tui.actions.action import Action

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"
HEAD = """# Keys and commands

Made from the table of actions by `python -m tests.support.keys_page`. The keys are those of the keymap
`default`; `vim`, `emacs` and `tmux-safe` change some of them (`OLLAMA_TUI_KEYMAP`, `:keymap NAME`), and
`keymap.toml` in the config folder gives any action other keys by its id: `library.filter = ["slash",
"ctrl+f"]`, or `[]` for none. `?` shows the keys in force.

A command is typed after `:`, and may be shortened.
"""


def page() -> str:
    """The page as it should be."""
    sections = [HEAD]
    for group in dict.fromkeys(action.group for action in actions.ACTIONS):
        rows = "".join(map(_row, actions.of(group)))
        sections.append(f"## {group}\n\n| action | keys | command | |\n|---|---|---|---|\n{rows}")
    return "\n".join(sections)


def _row(action: Action) -> str:
    keys = " ".join(f"`{actions.key_name(key)}`" for key in actions.keys_of(action))
    command = f"`:{' '.join(part for part in (action.command, action.argument) if part)}`" if action.command else ""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (action.id, keys, command, action.help)) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
