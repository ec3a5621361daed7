"""Commands by name: the command line and the palette, on the workstation's panes. Used by the App."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.dom import DOMNode

from ollama_engine.choices import KEYMAPS
from ollama_engine.errors import EngineError
from ollama_engine.settings_view import SettingView
from ollama_tui import actions, commands, panes
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.command_history import CommandHistory
from ollama_tui.widgets.command_screen import CommandScreen

if TYPE_CHECKING:
    from ollama_tui.app import Workstation


class Commanding:
    def __init__(self, app: Workstation, history: CommandHistory) -> None:
        self._app = app
        self._history = history
        self._settings: Sequence[SettingView] = ()

    def groups(self) -> tuple[str, ...]:
        """The groups of actions that are at hand, nearest first."""
        return tuple(part.group for part in self._app.current_pane.acting())

    async def open(self) -> None:
        """Let the user type a line, and do it."""
        try:
            self._settings = await self._app.settings_service.view()
        except EngineError:
            self._settings = ()  # `:set` says what is wrong with the file
        self._app.push_screen(CommandScreen(self.groups(), self._history, self._words_for), self._typed)

    def _typed(self, line: str | None) -> None:
        if line is not None:
            self._app.run_worker(partial(self.run, line), group="command")

    async def run(self, line: str) -> None:
        """Do what a line such as `:pull llama3.2` says; a pane that does it is shown first."""
        app = self._app
        try:
            command = commands.parse(line, self.groups())
        except ValueError as error:
            app.notify(visible(str(error)), severity="warning", markup=False)
            return
        action = command.action
        node: DOMNode = app
        if action.group in panes.HOMES:
            await app.action_pane(panes.HOMES[action.group])
            node = await app.current_pane.turn_to(action.group)
        if not node.check_action(action.method, (command.argument,) if action.argument else ()):
            app.notify(f":{action.commands[0]} does nothing here now.", severity="warning", markup=False)
        elif action.argument:
            await app.run_action(("", action.method, (command.argument,)), node)
        else:
            await app.run_action(action.run, node)

    def _words_for(self, argument: str) -> list[str]:
        """What may stand for an argument on the command line."""
        match argument:
            case "MODEL":
                return [model.name for model in self._app.services.library.view.value.models]
            case "THEME":
                return sorted(self._app.appearance.names)
            case "KEYMAP":
                return list(KEYMAPS)
            case "KEY VALUE":
                keys = [setting.key for setting in self._settings]
                return keys + [f"{setting.key} {word}" for setting in self._settings for word in self._values(setting)]
            case _:
                return []

    def _values(self, setting: SettingView) -> Sequence[str]:
        if setting.key == "theme":
            return sorted(self._app.appearance.names)
        return ("true", "false") if setting.kind == "boolean" else setting.choices

    async def set(self, text: str) -> None:
        """`:set KEY VALUE` writes a setting, `:set KEY` shows it, `:set` all of them."""
        app = self._app
        key, _, value = text.partition(" ")
        if not key:
            app.action_settings()
            return
        try:
            if key == "theme" and (problem := app.appearance.problem(value.strip())):
                app.notify(problem, severity="warning", markup=False)
                return
            if value.strip():
                note = await app.settings_service.write(key, value.strip()) or await app.take_setting(key)
                app.notify(visible(f"{key} = {value.strip()}. {note}".strip()), markup=False)
                return
            view = next((one for one in await app.settings_service.view() if one.key == key), None)
            if view is None:
                await app.settings_service.write(key, "")  # says which are near
            else:
                shown = one_line(view.value) or "-"
                app.notify(visible(f"{key} = {shown} ({view.source}): {view.meaning}"), markup=False)
        except EngineError as error:
            app.notify(visible(f"{error.message}. {error.hint}"), severity="warning", markup=False)

    def palette(self) -> Iterator[SystemCommand]:
        """Every action of this pane and of the frame, for the command palette."""
        app = self._app
        acting: dict[str, DOMNode] = {"app": app, **{part.group: part for part in app.current_pane.acting()}}
        for action in actions.of(*acting):
            node = acting[action.group]
            if not action.palette or not node.check_action(action.method, ()):
                continue
            keys = ", ".join(filter(None, (app.keymap.names(action), action.usage)))
            title = action.label if action.group == "app" else f"{panes.TITLES[app.pane]}: {action.label}"
            yield SystemCommand(title, f"{action.help}  ({keys})", partial(app.run_action, action.run, node))
