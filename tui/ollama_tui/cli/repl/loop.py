"""The conversation: read a line, do a command or ask the model, print the answer, again, until ctrl+d or /bye."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.settings import Settings
from ollama_engine.types import ChatChunk, ChatRequest, Message
from ollama_tui.attachments import attach_files, begins_with_file
from ollama_tui.cli.answer import AnswerPrinter, tell_of
from ollama_tui.cli.completing import model_names
from ollama_tui.cli.repl.commands import Commands
from ollama_tui.cli.repl.history import PrivateHistory, history_file
from ollama_tui.cli.repl.line import LineInterrupted, LineReader
from ollama_tui.cli.repl.session import Session
from ollama_tui.cli.repl.terminal import ended_by_signals, typed_keys_wait, until_stopped
from ollama_tui.cli.spinner import Spinner
from ollama_tui.connect import is_this_machine
from ollama_tui.format import plain
from ollama_tui.slash import QUOTES, without_quotes

LEAVE_HINT = "Use Ctrl + d or /bye to exit."


async def converse(engine: Engine, session: Session, settings: Settings) -> int:
    """Talk until the user leaves; the exit status. The model must be here. EngineError where it does not load."""
    ended_by = 0
    task = asyncio.current_task()
    assert task is not None

    def end(number: int) -> None:
        nonlocal ended_by
        ended_by = number
        task.cancel()

    history = PrivateHistory(
        history_file(), enabled=not settings.no_history, complain=lambda words: click.echo(plain(words), err=True)
    )
    here = is_this_machine(settings.host)  # another machine's models are not those of our store
    reader = LineReader(history, lambda: model_names(settings) if here else [], editor=settings.editor)

    def keep_history(on: bool) -> None:
        history.enabled = on

    with typed_keys_wait(), ended_by_signals(end):
        try:
            await Conversation(engine, session, reader, keep_history).run()
        except asyncio.CancelledError:
            if not ended_by:
                raise
    return 128 + ended_by if ended_by else 0


class Lines(Protocol):
    """Where lines come from: LineReader, or a test."""

    async def read(self) -> str: ...


class Conversation:
    """One user at one prompt."""

    def __init__(self, engine: Engine, session: Session, lines: Lines, set_history: Callable[[bool], None]) -> None:
        self._engine = engine
        self._session = session
        self._lines = lines
        self._commands = Commands(engine, session, set_history=set_history, say_again=self._say_again, load=self._load)

    async def run(self) -> None:
        if not await self._load(self._session.model):
            raise click.Abort
        self._say_again(self._session.loaded)
        while True:
            try:
                line = await self._lines.read()
            except EOFError:
                click.echo()
                return
            except LineInterrupted as interrupted:
                if interrupted.empty:
                    click.echo(f"\n{LEAVE_HINT}")
                continue
            try:
                if not await self._do(line):
                    return
            except EngineError as error:  # the conversation goes on: the next message may fare better
                click.echo(f"Error: {plain(error.message)}", err=True)
                if error.hint:
                    click.echo(plain(error.hint), err=True)

    async def _do(self, line: str) -> bool:
        """A command, or a message; false where it ends the conversation."""
        if not line.strip():
            return True
        if self._is_command(line):
            return await self._commands.run(line)
        await self._ask(without_quotes(line))
        return True

    def _is_command(self, line: str) -> bool:
        """What begins with a slash, but for a pasted text of several lines, and for files that are dragged here."""
        if not line.startswith("/"):
            return False
        if "\n" in line.rstrip("\n") and not (line.startswith("/set") and QUOTES in line):
            return False
        return not begins_with_file(line)

    async def _ask(self, text: str) -> None:
        question = Message("user", text)
        if self._session.takes_files:
            attached = attach_files(text)
            question = Message("user", attached.prompt, images=attached.images or None)
            for name in attached.names:
                click.echo(f"Added image '{plain(name)}'", err=True)
        if not (question.content.strip() or question.images):
            return
        request = self._session.request(question)
        answer = Answer(
            AnswerPrinter.for_stdout(wrap=self._session.word_wrap, thinking=not self._session.hide_thinking)
        )
        stopped = await answer.stream(self._engine.chat(request))
        if answer.content or answer.thinking:
            self._session.add(question, Message("assistant", answer.content, thinking=answer.thinking))
        if stopped or answer.last is None:
            return
        tell_of(answer.last, verbose=self._session.verbose)
        if self._session.verbose:
            click.echo(err=True)

    async def _load(self, model: str) -> bool:
        """Bring a model into memory; false where ctrl+c stopped that."""
        return not await until_stopped(self._loading(self._session.load_request(model)))

    async def _loading(self, request: ChatRequest) -> None:
        async with Spinner.for_stderr(), aclosing(self._engine.chat(request)) as chunks:
            async for _ in chunks:
                pass

    def _say_again(self, messages: Sequence[Message]) -> None:
        """The messages that a model brings, as if they had been said here."""
        for message in messages:
            if message.role == "user":
                click.echo(f">>> {plain(message.content)}")
            elif message.role == "assistant":
                printer = AnswerPrinter.for_stdout(wrap=self._session.word_wrap, thinking=False)
                printer.write(message.content)
                printer.end(blank_line=True)


class Answer:
    """An answer as it comes, printed and kept."""

    def __init__(self, printer: AnswerPrinter) -> None:
        self._printer = printer
        self._content: list[str] = []
        self._thinking: list[str] = []
        self.last: ChatChunk | None = None

    @property
    def content(self) -> str:
        return "".join(self._content)

    @property
    def thinking(self) -> str:
        return "".join(self._thinking)

    async def stream(self, chunks: AsyncGenerator[ChatChunk, None]) -> bool:
        """Print it all; true where ctrl+c stopped it. EngineError: what came before is printed and kept."""
        return await until_stopped(self._print(chunks))

    async def _print(self, chunks: AsyncGenerator[ChatChunk, None]) -> None:
        printer = self._printer
        async with Spinner.for_stderr() as spinner, aclosing(chunks):
            try:
                async for chunk in chunks:
                    if chunk.message.content or chunk.done or (chunk.message.thinking and printer.shows_thinking):
                        spinner.clear()
                    self._thinking.append(chunk.message.thinking)
                    self._content.append(chunk.message.content)
                    printer.think(chunk.message.thinking)
                    printer.write(chunk.message.content)
                    if chunk.done:
                        self.last = chunk
                printer.end(blank_line=True)
            except BaseException:
                spinner.clear()
                printer.break_off()  # the prompt, or the error, begins on a line of its own
                raise
