"""`Workstation`: the Textual App. It holds the frame of five panes, themes and commands; services do the work."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable
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
from textual.widgets import ContentSwitcher, Input, TextArea

from ollama_engine.choices import KEYMAPS
from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.settings import Settings, default_config_file
from ollama_tui import actions, keymap_files, panes, suggestions
from ollama_tui.appearance import Appearance, themes
from ollama_tui.chats import ChatStore
from ollama_tui.commanding import Commanding
from ollama_tui.first_run.touring import TOY, Touring
from ollama_tui.services import Connect, EngineLink, Services
from ollama_tui.services.link import LinkState
from ollama_tui.services.listing import ListingFile
from ollama_tui.services.settings import SettingsService, problem
from ollama_tui.terminal.app import TerminalApp
from ollama_tui.text import visible
from ollama_tui.widgets.command_history import CommandHistory
from ollama_tui.widgets.frame_screen import FrameScreen
from ollama_tui.widgets.key_line import KeyLine
from ollama_tui.widgets.keys_screen import KeysScreen
from ollama_tui.widgets.pane import Pane, Part
from ollama_tui.widgets.settings_screen import SettingsScreen
from ollama_tui.widgets.top_line import TopLine
from ollama_tui.widgets.tour import Tour


class Workstation(TerminalApp, inherit_bindings=False):
    """Args:
    engine: the engine (not yet entered), or how to choose one; either is entered after the first paint.
    host_label: where the engine is, in words, until it is connected.
    model: open on a new conversation with this model, where it is given; there is no tour then.
    theme_folders: folders of `*.toml` of the user's own.
    settings_service: reads and writes config.toml, which the user's keymap.toml is beside.
    state_folder: where the list of models and what was typed on the command line are kept for the next time; None
        keeps them in memory alone.
    remember: keeps a setting for the next time: its name, its value as text.
    look_around: what is on this machine already, in words, for the first run.
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
    tour = query_one(Tour)
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
        settings_service: SettingsService | None = None,
        state_folder: Path | None = None,
        remember: Callable[[str, str], None] | None = None,
        look_around: Callable[[], Awaitable[str]] | None = None,
        clock: Callable[[], float] = time.time,
        machine_memory: Callable[[], int] = suggestions.machine_memory,
    ) -> None:
        super().__init__(ascii_glyphs=settings.glyphs == "ascii")
        self.settings = settings
        link = EngineLink(engine, host_label) if callable(engine) else EngineLink.to(engine, host_label)
        first_run = settings.tour and model is None
        self.services = Services(
            link,
            chats,
            clock=clock,
            machine_memory=machine_memory,
            refresh_seconds=settings.refresh,
            model=TOY if first_run else model,
            listing=state_folder
            and ListingFile(state_folder / "models.json", f"{settings.host.url} {settings.models}"),
        )
        if "TEXTUAL_ANIMATIONS" not in os.environ:
            self.animation_level = "none"
        self._last_pane = ""
        self.set_reactive(Workstation.pane, "library" if model is None and not first_run else "chat")
        self.touring = Touring(
            self,
            first_run=first_run,
            remember=partial(remember, "tour", "false") if remember else None,
            look_around=look_around,
        )
        self.settings_service = settings_service or SettingsService(default_config_file())
        self.commanding = Commanding(self, CommandHistory(state_folder and state_folder / "commands.txt"))
        self._preset = settings.keymap
        self.keymap = keymap_files.load(self._preset, self.settings_service.file.parent)
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
        yield TopLine(self.pane)
        yield Tour()
        with ContentSwitcher(id="panes", initial=self.pane):
            yield panes.make(self.pane, self.services)
        yield KeyLine()

    def on_mount(self) -> None:
        self.services.library.recall()
        self.appearance.started()
        self._report_keymap()
        self.touring.begin()
        self._focus(self.current_pane)  # what is typed from now on is for it
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """After the frame is painted: what is remembered is painted next, before an engine takes the processor."""
        self.call_after_refresh(self.call_after_refresh, self._go_on)

    def _go_on(self) -> None:
        """Connect, and look for the last conversation."""
        self.current_pane.entered()
        self.run_worker(self._follow_link, group="link")
        self.run_worker(self._restore, group="restore")
        self.run_worker(self._follow_pulls, group="pulls")
        self.run_worker(self.touring.follow, group="tour")

    async def _follow_link(self) -> None:
        async for state in self.services.link.state.watch():
            self._show_link(state)

    def _show_link(self, state: LinkState) -> None:
        self.top_line.link = state

    async def _follow_pulls(self) -> None:
        """Go on with what an earlier workstation left to pull, after the models are shown; tell what ends."""
        await self.services.pulls.begin()
        async for pull in self.services.pulls.ended():
            pane, view = self.current_pane, pull.view
            if view.state == "done":
                pane.announce(f"{view.name} is in the Library.", title="Pulled")
            else:
                pane.report(EngineError(f"{view.name}: {view.error}", hint=view.hint))

    async def _restore(self) -> None:
        await self.services.chats.restore()

    # Panes

    @property
    def current_pane(self) -> Pane:
        return self.switcher.query_one(f"#{self.pane}", Pane)

    async def action_pane(self, pane_id: str) -> None:
        """Show a pane, made now where it was never shown before."""
        if pane_id == self.pane:
            return
        if not self.switcher.query(f"#{pane_id}"):
            await self.switcher.mount(panes.make(pane_id, self.services))
        self.current_pane.left()
        self._last_pane, self.pane = self.pane, pane_id
        self.switcher.current = pane_id
        self.top_line.pane = pane_id
        self.touring.draw()
        pane = self.current_pane
        pane.zoomed = self.zoom >= 1
        self._turn_to(pane)

    def _turn_to(self, pane: Pane) -> None:
        pane.entered()
        self._focus(pane)

    def _focus(self, pane: Pane) -> None:
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
            await self.current_pane.offer_models((model,))

    def action_zoom(self, step: int) -> None:
        """A step on or back; each shows or hides something."""
        if self.current_pane.has_beside:
            self.zoom = min(max(0, self.zoom + step), 2)
        else:
            self.zoom = 2 if step > 0 else 0

    def watch_zoom(self, zoom: int) -> None:
        if self.is_mounted:
            self.screen_stack[0].set_class(zoom >= 2, "-alone")
            self.current_pane.zoomed = zoom >= 1

    @on(Part.Unzoomed)
    def _leave_zoom(self) -> None:
        self.zoom = 0

    def action_go_back(self) -> None:
        """Out of a field, out of zoom, else to the pane's main thing; not into a prompt, where the next key is text."""
        target = self.current_pane.focus_target()
        if self.zoom and not isinstance(self.focused, Input):
            self.zoom = 0
        elif target is not None and not (self.focused is not None and isinstance(target, TextArea)):
            target.focus()

    @on(Pane.Wanted)
    async def _go_on_elsewhere(self, event: Pane.Wanted) -> None:
        await self.action_pane(event.pane_id)
        await self.current_pane.offer_models(event.models)

    # Keys, and commands by name

    def action_keymap(self, preset: str) -> None:
        """Take another preset, or the same; the user's keymap.toml is read again."""
        if preset and preset not in KEYMAPS:
            text = f"There is no keymap '{preset}'. There are: {', '.join(KEYMAPS)}."
            self.notify(visible(text), severity="warning", markup=False)
            return
        self._preset = preset or self._preset
        self.keymap = keymap_files.load(self._preset, self.settings_service.file.parent)
        self.set_keymap(self.keymap.bindings())
        self.top_line.refresh()
        self.touring.draw()
        self._report_keymap()

    def _report_keymap(self) -> None:
        if self.keymap.problems:
            self.notify(visible("\n".join(self.keymap.problems)), title="Keys", severity="warning", markup=False)

    def action_theme(self, name: str) -> None:
        if name:
            self.appearance.choose(name)
        else:
            self.appearance.open_list()

    def action_tour(self) -> None:
        self.touring.show()

    def action_end_tour(self) -> None:
        self.touring.end()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "end_tour" or (self.is_mounted and self.tour.shown)

    async def action_command_line(self) -> None:
        await self.commanding.open()

    # Settings

    def action_settings(self) -> None:
        self.push_screen(SettingsScreen(self.settings_service, self.take_setting, self.setting_problem))

    async def action_set(self, text: str) -> None:
        await self.commanding.set(text)

    def setting_problem(self, key: str, text: str) -> str:
        """What is wrong with a value for a setting in words, "" where nothing is."""
        return problem(key, text) or (self.appearance.problem(text) if key == "theme" else "")

    async def take_setting(self, key: str) -> str:
        """Let a setting that was changed hold now, where it can; what else there is to say of it."""
        self.settings = await self.settings_service.resolve()
        if key == "theme":
            self.appearance.use(self.settings.theme)
        elif key == "keymap":
            self.action_keymap(self.settings.keymap)
        elif key == "refresh":
            self.services.monitor.refresh_seconds = self.settings.refresh
        else:
            return "It holds from the next start."
        return ""

    def action_keys(self) -> None:
        self.push_screen(KeysScreen(self.commanding.groups(), panes.TITLES[self.pane]))

    def action_interrupt(self) -> None:
        quits, stops = self.keymap.name("app.quit_anywhere"), self.keymap.name("chat.stop")
        self.notify(f"{quits} quits; {stops} stops an answer.", markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every action of this pane and of the frame, then the themes."""
        yield from self.commanding.palette()
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
