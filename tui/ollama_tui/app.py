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

from ollama_engine.choices import KEYMAPS
from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.settings import Settings
from ollama_tui import actions, commands, keymap_files, panes, suggestions, themes
from ollama_tui.appearance import Appearance
from ollama_tui.chats import ChatStore
from ollama_tui.panes.library import LibraryPane
from ollama_tui.services import Connect, EngineLink, Services
from ollama_tui.services.link import LinkState
from ollama_tui.terminal.app import TerminalApp
from ollama_tui.text import visible
from ollama_tui.widgets.command_history import CommandHistory
from ollama_tui.widgets.command_screen import CommandScreen
from ollama_tui.widgets.frame_screen import FrameScreen
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
    config_folder: where the user's keymap.toml is.
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
    zoom: var[int] = var(0)
    """1 hides what a pane shows beside the main thing, 2 also the first and the last line."""

    def __init__(
        self,
        engine: Engine | Connect,
        settings: Settings,
        *,
        chats: ChatStore,
        host_label: str,
        model: str | None = None,
        theme_folders: Iterable[Path] = (),
        config_folder: Path | None = None,
        remember: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.time,
        machine_memory: Callable[[], int] = suggestions.machine_memory,
    ) -> None:
        super().__init__(ascii_glyphs=settings.glyphs == "ascii")
        self.settings = settings
        link = EngineLink(engine, host_label) if callable(engine) else EngineLink.to(engine, host_label)
        self.services = Services(
            link, chats, clock=clock, machine_memory=machine_memory, refresh_seconds=settings.refresh
        )
        if "TEXTUAL_ANIMATIONS" not in os.environ:
            self.animation_level = "none"
        self._model = model
        self._config_folder = config_folder
        self._last_pane = ""
        self.command_history = CommandHistory(None)
        self.keymap = keymap_files.load(settings.keymap, config_folder)
        self.set_keymap(self.keymap.bindings())
        self.appearance = Appearance(
            self,
            folders=theme_folders,
            wanted=settings.theme,
            fallback=themes.DEFAULT if self.console.color_system != "standard" else themes.SIXTEEN_COLORS,
            remember=partial(remember, "theme") if remember else None,
        )

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.OUR_COLORS

    def get_default_screen(self) -> FrameScreen:
        return FrameScreen(id="_default")

    def compose(self) -> ComposeResult:
        yield TopLine()
        with ContentSwitcher(id="panes", initial="library"):
            yield LibraryPane(self.services)
        yield KeyLine()

    def on_mount(self) -> None:
        self.appearance.started()
        self._report_keymap()
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
        self.run_worker(self._follow_pulls(), group="pulls")

    async def _follow_link(self) -> None:
        async for state in self.services.link.state.watch():
            self._show_link(state)

    def _show_link(self, state: LinkState) -> None:
        self.top_line.link = state

    async def _follow_pulls(self) -> None:
        """Go on with what an earlier workstation left to pull, after the models are shown; tell what ends."""
        await self.services.pulls.begin()
        async for pull in self.services.pulls.ended():
            pane, view = self._current_pane(), pull.view
            if view.state == "done":
                pane.announce(f"{view.name} is in the Library.", title="Pulled")
            else:
                pane.report(EngineError(f"{view.name}: {view.error}", hint=view.hint))

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
        self._last_pane, self.pane = self.pane, pane_id
        self.switcher.current = pane_id
        self.top_line.pane = pane_id
        pane = self._current_pane()
        pane.entered()
        target = pane.focus_target()
        if target is not None:
            target.focus()

    async def action_last_pane(self) -> None:
        if self._last_pane:
            await self.action_pane(self._last_pane)

    async def action_step(self, step: int) -> None:
        """Go to the pane beside this one; beside the last is the first."""
        ids = list(panes.TITLES)
        await self.action_pane(ids[(ids.index(self.pane) + step) % len(ids)])

    async def action_chat_with(self, model: str) -> None:
        await self.action_pane("chat")
        if model:
            await self._current_pane().offer_models((model,))

    def action_zoom(self, step: int) -> None:
        self.zoom = min(max(0, self.zoom + step), 2)

    def watch_zoom(self, zoom: int) -> None:
        if self.is_mounted:
            frame = self.screen_stack[0]
            frame.set_class(zoom >= 1, "-zoomed")
            frame.set_class(zoom >= 2, "-alone")

    def action_go_back(self) -> None:
        """Out of a field to the pane's main thing, else out of zoom."""
        target = self._current_pane().focus_target()
        if target is not None and self.focused is not target:
            target.focus()
        else:
            self.zoom = 0

    @on(Pane.Wanted)
    async def _go_on_elsewhere(self, event: Pane.Wanted) -> None:
        await self.action_pane(event.pane_id)
        await self._current_pane().offer_models(event.models)

    # Keys, and commands by name

    def action_use_keymap(self, preset: str) -> None:
        """Take another preset, or the same; the user's keymap.toml is read again."""
        self.keymap = keymap_files.load(preset or self.settings.keymap, self._config_folder)
        self.set_keymap(self.keymap.bindings())
        self.top_line.refresh()
        self._report_keymap()

    def _report_keymap(self) -> None:
        if self.keymap.problems:
            self.notify(visible("\n".join(self.keymap.problems)), title="Keys", severity="warning", markup=False)

    def action_use_theme(self, name: str) -> None:
        if name:
            self.appearance.choose(name)
        else:
            self.appearance.open_list()

    def action_command_line(self) -> None:
        acting = tuple(part.group for part in self._current_pane().acting())
        self.push_screen(CommandScreen(acting, self.command_history, self._words_for), self._command_typed)

    def _command_typed(self, line: str | None) -> None:
        if line is not None:
            self.run_worker(self.run_command(line), group="command")

    async def run_command(self, line: str) -> None:
        """Do what a line such as `:pull llama3.2` says; a pane that does it is shown first."""
        try:
            command = commands.parse(line, [part.group for part in self._current_pane().acting()])
        except ValueError as error:
            self.notify(visible(str(error)), severity="warning", markup=False)
            return
        action, node = command.action, self
        if action.group in panes.HOMES:
            await self.action_pane(panes.HOMES[action.group])
            node = await self._current_pane().turn_to(action.group)
        given = ("", action.method, (command.argument,)) if action.argument else action.run
        if not node.check_action(action.method, ()):
            self.notify(f":{action.commands[0]} does nothing here now.", severity="warning", markup=False)
        else:
            await self.run_action(given, node)

    def _words_for(self, argument: str) -> list[str]:
        """What may stand for an argument on the command line."""
        match argument:
            case "MODEL":
                return [model.name for model in self.services.library.view.value.models]
            case "THEME":
                return sorted(self.appearance.names)
            case "KEYMAP":
                return list(KEYMAPS)
            case _:
                return []

    def action_keys(self) -> None:
        self.push_screen(KeysScreen([part.group for part in self._current_pane().acting()], panes.TITLES[self.pane]))

    def action_interrupt(self) -> None:
        quits, stops = self.keymap.name("app.quit_anywhere"), self.keymap.name("chat.stop")
        self.notify(f"{quits} quits; {stops} stops an answer.", markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every action of this pane and of the frame, then the themes."""
        acting = {"app": self, **{part.group: part for part in self._current_pane().acting()}}
        for action in actions.of(*acting):
            node = acting[action.group]
            if not action.palette or not node.check_action(action.method, ()):
                continue
            keys = ", ".join(filter(None, (self.keymap.names(action), action.usage)))
            title = action.label if action.group == "app" else f"{panes.TITLES[self.pane]}: {action.label}"
            yield SystemCommand(title, f"{action.help}  ({keys})", partial(self.run_action, action.run, node))
        for choice in self.appearance.commands():
            yield SystemCommand(f"Theme: {choice.name}", "Use this theme", choice)

    @on(CommandPalette.OptionHighlighted)
    def _try_theme(self, event: CommandPalette.OptionHighlighted) -> None:
        self.appearance.highlighted(event)

    @on(CommandPalette.Closed)
    def _end_trying_themes(self, event: CommandPalette.Closed) -> None:
        self.appearance.closed(event)

    # The end

    async def on_unmount(self) -> None:
        await self.services.keep()
