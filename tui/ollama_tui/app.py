"""`Workstation`: the Textual App. It holds the frame of five panes, themes and commands; services do the work."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.getters import query_one
from textual.reactive import var
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from ollama_engine.engine import Engine
from ollama_engine.settings import Settings
from ollama_tui import actions, panes, suggestions, themes
from ollama_tui.appearance import Appearance
from ollama_tui.chats import ChatStore
from ollama_tui.panes.library import LibraryPane
from ollama_tui.services import Connect, EngineLink, Services
from ollama_tui.services.link import LinkState
from ollama_tui.terminal.app import TerminalApp
from ollama_tui.widgets.key_line import KeyLine
from ollama_tui.widgets.keys_screen import KeysScreen
from ollama_tui.widgets.pane import Pane
from ollama_tui.widgets.top_line import TopLine


class Workstation(TerminalApp, inherit_bindings=False):
    """Args:
    engine: the engine (not yet entered), or how to choose one; either is entered after the first paint.
    host_label: where the engine is, in words, until it is connected.
    model: open on a new conversation with this model, where it is given.
    theme_folders: folders of `*.toml` of the user's own.
    remember: keeps a setting for the next time: its name, its value as text.
    clock: Unix seconds; machine_memory: bytes a model may use here.
    """

    TITLE = "ollama-tui"
    AUTO_FOCUS = None
    CSS_PATH: ClassVar[list[str | Path]] = [  # pyright: ignore[reportIncompatibleVariableOverride]
        "frame.tcss",
        *(f"panes/{pane}/{pane}.tcss" for pane in panes.TITLES),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("app")]

    top_line = query_one(TopLine)
    switcher = query_one("#panes", ContentSwitcher)

    pane: var[str] = var("library")

    def __init__(
        self,
        engine: Engine | Connect,
        settings: Settings,
        *,
        chats: ChatStore,
        host_label: str,
        model: str | None = None,
        theme_folders: Iterable[Path] = (),
        remember: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.time,
        machine_memory: Callable[[], int] = suggestions.machine_memory,
    ) -> None:
        super().__init__(ascii_glyphs=settings.glyphs == "ascii")
        self.settings = settings
        link = EngineLink(engine, host_label) if callable(engine) else EngineLink.to(engine, host_label)
        self.services = Services(link, chats, clock=clock, machine_memory=machine_memory)
        if "TEXTUAL_ANIMATIONS" not in os.environ:
            self.animation_level = "none"
        self._model = model
        self.appearance = Appearance(
            self,
            folders=theme_folders,
            wanted=settings.theme,
            fallback=themes.DEFAULT if self.console.color_system != "standard" else themes.SIXTEEN_COLORS,
            remember=partial(remember, "theme") if remember else None,
        )

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.OUR_COLORS

    def compose(self) -> ComposeResult:
        yield TopLine()
        with ContentSwitcher(id="panes", initial="library"):
            yield LibraryPane(self.services)
        yield KeyLine()

    def on_mount(self) -> None:
        self.appearance.started()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """After the first paint: connect, and look for the last conversation."""
        pane = self._current_pane()
        pane.entered()
        target = pane.focus_target()
        if target is not None:
            target.focus()
        self.run_worker(self._follow_link(), group="link")
        self.run_worker(self._restore(), group="restore")

    async def _follow_link(self) -> None:
        async for state in self.services.link.state.watch():
            self._show_link(state)

    def _show_link(self, state: LinkState) -> None:
        self.top_line.link = state

    async def _restore(self) -> None:
        await self.services.chats.restore()
        if self._model is not None:
            await self.services.chats.new(self._model)
            await self.action_pane("chat")

    # Panes

    def _current_pane(self) -> Pane:
        return self.switcher.query_one(f"#{self.pane}", Pane)

    async def action_pane(self, pane_id: str) -> None:
        """Show a pane, made now where it was never shown before."""
        if pane_id == self.pane:
            return
        if not self.switcher.query(f"#{pane_id}"):
            await self.switcher.mount(panes.make(pane_id, self.services))
        self._current_pane().left()
        self.pane = pane_id
        self.switcher.current = pane_id
        self.top_line.pane = pane_id
        pane = self._current_pane()
        pane.entered()
        target = pane.focus_target()
        if target is not None:
            target.focus()

    @on(Pane.Wanted)
    async def _go_on_elsewhere(self, event: Pane.Wanted) -> None:
        await self.action_pane(event.pane_id)
        await self._current_pane().offer_models(event.models)

    # Commands

    def action_keys(self) -> None:
        self.push_screen(KeysScreen([part.group for part in self._current_pane().acting()], panes.TITLES[self.pane]))

    def action_interrupt(self) -> None:
        self.notify("ctrl+q quits; esc stops an answer.", markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every action of this pane and of the frame, then the themes."""
        acting = {"app": self, **{part.group: part for part in self._current_pane().acting()}}
        for action in actions.of(*acting):
            node = acting[action.pane]
            if not action.palette or not node.check_action(action.call, ()):
                continue
            keys = actions.key_names(actions.keys_of(action))
            title = action.label if action.pane == "app" else f"{panes.TITLES[self.pane]}: {action.label}"
            yield SystemCommand(title, f"{action.help}  ({keys})", partial(node.run_action, action.call))
        for choice in self.appearance.commands():
            yield SystemCommand(f"Theme: {choice.name}", "Use this theme", choice)

    def action_theme(self, name: str = "") -> None:
        """Use a theme, or look through them."""
        if name:
            self.appearance.choose(name)
        else:
            self.appearance.open_list()

    @on(CommandPalette.OptionHighlighted)
    def _try_theme(self, event: CommandPalette.OptionHighlighted) -> None:
        self.appearance.highlighted(event)

    @on(CommandPalette.Closed)
    def _end_trying_themes(self, event: CommandPalette.Closed) -> None:
        self.appearance.closed(event)

    # The end

    async def on_unmount(self) -> None:
        await self.services.keep()
