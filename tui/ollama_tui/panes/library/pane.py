"""The Library pane: a tab of the models in the store and one of those that can be had, under one line of tabs."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.getters import query_one
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from ollama_tui import actions
from ollama_tui.panes.library.installed import Installed
from ollama_tui.services import Services
from ollama_tui.widgets.pane import Pane, Part
from ollama_tui.widgets.tab_line import Noted, TabLine

TABS = {"installed": "Installed", "discover": "Discover"}


class LibraryPane(Pane):
    """The actions of a tab are the tab's own (`library`, `discover`); going from one to the other is the pane's."""

    pane_id = "library"
    group = "tabs"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("tabs")]

    tab_line = query_one(TabLine)
    switcher = query_one("#library-tabs", ContentSwitcher)

    tab: var[str] = var("installed")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._notes: dict[str, Content] = {}

    def compose(self) -> ComposeResult:
        yield TabLine(TABS)
        with ContentSwitcher(id="library-tabs", initial="installed"):
            yield Installed(self.services)

    @property
    def shown_tab(self) -> Part:
        return self.switcher.query_one(f"#{self.tab}", Part)

    def acting(self) -> tuple[Part, ...]:
        return (self.shown_tab, self)

    def fit_in(self) -> None:
        self.shown_tab.zoomed = self.zoomed

    def entered(self) -> None:
        self.shown_tab.entered()

    def left(self) -> None:
        self.shown_tab.left()

    def focus_target(self) -> Widget | None:
        return self.shown_tab.focus_target()

    async def offer_models(self, models: tuple[str, ...]) -> None:
        """Models that another pane shows: they are marked, or selected, in the list of those that are here."""
        await self.show_tab("installed")
        await self.shown_tab.offer_models(models)

    async def turn_to(self, group: str) -> Part:
        tabs = {"library": "installed", "discover": "discover"}
        if group in tabs:
            await self.show_tab(tabs[group])
        return await super().turn_to(group)

    async def show_tab(self, tab: str) -> None:
        """Show a tab, made now where it was never shown before."""
        if tab == self.tab:
            return
        if not self.switcher.query(f"#{tab}"):
            await self.switcher.mount(self._make(tab))
        self.shown_tab.left()
        self.tab = self.tab_line.current = self.switcher.current = tab
        self._show_note()
        self.shown_tab.zoomed = self.zoomed
        self.shown_tab.entered()
        target = self.shown_tab.focus_target()
        if target is not None:
            target.focus()

    def _make(self, tab: str) -> Part:
        if tab == "installed":
            return Installed(self.services)
        from ollama_tui.panes.library.discover import Discover

        return Discover(self.services)

    @on(Noted)
    def _take_note(self, event: Noted) -> None:
        self._notes[event.tab] = event.note
        self._show_note()

    def _show_note(self) -> None:
        self.tab_line.note = self._notes.get(self.tab, Content(""))

    @on(TabLine.Chosen)
    async def _tab_clicked(self, event: TabLine.Chosen) -> None:
        await self.show_tab(event.tab)

    async def action_tab(self, step: int) -> None:
        tabs = list(TABS)
        await self.show_tab(tabs[(tabs.index(self.tab) + step) % len(tabs)])
