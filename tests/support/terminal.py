"""A real terminal for tests: the program runs on a pseudo-terminal, pyte keeps the screen that it draws.

    with Terminal(["ollama-tui"], env, columns=80, lines=24) as terminal:
        terminal.wait_for("Library")
        terminal.press("4")

`wait_for` reads what the program writes until the screen shows what is awaited; nothing sleeps.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "f3": "\x1bOR",
    "f6": "\x1b[17~",
    "ctrl+c": "\x03",
    "ctrl+d": "\x04",
    "ctrl+p": "\x10",
    "ctrl+q": "\x11",
}
TIMEOUT = 60.0
"""Seconds to wait for a screen: far more than it takes, so that a slow machine fails no test."""


_AT_ITS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""The terminal becomes the program's own, as a shell's is: without that ctrl+c would be no signal."""


class Screen(pyte.Screen):
    """pyte's screen, deaf to private sequences that it does not know and would print."""

    def report_device_status(self, *args: object, **kwargs: object) -> None:
        pass


class Terminal:
    """A program on a terminal of a given size. `output` keeps every byte it wrote.

    `term` and `colorterm` are what it knows of its terminal: TERM and COLORTERM (unset where empty).
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        columns: int = 80,
        lines: int = 24,
        term: str = "xterm-256color",
        colorterm: str = "truecolor",
    ) -> None:
        self._screen = Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.output = bytearray()
        self._fd, theirs = pty.openpty()
        self._is_open = True
        _set_size(theirs, columns, lines)
        self.modes_at_start = termios.tcgetattr(theirs)
        environment = {name: value for name, value in env.items() if name != "COLORTERM"} | {"TERM": term}
        if colorterm:
            environment["COLORTERM"] = colorterm
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _AT_ITS_TERMINAL, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does: the program gets SIGHUP, and nothing can be read any more."""
        if self._is_open:
            self._is_open = False
            os.close(self._fd)

    def resize(self, columns: int, lines: int) -> None:
        """Make the window another size; the program gets SIGWINCH."""
        self._screen.resize(lines, columns)
        _set_size(self._fd, columns, lines)

    @property
    def text(self) -> str:
        """What the screen shows now, trailing blanks of lines left out."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.type(KEYS.get(key, key))

    def modes(self) -> list[object]:
        """The terminal's modes now, as termios has them."""
        return termios.tcgetattr(self._fd)

    def wait_for(self, wanted: str | Callable[[str], bool], timeout: float = TIMEOUT) -> str:
        """Read until the screen shows `wanted` (text, or a condition on all of it); AssertionError with the screen."""
        shows = wanted if callable(wanted) else lambda text: wanted in text
        deadline = time.monotonic() + timeout
        while not shows(self.text):
            if not self._read(deadline - time.monotonic()) and not shows(self.text):
                raise AssertionError(f"the screen never showed {wanted!r}:\n{self.text}")
        return self.text

    def wait_until(self, true: Callable[[], object], timeout: float = TIMEOUT) -> None:
        """Read until `true()`, which may ask for more than the screen; AssertionError with the screen."""
        deadline = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < deadline, f"this never came true; the screen:\n{self.text}"
            self._read(0.05)

    def wait_quiet(self, seconds: float = 0.6) -> str:
        """Read until nothing has come for so long: what is on its way is on the screen then."""
        while self._read(seconds):
            pass
        return self.text

    def wait_closed(self, timeout: float = TIMEOUT) -> int:
        """Read until the program has ended; its exit code."""
        deadline = time.monotonic() + timeout
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def read_for(self, seconds: float) -> str:
        """Read all that comes within so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self._read(left):
            pass
        return self.text

    def _read(self, timeout: float) -> bool:
        """Take what the program writes next; False when it has ended, or wrote nothing in time."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, timeout))
        if not ready:
            return False
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self.output += data
        self._stream.feed(data)
        return bool(data)


def _set_size(fd: int, columns: int, lines: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
