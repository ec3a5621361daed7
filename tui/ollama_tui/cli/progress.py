"""The steps of something long, on stderr: where a person watches, a line for each layer that counts in place.

In a pipe each status is one line, told when it is first heard of, and nothing is erased.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Self, TextIO

from ollama_engine.types import Progress
from ollama_tui.format import cell_width, plain, size

_ERASE_LINE = "\r\x1b[K"
BAR_CELLS = 16
SPEED_CELLS = 18
"""Cells kept for the speed and the time left, so that the bar does not come and go with them."""
PACE_SECONDS = 5.0
"""The time over which speed is measured."""


class ProgressLines:
    """Prints steps as they come; as a context manager it leaves the cursor at the beginning of a line."""

    def __init__(
        self,
        out: TextIO,
        *,
        terminal: bool,
        columns: int = 80,
        lines: int = 24,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._terminal = terminal
        self._columns = columns
        self._lines = lines
        self._clock = clock
        self._rows: dict[str, Pace] = {}

    @classmethod
    def for_stderr(cls) -> Self:
        columns, lines = shutil.get_terminal_size()
        # A terminal that cannot move its cursor is told of steps as a pipe is.
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return cls(sys.stderr, terminal=terminal, columns=columns, lines=lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._terminal and self._rows:
            self._put("\n")
        self._rows.clear()

    def show(self, step: Progress) -> None:
        """A step, or the next count of one that was shown before."""
        status = plain(step.status).replace("\n", " ")
        new = status not in self._rows
        first = not self._rows
        pace = self._rows.setdefault(status, Pace(self._clock))
        pace.reach(step.completed)
        if not self._terminal:
            if new:
                self._put(f"{status}\n")
            return
        up = 0 if new else len(self._rows) - 1 - list(self._rows).index(status)
        if up >= self._lines - 1:
            return  # it has left the screen, where nothing can be painted any more
        text = f"{_ERASE_LINE}{self._line(status, step, pace)}"
        if new and not first:
            text = f"\n{text}"
        self._put(f"\x1b[{up}A{text}\x1b[{up}B" if up else text)

    def _line(self, status: str, step: Progress, pace: Pace) -> str:
        """What fits: a line that wraps could not be erased."""
        room = self._columns - 1
        if not step.total:
            return status[:room]
        count = f" {min(100, step.completed * 100 // step.total):3}% ({size(step.completed)}/{size(step.total)})"
        speed = pace.words(step.total) if step.completed < step.total else ""
        used = cell_width(status) + len(count)
        if used + len(speed) > room:
            speed = ""
        bar = f" {_bar(step.completed, step.total)}" if used + BAR_CELLS + 3 + SPEED_CELLS <= room else ""
        return f"{status[: max(0, room - len(count) - len(speed))]}{bar}{count}{speed}"

    def _put(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _bar(completed: int, total: int) -> str:
    """How far it is, in characters that every terminal has: `[========        ]`."""
    filled = min(BAR_CELLS, completed * BAR_CELLS // total)
    return f"[{'=' * filled}{' ' * (BAR_CELLS - filled)}]"


class Pace:
    """How fast a count grows, over the last few seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    def reach(self, completed: int) -> None:
        now = self._clock()
        self._marks.append((now, completed))
        while len(self._marks) > 2 and now - self._marks[1][0] > PACE_SECONDS:
            self._marks.popleft()

    def words(self, total: int) -> str:
        """`  85 MB/s  1m05s`: bytes a second and the time left; empty while there is nothing to tell."""
        (then, before), (now, completed) = self._marks[0], self._marks[-1]
        if completed <= before or now <= then:
            return ""
        rate = (completed - before) / (now - then)
        return f"  {size(int(rate))}/s  {left(int((total - completed) / rate))}"


def left(seconds: int) -> str:
    """A time left: `42s`, `3m05s`, `2h07m`."""
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
