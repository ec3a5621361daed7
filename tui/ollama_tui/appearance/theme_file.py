"""One theme file: a name, `dark`, a table of colours and one of Textual's variables, checked key by key.

    name = "mine"
    dark = true
    ansi = false             # true: the sixteen colours of the terminal, by their names
    [colors]
    background = "#101418"
    ...

What is wrong is said with the key and its line.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

REQUIRED_COLORS = ("background", "surface", "panel", "foreground", "primary", "accent", "success", "warning", "error")
COLORS = (*REQUIRED_COLORS, "secondary", "boost", "muted")
KEYS = ("name", "dark", "ansi", "colors", "variables")
QUIET_TEXT = ("text-muted", "text-disabled", "foreground-muted", "foreground-disabled", "markdown-h6-color")
"""Variables of Textual that are paler than can be read; `muted` stands for them."""
_MISSING_IN_ANSI = {
    "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
    "surface-active": "transparent",
    "foreground-disabled": "ansi_default",
}
"""Variables of Textual that its style sheets use and its sixteen-colour themes do not make."""
_TEXT_STYLE = re.compile(r"(none|((not )?(bold|dim|italic|underline|reverse|strike|b|d|i|u|r|s) ?)+)")
_NAME = re.compile(r"[\w.-]{1,40}")
_ERROR_LINE = re.compile(r" \(at line (\d+), column \d+\)")


class NoTheme(ValueError):
    """Why a file is no theme, in one sentence, and the line it is about; 0 where it is about all of the file."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


def read(path: Path) -> Theme:
    """One theme file; NoTheme with the reason where it is none."""
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise NoTheme(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NoTheme("is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        where = _ERROR_LINE.search(str(error))
        raise NoTheme(_ERROR_LINE.sub("", str(error)), int(where[1]) if where else 0) from error
    return _Reader(text, table).theme()


class _Reader:
    """The keys of one file, checked in turn."""

    def __init__(self, text: str, table: dict[str, Any]) -> None:
        self._text = text
        self._table = table

    def theme(self) -> Theme:
        self._check_known(self._table, KEYS, "key", "")
        name = self._table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            missing = "'name' is missing" if "name" not in self._table else "'name' must be a word"
            raise NoTheme(missing, self._line("", "name"))
        for key in ("dark", "ansi"):
            if not isinstance(self._table.get(key, False), bool) or (key == "dark" and key not in self._table):
                raise NoTheme(f"'{key}' must be true or false", self._line("", key))
        colors = self._texts("colors")
        self._check_known(colors, COLORS, "colour", "colors")
        for color in REQUIRED_COLORS:
            if color not in colors:
                raise NoTheme(f"the colour '{color}' is missing", self._line("colors"))
        for color, value in colors.items():
            self._check_color("colors", color, value)
        return self._made(name, colors)

    def _made(self, name: str, colors: dict[str, str]) -> Theme:
        ansi = self._table.get("ansi", False)
        theme = Theme(name, colors["primary"], dark=self._table["dark"], ansi=ansi)
        for color, value in colors.items():
            if color != "muted":
                setattr(theme, color, value)
        variables = self._texts("variables")
        self._check_known(variables, _variables_of_textual(), "variable", "variables")
        for variable, value in variables.items():
            if not _TEXT_STYLE.fullmatch(value):
                self._check_color("variables", variable, value)
        muted = colors.get("muted") or _paler(colors["foreground"], colors["background"])
        theme.variables = {"muted": muted, **dict.fromkeys(QUIET_TEXT, muted), **variables}
        if ansi:
            theme.variables = {**_MISSING_IN_ANSI, **theme.variables}
        return theme

    def _texts(self, key: str) -> dict[str, str]:
        value = self._table.get(key, {})
        if not isinstance(value, dict):
            raise NoTheme(f"'{key}' must be a table", self._line("", key))
        for name, text in value.items():
            if not isinstance(text, str):
                raise NoTheme(f"'{name}' must be a text", self._line(key, name))
        return value

    def _check_known(self, given: Iterable[str], known: Iterable[str], kind: str, table: str) -> None:
        for key in given:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f" (did you mean '{near[0]}'?)" if near else ""
                raise NoTheme(f"unknown {kind} '{key}'{hint}", self._line(table, key))

    def _check_color(self, table: str, key: str, value: str) -> None:
        try:
            Color.parse(value)
        except ColorParseError as error:
            raise NoTheme(f"'{value}' is no colour for '{key}'", self._line(table, key)) from error

    def _line(self, table: str, key: str = "") -> int:
        """The line of a key in a table, or of the table's head; 0 where it cannot be told."""
        here = ""
        for number, line in enumerate(self._text.splitlines(), 1):
            head = re.match(r"\s*\[\s*[\"']?([\w-]+)[\"']?\s*\]", line)
            if head:
                here = head[1]
            found = re.match(r"\s*[\"']?([\w.-]+)[\"']?\s*=", line)
            if (found and here == table and found[1] == key) or (head and here == (key or table)):
                return number
        return 0


def _paler(foreground: str, background: str) -> str:
    text, ground = Color.parse(foreground), Color.parse(background)
    return foreground if text.ansi is not None or ground.ansi is not None else text.blend(ground, 0.25).hex


@cache
def _variables_of_textual() -> frozenset[str]:
    plain, ansi = (Theme("", "ansi_blue" if ansi else "#000", ansi=ansi).to_color_system() for ansi in (False, True))
    return frozenset((*plain.generate(), *ansi.generate(), "muted", "ansi-background", "ansi-foreground"))
