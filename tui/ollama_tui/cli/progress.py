"""The steps of something long, on stderr: one line a step, its bytes counted in place where a person watches."""

from __future__ import annotations

import shutil
import sys
from typing import Self, TextIO

from ollama_engine.types import Progress
from ollama_tui.format import plain, size

_ERASE_LINE = "\r\x1b[K"


class ProgressLines:
    """Prints steps as they come; as a context manager it leaves the cursor at the beginning of a line."""

    def __init__(self, out: TextIO, *, terminal: bool, width: int = 80) -> None:
        self._out = out
        self._terminal = terminal
        self._width = width
        self._status = ""
        self._open = False

    @classmethod
    def for_stderr(cls) -> Self:
        return cls(sys.stderr, terminal=sys.stderr.isatty(), width=shutil.get_terminal_size().columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._end_line()

    def show(self, step: Progress) -> None:
        """A step, or the next count of the one before it."""
        if step.status != self._status:
            self._end_line()
            self._status = step.status
            if not self._terminal:
                self._put(f"{plain(step.status)}\n")
        if self._terminal:
            self._put(f"{_ERASE_LINE}{self._line(step)}")
            self._open = True

    def _line(self, step: Progress) -> str:
        status = plain(step.status).replace("\n", " ")
        if not step.total:
            return status[: self._width - 1]
        count = f" {step.completed * 100 // step.total:3}% ({size(step.completed)}/{size(step.total)})"
        # A line that wraps could not be erased.
        return f"{status[: max(0, self._width - 1 - len(count))]}{count}"

    def _end_line(self) -> None:
        if self._open:
            self._put("\n")
            self._open = False

    def _put(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
