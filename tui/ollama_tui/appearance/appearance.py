"""`Appearance`: the colours of the App: which theme is in use, tried, remembered; a user's own is read when saved."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.command import CommandPalette
from textual.theme import Theme

from ollama_engine.errors import EngineError
from ollama_tui.appearance import themes
from ollama_tui.text import visible

if TYPE_CHECKING:
    from textual.app import App
    from textual.timer import Timer

LOOK_EVERY = 2.0
"""Seconds between two looks at a user's own themes."""
REST = 0.1
"""Seconds that the cursor rests on a theme in a list before it is tried: walking over the list costs nothing."""


@dataclass(frozen=True)
class ChooseTheme:
    """A command of the palette: use this theme from now on. The cursor on it shows the theme already."""

    name: str
    appearance: Appearance = field(repr=False, compare=False)

    def __call__(self) -> None:
        self.appearance.choose(self.name)


class Appearance:
    """Args:
    folders: folders of `*.toml` of the user's own; they go before those of the package.
    fallback: the theme where none was chosen, or the one chosen is not there.
    remember: keeps the choice for the next time.
    """

    def __init__(
        self,
        app: App[Any],
        *,
        folders: Iterable[Path] = (),
        wanted: str = "",
        fallback: str = themes.DEFAULT,
        remember: Callable[[str], None] | None = None,
    ) -> None:
        self._app = app
        self._own_folders = tuple(folders)
        self._remember = remember
        self._themes: dict[str, Theme] = {}
        self._bad: list[themes.BadTheme] = []
        self._told: set[themes.BadTheme] = set()
        self._tried_from: str | None = None
        self._resting: Timer | None = None
        self._cursor_on: str | None = None
        self._fallback = fallback
        self._missing = ""
        self._seen = themes.stamp(self._own_folders)
        self._load()
        self._begin_with(wanted)

    @property
    def names(self) -> list[str]:
        """The themes to choose from, the one in use first."""
        return sorted(self._themes, key=lambda name: (name != self._app.theme, name))

    def _load(self) -> None:
        loaded, self._bad = themes.load([themes.bundled_folder(), *self._own_folders])
        self._themes = {theme.name: theme for theme in loaded}
        for theme in loaded:
            self._app.register_theme(theme)

    def _begin_with(self, wanted: str) -> None:
        known = self._app.available_themes
        self._missing = wanted if wanted and wanted not in known else ""
        if wanted in known:
            self._app.theme = wanted
        elif "TEXTUAL_THEME" not in os.environ and self._fallback in known:
            self._app.theme = self._fallback

    def started(self) -> None:
        """The App can notify now: say what is wrong with themes, and begin to look after the user's own."""
        self._tell()
        if self._missing:
            self._app.notify(self._unknown(self._missing), severity="warning", markup=False)
        self._app.theme_changed_signal.subscribe(self._app, self._restyle)
        if self._own_folders:
            self._app.set_interval(LOOK_EVERY, self.look_again, name="themes")

    def _restyle(self, theme: Theme) -> None:
        """Textual restyles every screen but a palette of its own that is open."""
        if isinstance(self._app.screen, CommandPalette):
            self._app.stylesheet.update(self._app.screen)
            self._app.screen.refresh()

    # Choose

    def commands(self) -> list[ChooseTheme]:
        return [ChooseTheme(name, self) for name in self.names]

    def open_list(self) -> None:
        """A list of the themes: the cursor tries one, enter takes it, esc leaves everything as it was."""
        self._app.search_commands([(one.name, one) for one in self.commands()], placeholder="Which colours?")

    def choose(self, name: str) -> None:
        """Use this theme, now and the next time."""
        if name not in self._app.available_themes:
            self._app.notify(self._unknown(name), severity="error", markup=False)
            return
        self._tried_from = None
        self._app.theme = name
        if self._remember is not None:
            self._app.run_worker(partial(self._keep, self._remember, name), group="theme", exclusive=True)

    def use(self, name: str) -> None:
        """Use this theme, "" for the one where none was chosen: the setting has changed, nothing is to be kept."""
        self._tried_from = None
        if name and name not in self._app.available_themes:
            self._app.notify(self._unknown(name), severity="error", markup=False)
        else:
            self._app.theme = name or self._fallback

    async def _keep(self, remember: Callable[[str], None], name: str) -> None:
        try:
            await asyncio.to_thread(remember, name)
        except EngineError as error:
            text = f"The colours stay until you quit, but cannot be kept: {error.message}"
            self._app.notify(visible(text), severity="warning", markup=False)

    def problem(self, name: str) -> str:
        """Why this theme cannot be chosen, in words; "" where it can, or where it is left to the terminal."""
        return "" if not name or name in self._app.available_themes else self._unknown(name)

    def _unknown(self, name: str) -> str:
        return f"There is no theme '{visible(name)}'. There are: {', '.join(sorted(self._themes))}."

    # Try

    def highlighted(self, event: CommandPalette.OptionHighlighted) -> None:
        """The cursor of a palette has moved: try the theme it is on, once it rests there."""
        command = getattr(getattr(event.highlighted_event.option, "hit", None), "command", None)
        self._cursor_on = name = command.name if isinstance(command, ChooseTheme) else None
        if self._resting is not None:
            self._resting.stop()
        self._resting = self._app.set_timer(REST, lambda: self.attempt(name) if name else self.restore())

    def closed(self, event: CommandPalette.Closed) -> None:
        """A palette is closed; what was tried goes, if it was not taken."""
        if self._resting is not None:
            self._resting.stop()
        if not event.option_selected or self._cursor_on is None:
            self.restore()

    def attempt(self, name: str) -> None:
        """Show this theme until `choose` or `restore`."""
        if name in self._app.available_themes and name != self._app.theme:
            self._tried_from = self._tried_from or self._app.theme
            self._app.theme = name

    def restore(self) -> None:
        """Back to the theme before `attempt`."""
        if self._tried_from is not None:
            self._app.theme, self._tried_from = self._tried_from, None

    # A user's own themes, while they are written

    async def look_again(self) -> None:
        """Read the user's own themes again where one was saved, added or removed."""
        seen = await asyncio.to_thread(themes.stamp, self._own_folders)
        if seen == self._seen:
            return
        self._seen = seen
        before = dict(self._themes)
        self._load()
        self._tell()
        self._keep_or_drop(before)
        now = self._app.available_themes.get(self._app.theme)
        if now is not None and now != before.get(self._app.theme):
            self._app._watch_theme(self._app.theme)  # the same name: Textual would see no change

    def _keep_or_drop(self, before: dict[str, Theme]) -> None:
        """A theme whose file is wrong just now stays as it was; one whose file is gone goes."""
        for name in before.keys() - self._themes.keys():
            if self._bad:
                self._themes[name] = before[name]
                continue
            if self._app.theme == name:
                self._app.theme = self._fallback
            self._app.unregister_theme(name)

    def _tell(self) -> None:
        """One notification for each file that is wrong, once for each thing that is wrong with it."""
        for bad in self._bad:
            if bad not in self._told:
                self._app.notify(visible(str(bad)), title="Not a theme", severity="warning", markup=False)
        self._told = set(self._bad)
