"""The commands at the prompt: what begins with a slash. Words and behaviour are Ollama's (spec §3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidName, InvalidRequest, ModelNotFound
from ollama_engine.options import Deprecated
from ollama_engine.types import Message, ModelInfo
from ollama_tui import format, slash, usage
from ollama_tui.cli import list as list_command
from ollama_tui.cli.model_card import card
from ollama_tui.cli.repl.session import Session

UNKNOWN = "Unknown command '{}'. Type /? for help"
_PARAMETER_CELLS = 30


class Commands:
    """Does what a command says, on an engine and a session.

    Args:
        set_history: turns the keeping of history on or off.
        say_again: prints messages that a loaded model brings.
        load: brings a model into memory; false where the user stopped that.
    """

    def __init__(
        self,
        engine: Engine,
        session: Session,
        *,
        set_history: Callable[[bool], None],
        say_again: Callable[[Sequence[Message]], None],
        load: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._engine = engine
        self._session = session
        self._set_history = set_history
        self._say_again = say_again
        self._load_model = load

    async def run(self, line: str) -> bool:
        """Do one command; false where it says that the conversation is over. EngineError from the engine."""
        words = line.split()
        match words[0]:
            case "/bye" | "/exit":
                return False
            case "/?" | "/help":
                self._help(words[1:])
            case "/list" | "/ls":
                await self._list(words[1:])
            case "/load":
                await self._load(words[1:])
            case "/save":
                await self._save(words[1:])
            case "/clear":
                self._session.clear()
                click.echo("Cleared session context")
            case "/set":
                await self._set(words[1:], line)
            case "/show":
                await self._show(words[1:])
            case unknown:
                click.echo(UNKNOWN.format(format.plain(unknown)))
        return True

    def _help(self, words: Sequence[str]) -> None:
        match words:
            case []:
                text = usage.commands(files=self._session.takes_files)
            case ["set" | "/set", *_]:
                text = usage.SET
            case ["show" | "/show", *_]:
                text = usage.SHOW
            case ["shortcut" | "shortcuts", *_]:
                text = usage.SHORTCUTS
            case _:
                text = usage.commands(files=self._session.takes_files)
        click.echo(text, nl=False)

    async def _list(self, words: Sequence[str]) -> None:
        prefix = words[0].lower() if words else ""
        models = [model for model in await self._engine.models() if model.name.lower().startswith(prefix)]
        rows = [list_command.row(model, datetime.now(UTC)) for model in models]
        click.echo(format.table([list_command.HEADER, *rows]), nl=False)

    async def _load(self, words: Sequence[str]) -> None:
        if len(words) != 1:
            click.echo("Usage:\n  /load <modelname>")
            return
        click.echo(f"Loading model '{format.plain(words[0])}'")
        try:
            info = await self._engine.show(words[0])
        except (ModelNotFound, InvalidName):
            click.echo(f"Couldn't find model '{format.plain(words[0])}'")
            return
        if info.capabilities and "completion" not in info.capabilities:
            click.echo(f"error: '{format.plain(words[0])}' does not support chat")
            return
        if not await self._load_model(words[0]):
            return
        self._session.use(words[0], info)
        self._say_again(self._session.loaded)

    async def _save(self, words: Sequence[str]) -> None:
        if len(words) != 1:
            click.echo("Usage:\n  /save <modelname>")
            return
        try:
            async with aclosing(self._engine.create(self._session.save_request(words[0]))) as steps:
                async for _ in steps:
                    pass
        except EngineError as error:
            if isinstance(error, InvalidName) or "invalid model name" in error.message:
                click.echo(f"error: The model name '{format.plain(words[0])}' is invalid")
                return
            raise
        click.echo(f"Created new model '{words[0]}'")

    async def _set(self, words: Sequence[str], line: str) -> None:
        session = self._session
        match words:
            case []:
                click.echo(usage.SET, nl=False)
            case ["history" | "nohistory" as mode, *_]:
                self._set_history(mode == "history")
                _mode(mode)
            case ["wordwrap" | "nowordwrap" as mode, *_]:
                session.word_wrap = mode == "wordwrap"
                _mode(mode)
            case ["verbose" | "quiet" as mode, *_]:
                session.verbose = mode == "verbose"
                _mode(mode)
            case ["think" | "nothink" as mode, *rest]:
                self._think(mode, rest)
            case ["format", *_]:
                self._format(line)
            case ["noformat", *_]:
                session.format = None
                click.echo("Disabled format.")
            case ["parameter", name, *values] if values:
                self._parameter(name, values)
            case ["parameter", *_]:
                click.echo(usage.PARAMETERS, nl=False)
            case ["system", *_]:
                self._system(line)
            case [unknown, *_]:
                click.echo(UNKNOWN.format(f"/set {format.plain(unknown)}"))

    def _think(self, mode: str, rest: Sequence[str]) -> None:
        session = self._session
        level = rest[0] if rest and mode == "think" else ""
        try:
            think = slash.think_of(level)
        except InvalidRequest as error:
            click.echo(f"error: {format.plain(error.message)}")
            return
        if mode == "think" and "thinking" not in session.capabilities:
            click.echo(f'warning: model "{format.plain(session.model)}" does not support thinking output', err=True)
        session.think = False if mode == "nothink" else think
        click.echo(f"Set '{mode}' mode to '{level}'." if level else f"Set '{mode}' mode.")

    def _format(self, line: str) -> None:
        try:
            self._session.format = slash.format_of("".join(line.split(maxsplit=2)[2:]))
        except InvalidRequest as error:
            click.echo(error.message)
            return
        kind = "'json' mode" if self._session.format == "json" else "a JSON schema"
        click.echo(f"Set format to {kind}.")

    def _parameter(self, name: str, values: Sequence[str]) -> None:
        try:
            value = slash.parameter_of(name, values)
        except InvalidRequest as error:
            click.echo(f'Couldn\'t set parameter: "{format.plain(error.message)}"')
            click.echo(format.plain(error.hint))
            return
        if isinstance(value, Deprecated):
            click.echo(value.warning)
            return
        self._session.options[name] = value
        click.echo(f"Set parameter '{name}' to '{format.plain(', '.join(values))}'")

    def _system(self, line: str) -> None:
        text = slash.system_message(line)
        if not text:
            click.echo(usage.SET, nl=False)
            return
        self._session.set_system(text)
        click.echo("Set system message.")

    async def _show(self, words: Sequence[str]) -> None:
        if not words:
            click.echo(usage.SHOW, nl=False)
            return
        info = await self._engine.show(self._session.model)
        match words[0]:
            case "info":
                click.echo(card(info), nl=False)
            case "license":
                _print(info.license or "No license was specified for this model.")
            case "modelfile":
                _print(info.modelfile)
            case "parameters":
                self._show_parameters(info)
            case "system":
                text = self._session.system or info.system
                _print(f"{text}\n" if text else "No system message was specified for this model.")
            case "template":
                _print(info.template or "No prompt template was specified for this model.")
            case unknown:
                click.echo(UNKNOWN.format(f"/show {format.plain(unknown)}"))

    def _show_parameters(self, info: ModelInfo) -> None:
        click.echo("Model defined parameters:")
        lines = info.parameters.splitlines() or ["No additional parameters were specified for this model."]
        click.echo("".join(f"  {format.plain(line)}\n" for line in lines))
        if self._session.options:
            click.echo("User defined parameters:")
            for name, value in self._session.options.items():
                shown = value if isinstance(value, list) else [value]
                for item in shown:
                    click.echo(f"  {name:<{_PARAMETER_CELLS}} {format.plain(_shown(item))}")
            click.echo()


def _mode(name: str) -> None:
    click.echo(f"Set '{name}' mode.")


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _print(text: str) -> None:
    click.echo(format.plain(text))
