"""An answer as it arrives: thinking set apart, words wrapped at a terminal's edge, timings after it (spec §3)."""

from __future__ import annotations

import shutil
import sys
from typing import Self, TextIO

from ollama_engine.durations import format_nanoseconds
from ollama_engine.types import GenerateChunk
from ollama_tui.format import cell_width, plain

_GREY, _RESET = "\x1b[90m", "\x1b[0m"


class AnswerPrinter:
    """Prints the pieces of one answer; as a context manager it leaves the terminal's colours as they were.

    Args:
        out: where to print.
        terminal: whether a person watches: grey thinking, no control characters of the model's.
        width: columns to wrap words at, 0 for not at all.
        thinking: whether thinking is printed.
    """

    def __init__(self, out: TextIO, *, terminal: bool, width: int, thinking: bool) -> None:
        self._out = out
        self._terminal = terminal
        self._wrap = WordWrap(width) if width else None
        self._show_thinking = thinking
        self._is_thinking = False

    @classmethod
    def for_stdout(cls, *, wrap: bool, thinking: bool) -> Self:
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal and wrap else 0
        return cls(sys.stdout, terminal=terminal, width=width, thinking=thinking)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            self._put(self._wrap.flush() if self._wrap else "")
        if self._is_thinking and self._terminal:
            self._put(_RESET)

    def think(self, text: str) -> None:
        if not text or not self._show_thinking:
            return
        if not self._is_thinking:
            self._is_thinking = True
            self._put(f"{_GREY if self._terminal else ''}Thinking...\n")
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

    def _end_thinking(self) -> None:
        if not self._is_thinking:
            return
        self._is_thinking = False
        rest = self._wrap.restart() if self._wrap else ""
        self._put(f"{rest}\n...done thinking.\n\n{_RESET if self._terminal else ''}")

    def _print(self, text: str) -> None:
        text = plain(text) if self._terminal else text
        self._put(self._wrap.feed(text) if self._wrap else text)

    def _put(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class WordWrap:
    """Breaks a stream of text between words, `width` columns a line; holds back a word until it ends."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._column = 0
        self._gap = ""
        self._word = ""

    def feed(self, text: str) -> str:
        """What may be printed now that `text` has come."""
        out: list[str] = []
        for character in text:
            if character == "\n":
                out.append(self._end_word() + "\n")
                self._column, self._gap = 0, ""
            elif character in " \t":
                out.append(self._end_word())
                self._gap += character
            else:
                self._word += character
                if cell_width(self._word) >= self._width:
                    out.append(self._end_word())
        return "".join(out)

    def flush(self) -> str:
        """The word held back, at the end of the text."""
        return self._end_word()

    def restart(self) -> str:
        """As `flush`; the next text begins a line of its own."""
        rest = self._end_word()
        self._column, self._gap = 0, ""
        return rest

    def _end_word(self) -> str:
        if not self._word:
            return ""
        gap, word, self._gap, self._word = self._gap, self._word, "", ""
        cells = cell_width(word)
        if (self._column or gap) and self._column + len(gap) + cells > self._width:
            self._column = cells
            return "\n" + word
        self._column += len(gap) + cells
        return gap + word


def cut_note(metrics: GenerateChunk) -> str:
    """What is said about an answer that was canceled, or a prompt that was longer than the context; else nothing."""
    if metrics.done_reason == "canceled":
        return "the answer was canceled at the server"
    if not metrics.truncated_tokens:
        return ""
    return f"{metrics.truncated_tokens} tokens were cut out of the prompt, which is longer than the context"


def timings(metrics: GenerateChunk) -> str:
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
