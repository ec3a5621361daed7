"""An answer as it arrives: thinking set apart, words wrapped at a terminal's edge, timings after it (spec §3)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Self, TextIO

import click

from ollama_engine.durations import format_nanoseconds
from ollama_engine.types import ChatChunk, GenerateChunk
from ollama_tui.cli.word_wrap import WordWrap
from ollama_tui.format import plain

_GREY, _RESET = "\x1b[90m", "\x1b[0m"


class AnswerPrinter:
    """Prints the pieces of one answer; as a context manager it leaves the terminal's colours as they were.

    Args:
        out: where to print.
        terminal: whether a person watches: grey thinking, no control characters of the model's.
        width: columns to wrap words at, 0 for not at all.
        thinking: whether thinking is printed.
        measure: columns as they are now, for a terminal whose size changes meanwhile.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        terminal: bool,
        width: int,
        thinking: bool,
        measure: Callable[[], int] | None = None,
    ) -> None:
        self._out = out
        self._terminal = terminal
        self._grey, self._reset = (_GREY, _RESET) if terminal and not os.environ.get("NO_COLOR") else ("", "")
        self._wrap = WordWrap(width) if width else None
        self._measure = measure
        self.shows_thinking = thinking
        self._is_thinking = False
        self._printed = False

    @classmethod
    def for_stdout(cls, *, wrap: bool, thinking: bool) -> Self:
        terminal = sys.stdout.isatty()
        width = _columns() if terminal and wrap else 0
        return cls(sys.stdout, terminal=terminal, width=width, thinking=thinking, measure=_columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            self._put(self._wrap.flush() if self._wrap else "")
        if self._is_thinking:
            self._put(self._reset)

    def think(self, text: str) -> None:
        if not text or not self.shows_thinking:
            return
        if not self._is_thinking:
            self._is_thinking = True
            self._put(f"{self._grey}Thinking...\n")
        self._print(text)

    def write(self, text: str) -> None:
        if not text:
            return
        self._end_thinking()
        self._print(text)

    def end(self, *, blank_line: bool) -> None:
        """The answer is whole: print what was held back and, after an answer to a prompt, a blank line."""
        self._end_thinking()
        rest = self._wrap.flush() if self._wrap else ""
        self._put(rest + ("\n\n" if blank_line else ""))

    def break_off(self) -> None:
        """The answer ended where it is: what was printed is closed off by a blank line."""
        self._put((self._wrap.flush() if self._wrap else "") + (self._reset if self._is_thinking else ""))
        self._is_thinking = False
        if self._printed:
            self._put("\n\n")

    def _end_thinking(self) -> None:
        if not self._is_thinking:
            return
        self._is_thinking = False
        rest = self._wrap.restart() if self._wrap else ""
        self._put(f"{rest}\n...done thinking.\n\n{self._reset}")

    def _print(self, text: str) -> None:
        text = plain(text) if self._terminal else text
        if self._wrap and self._measure:
            self._wrap.width = self._measure()
        self._put(self._wrap.feed(text) if self._wrap else text)

    def _put(self, text: str) -> None:
        self._printed = self._printed or bool(text)
        self._out.write(text)
        self._out.flush()


def _columns() -> int:
    return shutil.get_terminal_size().columns


def cut_note(metrics: GenerateChunk | ChatChunk) -> str:
    """What is said about an answer that was canceled, or a prompt that was longer than the context; else nothing."""
    if metrics.done_reason == "canceled":
        return "the answer was canceled at the server"
    told: list[str] = []
    if isinstance(metrics, ChatChunk) and metrics.dropped_messages:
        count = metrics.dropped_messages
        words = "message was" if count == 1 else f"{count} messages were"
        told.append(f"the oldest {words} left out, since the conversation is longer than the context")
    if metrics.truncated_tokens:
        told.append(f"{metrics.truncated_tokens} tokens were cut out of the prompt, which is longer than the context")
    return "; ".join(told)


def tell_of(metrics: GenerateChunk | ChatChunk, *, verbose: bool) -> None:
    """After an answer, on stderr: what was cut, or done otherwise than asked, and where wanted the timings."""
    if note := cut_note(metrics):
        click.echo(f"Warning: {note}.", err=True)
    for notice in metrics.notices:
        click.echo(f"Warning: {plain(notice)}", err=True)
    if verbose:
        click.echo(timings(metrics), err=True, nl=False)


def timings(metrics: GenerateChunk | ChatChunk) -> str:
    """The lines of `--verbose`: durations, token counts, and rates in tokens a second; zeros are left out."""
    rows: list[tuple[str, str]] = []

    def duration(label: str, nanoseconds: int) -> None:
        if nanoseconds > 0:
            rows.append((label, format_nanoseconds(nanoseconds)))

    def tokens(label: str, count: int, nanoseconds: int) -> None:
        if count > 0:
            rows.append((f"{label} count:", f"{count} token(s)"))
        if nanoseconds > 0:
            rows.append((f"{label} duration:", format_nanoseconds(nanoseconds)))
            rows.append((f"{label} rate:", f"{count / (nanoseconds / 1e9):.2f} tokens/s"))

    duration("total duration:", metrics.total_duration)
    duration("load duration:", metrics.load_duration)
    tokens("prompt eval", metrics.prompt_eval_count, metrics.prompt_eval_duration)
    tokens("eval", metrics.eval_count, metrics.eval_duration)
    return "".join(f"{label:<22}{value}\n" for label, value in rows)
