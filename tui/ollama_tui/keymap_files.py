"""Keymaps as data: presets in `keymaps/*.toml`, and the user's own `keymap.toml` in the config folder.

A file names actions by their ids and gives each its keys: `library.refresh = ["f5", "R"]`; `[]` is none.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from ollama_tui.actions import ACTIONS, Keymap
from ollama_tui.actions.keymap import Layer, flat, make

FILE = "keymap.toml"
_PRESETS = Path(__file__).parent / "keymaps"


def load(preset: str, folder: Path | None) -> Keymap:
    """The keys in force: the table's, the preset's over them, and those of `folder`/keymap.toml over both."""
    layers: list[tuple[str, Layer]] = []
    problems: list[str] = []
    paths = [*([_PRESETS / f"{preset}.toml"] if preset != "default" else []), *([folder / FILE] if folder else [])]
    for path in paths:
        try:
            layers.append((path.name, flat(tomllib.loads(path.read_text(encoding="utf-8")))))
        except FileNotFoundError:
            if path.parent == _PRESETS:
                problems.append(f"there is no keymap '{preset}'.")
        except (OSError, ValueError) as error:
            problems.append(f"{path} is left out: {error}.")
    keymap = make(ACTIONS, *layers)
    return Keymap(keymap.keys, (*problems, *keymap.problems))
