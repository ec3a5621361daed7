"""`SettingsScreen`: every setting with its value and where that comes from; filtered, changed, put back to default."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import DataTable, Input

from ollama_engine.errors import EngineError
from ollama_engine.settings_view import SettingView
from ollama_tui.paths import shown_path
from ollama_tui.services.settings import SettingsService
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.dialog import Dialog
from ollama_tui.widgets.key_line import KeyLine
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.row_table import Column, RowTable

NAME, SOURCE = 20, 13
TRUE_FALSE = ("true", "false")


class SettingsScreen(Dialog[None]):
    """`taken` is called after each change, so that what can change at once does; `problem` says what is wrong with a
    value for a setting, in words."""

    DEFAULT_CSS = """
    SettingsScreen {
        background: $background;
        #settings-title { height: 1; padding: 0 1; background: $panel; }
        #settings-filter { display: none; height: 1; background: $panel; }
        #settings { height: 1fr; }
        #settings-details { height: 5; padding: 0 1; background: $surface; }
    }
    """
    groups = ("settings",)
    topic = "Settings"
    AUTO_FOCUS = "#settings"

    def __init__(
        self, settings: SettingsService, taken: Callable[[str], Awaitable[str]], problem: Callable[[str, str], str]
    ) -> None:
        super().__init__()
        self._problem = problem
        self._settings = settings
        self._taken = taken
        self._views: dict[str, SettingView] = {}

    def compose(self) -> ComposeResult:
        yield Lines(id="settings-title")
        yield Input(placeholder="filter settings", id="settings-filter", compact=True)
        yield RowTable(id="settings")
        yield Lines(id="settings-details")
        yield KeyLine()

    def on_mount(self) -> None:
        self._table = self.query_one(RowTable)
        self._filter = self.query_one(Input)
        self._filter.cursor_blink = False
        title = Content.styled("Settings", "$accent bold") + Content(f"  {visible(shown_path(self._settings.file))}")
        self.query_one("#settings-title", Lines).show(title)
        self.run_worker(self._read, group="read", exclusive=True)

    def on_resize(self) -> None:
        self._draw()

    async def _read(self) -> None:
        try:
            self._views = {view.key: view for view in await self._settings.view()}
        except EngineError as error:
            self._report(error)
            return
        self._draw()

    def _draw(self) -> None:
        if not self.size.width or not self.is_mounted:
            return
        width = max(10, self.size.width - NAME - SOURCE - 8)
        self._table.lay_out(
            (Column("key", "SETTING", NAME), Column("value", "VALUE", width), Column("source", "FROM", SOURCE))
        )
        words = self._filter.value.lower().split()
        shown = [view for view in self._views.values() if all(word in _searched(view) for word in words)]
        self._table.show_rows(
            {view.key: {"key": view.key, "value": one_line(view.value) or "-", "source": view.source} for view in shown}
        )
        self._draw_details()

    def _draw_details(self) -> None:
        view = self._views.get(self._table.selected or "")
        details = self.query_one("#settings-details", Lines)
        if view is None:
            details.show("No setting has these words." if self._views else "")
            return
        takes = ", ".join(view.choices) or view.kind
        details.show(
            Content.styled(f"{view.key}\n", "$accent bold")
            + Content(f"{view.meaning}\n")
            + Content.styled(f"takes {takes} · default {view.default or '-'} · {view.variable}", "$muted")
        )

    @on(DataTable.RowHighlighted, "#settings")
    def _turn_to_row(self) -> None:
        self._draw_details()

    @on(DataTable.RowSelected, "#settings")
    def _row_clicked(self) -> None:
        self.action_edit()

    @on(Input.Changed, "#settings-filter")
    def _filter_typed(self) -> None:
        self._draw()

    @on(Input.Submitted, "#settings-filter")
    def _filter_done(self) -> None:
        self._table.focus()

    # What the user does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "next_word":
            return bool(self._words())
        return True

    def _selected(self) -> SettingView | None:
        return self._views.get(self._table.selected or "")

    def _words(self) -> tuple[str, ...]:
        """The words that the selected setting takes, where it takes nothing else."""
        view = self._selected() if self.is_mounted and self._views else None
        if view is None:
            return ()
        return TRUE_FALSE if view.kind == "boolean" else view.choices

    def action_edit(self) -> None:
        view = self._selected()
        if view is None:
            return
        takes = ", ".join(self._words()) or f"a {view.kind}" + (f", such as {view.default}" if view.default else "")
        secret = view.value.startswith("*")
        self.app.push_screen(
            AskScreen(
                f"{view.key}: {view.meaning}",
                "" if secret else view.value,
                note=f"It takes {takes}.",
                check=lambda text: self._problem(view.key, text),
            ),
            lambda text: self._change(view.key, text) if text is not None else None,
        )

    def action_next_word(self) -> None:
        """The next of the words that the setting takes."""
        view, words = self._selected(), self._words()
        if view is not None and words:
            at = words.index(view.value) if view.value in words else -1
            self._change(view.key, words[(at + 1) % len(words)])

    def action_unset(self) -> None:
        view = self._selected()
        if view is not None:
            self.run_worker(partial(self._take_out, view.key), group="write")

    def action_copy(self) -> None:
        view = self._selected()
        if view is not None:
            self.app.copy_to_clipboard(f"{view.variable}={view.value}")
            self.app.notify(f"Copied: {visible(view.variable)}", markup=False)

    def action_filter(self) -> None:
        self._filter.display = True
        self._filter.focus()

    def action_leave(self) -> None:
        """Out of the filter, then out of the screen."""
        if self._filter.display:
            self._filter.value = ""
            self._filter.display = False
            self._table.focus()
        else:
            self.dismiss(None)

    # Changing

    def _change(self, key: str, text: str) -> None:
        self.run_worker(partial(self._write, key, text), group="write")

    async def _write(self, key: str, text: str) -> None:
        try:
            hidden = await self._settings.write(key, text)
        except EngineError as error:
            self._report(error)
            return
        await self._tell(f"{key} = {text}", hidden, key)

    async def _take_out(self, key: str) -> None:
        try:
            there = await self._settings.unset(key)
        except EngineError as error:
            self._report(error)
            return
        await self._tell(f"{key} is left to its default" if there else f"{key} does not stand in the file", "", key)

    async def _tell(self, done: str, hidden: str, key: str) -> None:
        note = hidden or await self._taken(key)
        self.app.notify(visible(f"{done}. {note}".strip()), markup=False)
        await self._read()

    def _report(self, error: EngineError) -> None:
        self.app.notify(visible(f"{error.message}\n{error.hint}".strip()), severity="error", markup=False)


def _searched(view: SettingView) -> str:
    return f"{view.key} {view.meaning} {view.variable}".lower()
