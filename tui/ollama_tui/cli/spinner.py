"""A sign that something is awaited, on stderr, where a person watches and nothing has been printed yet."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import Self, TextIO

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ASCII_FRAMES = "|/-\\"
INTERVAL = 0.1
"""Seconds between two frames."""
_ERASE_LINE = "\r\x1b[K"


class Spinner:
    """Turns from `async with` until `clear`, or the end of the block."""

    def __init__(self, out: TextIO, *, terminal: bool) -> None:
        self._out = out
        self._terminal = terminal
        self._turning: asyncio.Task[None] | None = None

    @classmethod
    def for_stderr(cls) -> Self:
        watched = sys.stderr.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        return cls(sys.stderr, terminal=watched)

    async def __aenter__(self) -> Self:
        if self._terminal:
            self._turning = asyncio.ensure_future(self._turn())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Take it away; what is printed next begins at the beginning of the line."""
        turning, self._turning = self._turning, None
        if turning is not None:
            turning.cancel()
            self._put(_ERASE_LINE)

    async def _turn(self) -> None:
        frames = FRAMES if (self._out.encoding or "").lower().startswith("utf") else ASCII_FRAMES
        with suppress(asyncio.CancelledError):
            number = 0
            while True:
                self._put(f"{_ERASE_LINE}{frames[number % len(frames)]} ")
                number += 1
                await asyncio.sleep(INTERVAL)

    def _put(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
