"""The names of keys: as Textual has them (`question_mark`, `ctrl+x`) and as people write them (`?`, `^x`)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from textual.keys import KEY_NAME_REPLACEMENTS, REPLACED_KEYS, Keys, key_to_character

MODIFIERS = ("ctrl", "alt", "shift", "super", "hyper", "meta")
_SHORT = {"escape": "esc", "pageup": "pgup", "pagedown": "pgdn", "delete": "del", "insert": "ins"}
_LONG = {short: long for long, short in _SHORT.items()} | {"return": "enter"}
_NAMED = {key.value for key in Keys if "+" not in key.value and not key.value.startswith("<")} | {"space"}


def parse_key(text: str) -> str:
    """A key as Textual names it, from `?`, `^x`, `esc`, `alt+1` or such a name itself.

    Raises:
        ValueError: there is no such key.
    """
    text = text.strip()
    if len(text) > 1 and text.startswith("^"):
        text = f"ctrl+{text[1:]}"
    head, plus, last = text.rpartition("+")
    if not last and head.endswith("+"):  # `ctrl++`
        head, plus, last = head[:-1], "+", "+"
    if text == "+":
        head, plus, last = "", "", "+"
    modifiers = [word.lower() for word in head.split("+")] if plus else []
    key = _base(last)
    if not key or any(word not in MODIFIERS for word in modifiers):
        raise ValueError(f"there is no key '{text}'")
    return "+".join([*(word for word in MODIFIERS if word in modifiers), key])


def _base(text: str) -> str:
    """The key itself, "" where there is none of that name."""
    if len(text) == 1:
        if text.isalnum():
            return text
        name = unicodedata.name(text, "").lower().replace("-", "_").replace(" ", "_")
        return KEY_NAME_REPLACEMENTS.get(name, name)
    name = _LONG.get(text.lower(), text.lower())
    if name in _NAMED or typed(name):
        return name
    return ""


def typed(key: str) -> str:
    """The character that the key writes in a text, "" where it writes none."""
    character = key_to_character(REPLACED_KEYS.get(key, key))
    return character if character is not None and character.isprintable() else ""


def key_name(key: str) -> str:
    """A key as people write it: `?`, `^o`, `alt+1`."""
    head, plus, last = key.rpartition("+")
    shown = _SHORT.get(last) or typed(last).strip() or last
    if head == "ctrl":
        return f"^{shown}"
    return f"{head}{plus}{shown}"


def key_names(keys: Iterable[str]) -> str:
    return " ".join(map(key_name, keys))
