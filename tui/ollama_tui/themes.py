"""Themes from `*.toml` files: a name, `dark`, a table of colours and one of Textual's variables.

A file that is not a theme is reported and left out; it never stands in the way of the others. Used by the App.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

DEFAULT = "ink"

REQUIRED_COLORS = ("background", "surface", "panel", "foreground", "primary", "accent", "success", "warning", "error")
COLORS = (*REQUIRED_COLORS, "secondary", "boost", "muted")
OUR_COLORS = {"muted": "#8c8c8c"}
"""Colours that Textual's own themes do not know, and what stands for them there."""
_TEXT_STYLE = re.compile(r"(none|((not )?(bold|dim|italic|underline|reverse|strike) ?)+)")
_KEYS = {"name", "dark", "colors", "variables"}


@dataclass(frozen=True)
class BadTheme:
    """A file that is left out, and why in one sentence."""

    path: Path
    reason: str


def bundled_folder() -> Path:
    """`themes/` inside the installed package, or at the top of the repository it is run from."""
    here = Path(__file__).parent
    return next(
        (folder for folder in (here / "themes", here.parents[1] / "themes") if folder.is_dir()), here / "themes"
    )


def load(folders: Iterable[Path]) -> tuple[list[Theme], list[BadTheme]]:
    """All themes in these folders; where two have one name, the later folder's wins."""
    themes: dict[str, Theme] = {}
    bad: list[BadTheme] = []
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = read(path)
            except ValueError as error:
                bad.append(BadTheme(path, str(error)))
            else:
                themes[theme.name] = theme
    return list(themes.values()), bad


def read(path: Path) -> Theme:
    """One theme file; ValueError with the reason where it is none."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    unknown = sorted(table.keys() - _KEYS)
    if unknown:
        raise ValueError(f"unknown key '{unknown[0]}'")
    name, dark = table.get("name"), table.get("dark")
    if not isinstance(name, str) or not name:
        raise ValueError("'name' is missing")
    if not isinstance(dark, bool):
        raise ValueError("'dark' must be true or false")
    colors = _texts(table, "colors")
    for color, value in colors.items():
        _check_color(color, value)
    missing = [color for color in REQUIRED_COLORS if color not in colors]
    if missing:
        raise ValueError(f"the colour '{missing[0]}' is missing")
    variables = _texts(table, "variables")
    for variable, value in variables.items():
        if not _TEXT_STYLE.fullmatch(value):
            _check_value(variable, value)
    theme = Theme(name=name, primary=colors["primary"], dark=dark, variables=variables)
    for color, value in colors.items():
        if color in OUR_COLORS:
            theme.variables[color] = value
        else:
            setattr(theme, color, value)
    return theme


def _texts(table: dict[str, Any], key: str) -> dict[str, str]:
    value = table.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"'{key}' must be a table of texts")
    return value


def _check_color(color: str, value: str) -> None:
    if color not in COLORS:
        raise ValueError(f"unknown colour '{color}'")
    _check_value(color, value)


def _check_value(name: str, value: str) -> None:
    try:
        Color.parse(value)
    except ColorParseError as error:
        raise ValueError(f"'{value}' is no colour for '{name}'") from error
