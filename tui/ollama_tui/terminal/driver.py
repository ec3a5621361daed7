"""`TerminalDriver`: Textual's driver for Linux and macOS on a `Line`: a slow line holds frames, a broken one nobody."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
from typing import IO, TYPE_CHECKING, Any, cast

from textual.drivers.linux_driver import LinuxDriver

from ollama_tui.terminal.line import Line

if TYPE_CHECKING:
    from ollama_tui.terminal.app import TerminalApp

ENOUGH_WAITS = 8192
"""Characters that may wait for the line before the App holds its frames."""

RESTORE = (
    "\x1b[?2026l"  # a frame that was begun
    "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # the mouse
    "\x1b[?2004l\x1b[?2048l\x1b[?1004l"  # paste, size and focus reports
    "\x1b[?7h\x1b[<u\x1b[?1049l\x1b[0m\x1b[?25h"  # wrap, keys, the main screen, plain text, the cursor
)
"""Undoes all that a driver of Textual asks of a terminal."""


class TerminalDriver(LinuxDriver):
    """`in_use` is true while the terminal is the App's, not the shell's."""

    def __init__(self, app: TerminalApp, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        call = self._loop.call_soon_threadsafe
        self.line = Line(
            cast("IO[str]", sys.__stderr__),
            drained=lambda: _unless_closed(call, app.line_is_free),
            broken=lambda: _unless_closed(call, app.line_is_broken),
        )
        self._file = cast("IO[str]", self.line)
        self.in_use = False

    @property
    def is_full(self) -> bool:
        """Whether enough waits to be written; frames should be held until `TerminalApp.line_is_free`."""
        return self.line.waiting > ENOUGH_WAITS and not self.line.is_broken

    def _get_terminal_size(self) -> tuple[int, int]:
        """The terminal's own. Textual believes COLUMNS and LINES, which a shell may have exported when it was opened:
        then no change of the window would be seen."""
        with contextlib.suppress(OSError):
            columns, lines = os.get_terminal_size(cast("IO[str]", sys.__stderr__).fileno())
            if columns and lines:
                return columns, lines
        return super()._get_terminal_size()

    def write(self, data: str) -> None:
        writer = self._writer_thread
        if writer is not None and writer.is_alive():
            self.line.queued(len(data))
            writer.write(data)

    def start_application_mode(self) -> None:
        self.in_use = True
        super().start_application_mode()

    def stop_application_mode(self) -> None:
        super().stop_application_mode()
        self.in_use = False

    def _sigcont_application(self, *_: object) -> None:
        _unless_closed(self._loop.call_soon_threadsafe, self._go_on)

    def _go_on(self) -> None:
        """After a stop: whoever had the terminal meanwhile has left it as they liked.

        The signal comes also where the terminal hangs up, and may come while the App ends: then nothing is begun again.
        """
        if not (self._auto_restart and self._app._running and os.isatty(self.fileno)):
            return
        if self.in_use:
            self.suspend_application_mode()
        self.resume_application_mode()
        self._app.refresh(layout=True)

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except OSError:  # the terminal is gone: nobody types any more
            _unless_closed(self._loop.call_soon_threadsafe, cast("TerminalApp", self._app).line_is_broken)

    def restore_at_once(self) -> None:
        """Give the terminal back without the writer's thread or the event loop: a last resort, which never waits."""
        if not self.in_use or sys.__stderr__ is None:
            return
        self.in_use = False
        with contextlib.suppress(OSError, ValueError, termios.error):
            fd = sys.__stderr__.fileno()
            if self.attrs_before is not None:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
            if select.select([], [fd], [], 0)[1]:
                os.write(fd, RESTORE.encode())


def _unless_closed(call: Any, callback: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the event loop is closed already
        call(callback)
