"""The themes there are: those of the package and a user's own, read from `*.toml` files. Used by `Appearance`.

A file that is not a theme is reported and left out; it never stands in the way of the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from textual.theme import Theme

from ollama_tui.appearance import theme_file

DEFAULT = "ink"
SIXTEEN_COLORS = "ansi"
"""The theme for a terminal with no more than sixteen colours."""
OUR_COLORS = {"muted": "#8c8c8c"}
"""Colours that Textual's own themes do not know, and what stands for them there."""

Stamp = tuple[tuple[str, int, int], ...]
"""What the files of a folder are like: name, time of change, size."""


@dataclass(frozen=True)
class BadTheme:
    """A file that is left out, and why in one sentence."""

    path: Path
    reason: str
    line: int = 0

    def __str__(self) -> str:
        where = f", line {self.line}" if self.line else ""
        return f"{self.path}{where}: {self.reason}"


def bundled_folder() -> Path:
    """`themes/` inside the installed package, or at the top of the repository it is run from."""
    package = Path(__file__).parents[1]
    return next(
        (folder for folder in (package / "themes", package.parents[1] / "themes") if folder.is_dir()),
        package / "themes",
    )


def load(folders: Iterable[Path]) -> tuple[list[Theme], list[BadTheme]]:
    """All themes in these folders; where two have one name, the later folder's wins."""
    themes: dict[str, Theme] = {}
    bad: list[BadTheme] = []
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = theme_file.read(path)
            except theme_file.NoTheme as error:
                bad.append(BadTheme(path, str(error), error.line))
            else:
                themes[theme.name] = theme
    return list(themes.values()), bad


def stamp(folders: Iterable[Path]) -> Stamp:
    """What changes when a theme is saved, added or removed; cheap."""
    found: list[tuple[str, int, int]] = []
    for folder in folders:
        for path in folder.glob("*.toml"):
            try:
                status = path.stat()
            except OSError:  # removed meanwhile, or a link to nowhere: reading it says so
                found.append((str(path), 0, 0))
            else:
                found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))
