"""The prompt `>>> `: one message or command, with the keys of a shell, over several lines where they are wanted.

A message that begins with three quotes goes on until a line ends with three; ctrl+j and a paste put line ends into any.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.utils import is_dumb_terminal

from ollama_tui.cli.repl.completer import CommandCompleter
from ollama_tui.slash import QUOTES

PROMPT, CONTINUATION = ">>> ", "... "
PLACEHOLDER = "Send a message (/? for help)"
TAB = " " * 8
_GREY = "ansibrightblack"
_OPENING = re.compile(r'(?P<command>/set\s+system\s+)?"""')


def is_unclosed(text: str) -> bool:
    """Whether a message that began with three quotes waits for its end."""
    opening = _OPENING.match(text)
    return opening is not None and not text[opening.end() :].rstrip(" \t").endswith(QUOTES)


class LineInterrupted(Exception):
    """ctrl+c at the prompt. `empty`: nothing was typed that it could have thrown away."""

    def __init__(self, *, empty: bool) -> None:
        super().__init__()
        self.empty = empty


class LineReader:
    """Reads from the terminal, or from `input` and to `output`; `models` gives the names that /load completes."""

    def __init__(
        self,
        history: History,
        models: Callable[[], list[str]],
        *,
        editor: str = "",
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        color = "" if os.environ.get("NO_COLOR") else _GREY
        self._editor = editor
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=Condition(lambda: is_unclosed(get_app().current_buffer.text)),
            prompt_continuation=lambda _width, _line, wraps: "" if wraps else CONTINUATION,
            # Not on a line that is left as it is: there it would look like something that was said.
            placeholder=lambda: FormattedText([] if get_app().is_done else [(color, PLACEHOLDER)]),
            history=history,
            completer=CommandCompleter(models),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            enable_suspend=True,
            key_bindings=self._keys(),
            input=input,
            output=output or _output(),
        )

    async def read(self) -> str:
        """The next message or command, as typed. EOFError: ctrl+d, or the terminal is gone; LineInterrupted."""
        try:
            return await self._session.prompt_async()
        except KeyboardInterrupt:
            raise LineInterrupted(empty=not self._session.default_buffer.text) from None

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        typing = has_focus("DEFAULT_BUFFER")
        unclosed = Condition(lambda: is_unclosed(get_app().current_buffer.text))
        command = Condition(lambda: get_app().current_buffer.text.startswith("/"))

        @keys.add("enter", filter=typing & unclosed)
        @keys.add("c-j", filter=typing)
        @keys.add("escape", "enter", filter=typing)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("tab", filter=typing & ~command)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text(TAB)

        @keys.add("c-g", filter=typing)
        async def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            edited = await run_in_terminal(lambda: self._edit(buffer.text), in_executor=True)
            if edited is not None:
                buffer.text = edited.removesuffix("\n")
                buffer.cursor_position = len(buffer.text)

        return keys

    def _edit(self, text: str) -> str | None:
        """`text` as the editor leaves it; None where nothing was saved, or where there is no editor."""
        try:
            return click.edit(text, editor=self._editor or None, extension=".md")
        except click.ClickException as error:
            click.echo(f"{error.format_message()}. OLLAMA_EDITOR names another editor.")
            return None


def _output() -> Output | None:
    """The terminal, never asked where its cursor is: an answer that comes late would be taken for typed keys."""
    term = os.environ.get("TERM", "")
    if is_dumb_terminal(term):
        return None
    output = Vt100_Output.from_pty(sys.stdout, term=term)
    output.enable_cpr = False
    return output
