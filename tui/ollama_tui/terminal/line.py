"""`Line`: the way to the terminal, which may be slow, and may break.

Textual's writer thread writes here as it would to stderr. What waits to be written is counted, so that the App can
hold its frames until there is room; once the line is broken everything is taken and dropped, so that nobody waits.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import IO


class Line:
    """Args:
    file: the terminal.
    drained: called when all that was queued is written (from the writer's thread).
    broken: called once, when the terminal is gone (from the writer's thread).
    """

    def __init__(self, file: IO[str], *, drained: Callable[[], object], broken: Callable[[], object]) -> None:
        self._file = file
        self._drained = drained
        self._broken = broken
        self._lock = threading.Lock()
        self._waiting = 0
        self.is_broken = False

    @property
    def waiting(self) -> int:
        """Characters that are queued and not written yet."""
        return self._waiting

    def queued(self, count: int) -> None:
        """The App has put so many characters into the writer's queue."""
        with self._lock:
            self._waiting += count

    # What the writer's thread calls

    def write(self, text: str) -> None:
        if not self.is_broken:
            try:
                _write_all(self._file.fileno(), text.encode("utf-8", "replace"))
            except (OSError, ValueError):  # ValueError: closed on our side
                self.is_broken = True
                self._broken()
        with self._lock:
            self._waiting -= len(text)
            empty = self._waiting <= 0
        if empty:
            self._drained()

    def flush(self) -> None:
        """All is written already."""

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return True


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
