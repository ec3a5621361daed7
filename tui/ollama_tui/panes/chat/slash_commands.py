"""The commands that begin with a slash, in the Chat pane: those of `run`, and a few for what only this pane has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ollama_engine.errors import EngineError, InvalidRequest
from ollama_engine.options import Deprecated
from ollama_tui import figures, slash, usage
from ollama_tui.panes.chat.files import export, read
from ollama_tui.panes.chat.text_screen import TextScreen

if TYPE_CHECKING:
    from ollama_tui.panes.chat.chat_base import ChatBase

OWN = {
    "/attach": "/attach PATH      Send a file along with the next prompt",
    "/retry": "/retry            Answer once more, as a branch",
    "/fork": "/fork             Go on from the last message in a new conversation",
    "/rename": "/rename NAME      Give the conversation a name",
    "/export": "/export PATH      Write it into a .md or .json file",
    "/import": "/import PATH      Read one from a .json file",
    "/settings": "/settings         How answers are made, on one screen",
}
COMMANDS = (*slash.COMMANDS, *OWN)
_NOT_HERE = {
    "history": "Earlier prompts are kept with their conversations.",
    "nohistory": "Earlier prompts are kept with their conversations; ctrl+d deletes one.",
    "wordwrap": "Words always wrap here.",
    "nowordwrap": "Words always wrap here.",
    "verbose": "Figures always stand under the answers here.",
    "quiet": "Figures always stand under the answers here.",
}


class SlashCommands:
    """Does what a command says to the conversation that is shown."""

    def __init__(self, pane: ChatBase) -> None:
        self._pane = pane
        self._settings = pane.session.view.value.settings

    async def run(self, line: str) -> bool:
        """Do one command; False where it is none, or wrong, which is told."""
        try:
            return await self._run(line.split(), line)
        except EngineError as error:
            self._pane.report(error)
            return False

    async def _run(self, words: Sequence[str], line: str) -> bool:
        pane, rest = self._pane, " ".join(words[1:])
        match words:
            case ["/bye" | "/exit", *_]:
                await pane.app.run_action("quit")
            case ["/?" | "/help", *topic]:
                self._show("Commands", _help(topic))
            case ["/list" | "/ls", *_]:
                models = pane.services.library.view.value.models
                self._show("Models", "\n".join(f"{one.name}  {figures.size(one.size)}" for one in models))
            case ["/load", model]:
                await pane.services.chats.model_info(model)
                await pane.offer_models((model,))
            case ["/save", name]:
                await pane.services.chats.save_as_model(name)
                pane.say(f"Created new model '{name}'")
            case ["/clear"]:
                await pane.run_action("new")
            case ["/set", *setting]:
                return await self._set(setting, line)
            case ["/show", part]:
                await self._show_part(part)
            case ["/retry" | "/fork" | "/settings" as command]:
                await pane.run_action({"/retry": "regenerate"}.get(command, command[1:]))
            case ["/rename", _, *_]:
                await pane.session.rename(rest)
            case ["/attach", _, *_]:
                await pane.run_action(f"attach({rest!r})")
            case ["/export", _, *_]:
                await pane.session.save_draft()
                await export(pane, pane.session.id, rest)
            case ["/import", _, *_]:
                await read(pane, rest)
            case [command, *_] if command in COMMANDS:
                raise InvalidRequest(f"{command} wants to know more", hint="/? lists what follows it.")
            case [unknown, *_]:
                raise InvalidRequest(f"Unknown command '{unknown}'", hint="Type /? for help.")
        return True

    async def _set(self, words: Sequence[str], line: str) -> bool:
        settings, pane = self._settings, self._pane
        match words:
            case ["parameter", name, *values] if values:
                value = slash.parameter_of(name, values)
                if isinstance(value, Deprecated):
                    pane.say(value.warning)
                    return True
                settings = replace(settings, options={**settings.options, name: value})
            case ["parameter", *_]:
                self._show("Parameters", usage.PARAMETERS)
                return True
            case ["system", _, *_]:
                settings = replace(settings, system=slash.system_message(line))
            case ["format", *_]:
                settings = replace(settings, format=slash.format_of("".join(line.split(maxsplit=2)[2:])))
            case ["noformat"]:
                settings = replace(settings, format=None)
            case ["think", *level]:
                settings = replace(settings, think=slash.think_of("".join(level[:1])))
            case ["nothink"]:
                settings = replace(settings, think=False)
            case [mode] if mode in _NOT_HERE:
                pane.say(_NOT_HERE[mode])
                return True
            case []:
                self._show("Settings", usage.SET)
                return True
            case _:
                raise InvalidRequest(f"Unknown command '/set {' '.join(words)}'", hint="Type /? set for help.")
        await pane.session.change_settings(settings)
        pane.say(f"Set {words[0]}.")
        return True

    async def _show_part(self, part: str) -> None:
        view = self._pane.session.view.value
        if part == "info":
            self._pane.post_message(self._pane.Wanted("library", (view.model,)))
            return
        if part not in slash.PARTS:
            raise InvalidRequest(f"Unknown command '/show {part}'", hint="Type /? show for help.")
        info = await self._pane.services.chats.model_info(view.model)
        own = {"system": view.settings.system, "template": view.settings.template}
        text = own.get(part) or getattr(info, part)
        if part == "parameters" and view.settings.options:
            text += "\n\nOf this conversation:\n" + "\n".join(f"{k} {v}" for k, v in view.settings.options.items())
        self._show(f"{part} of {view.model}", text or f"The model has no {part}.")

    def _show(self, title: str, text: str) -> None:
        self._pane.app.push_screen(TextScreen(title, text.strip("\n"), read_only=True))


def _help(topic: Sequence[str]) -> str:
    match topic:
        case ["set" | "/set", *_]:
            return usage.SET
        case ["show" | "/show", *_]:
            return usage.SHOW
        case ["shortcut" | "shortcuts", *_]:
            return "? outside the prompt (or ctrl+g) shows the keys."
        case _:
            return usage.commands(files=True) + "\n".join(OWN.values())
