"""`TerminalApp`: an App that gets along with its terminal: slow lines, few colours, no glyphs, somebody looking away.

The workstation is one; what it shows is not known here.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs
from rich.segment import Segments
from rich.text import Text
from textual.app import App
from textual.css.query import NoMatches
from textual.driver import Driver
from textual.filter import LineFilter
from textual.screen import Screen
from textual.worker import WorkerFailed

from ollama_engine.settings import APP
from ollama_tui.terminal import attention, clipboard
from ollama_tui.terminal.colors import EightBitColors
from ollama_tui.terminal.ending import Ending
from ollama_tui.terminal.glyphs import AsciiGlyphs
from ollama_tui.text import visible

if sys.platform != "win32":
    from ollama_tui.terminal.driver import TerminalDriver


class TerminalApp(App[None], inherit_bindings=False):
    """Args:
    ascii_glyphs: draw frames, bars and marks with ASCII.
    """

    def __init__(self, *, ascii_glyphs: bool = False) -> None:
        super().__init__()
        self._holds_frames = False
        self._lost_a_frame = False
        self._reduced: list[LineFilter] = []
        if self.console.color_system == "256":
            self._reduced.append(EightBitColors())
        if ascii_glyphs:
            self._reduced.append(AsciiGlyphs())

    async def run_async(self, **options: Any) -> None:
        """As Textual's, and ends on SIGTERM and SIGHUP as on `q`."""
        with Ending(self.exit, self.restore_terminal):
            return await super().run_async(**options)

    def get_driver_class(self) -> type[Driver]:
        if sys.platform == "win32" or "TEXTUAL_DRIVER" in os.environ:
            return super().get_driver_class()
        return TerminalDriver

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self._reduced]

    # A slow line: frames are held, so that nothing waits for the terminal; the newest is drawn when there is room

    def post_display_hook(self) -> None:
        if not self._holds_frames and getattr(self._driver, "is_full", False):
            self._holds_frames = True
            self._begin_batch()

    def line_is_free(self) -> None:
        """All that was written has gone out."""
        if not self._holds_frames:
            return
        self._holds_frames = False
        self._end_batch()
        if self._lost_a_frame:
            self._lost_a_frame = False
            self.screen.refresh()
        for screen in self.screen_stack:
            screen.check_idle()

    def line_is_broken(self) -> None:
        """The terminal is gone: there is nobody to stay for."""
        self.line_is_free()
        self.exit(return_code=1)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        self._lost_a_frame |= self._holds_frames and renderable is not None
        super()._display(screen, renderable)

    def restore_terminal(self) -> None:
        """Give the terminal back at once, where the App has not done it; from any thread."""
        restore = getattr(self._driver, "restore_at_once", None)
        if restore is not None:
            restore()

    # Copy, and call for attention

    def copy_to_clipboard(self, text: str) -> None:
        """Copy to the clipboard of the terminal one sits at; a notification says where it went."""
        self._clipboard = text
        if self._driver is not None:
            self.run_worker(partial(self._copy, text, self._driver), group="clipboard", exclusive=True)

    async def _copy(self, text: str, driver: Driver) -> None:
        file = clipboard.default_file()
        try:
            told = await clipboard.copy(text, driver.write, os.environ, file)
        except OSError as error:
            self.notify(f"Cannot write {file}: {error.strerror}", severity="error", markup=False)
        else:
            self.notify(told, markup=False)

    def announce(self, text: str, *, title: str = "") -> None:
        """Something that was waited for: a notification; also on the desktop, where the window is not looked at."""
        self.notify(visible(text), title=visible(title), markup=False)
        if not self.app_focus and self._driver is not None:
            self._driver.write(attention.call(title, text, os.environ))
            self._driver.flush()

    # An error of our own

    def _handle_exception(self, error: Exception) -> None:
        """What draws while the screens are taken down finds no widgets any more; that is no error."""
        cause = error.error if isinstance(error, WorkerFailed) else error
        if self._running or not isinstance(cause, NoMatches):
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """End with a sentence; the traceback goes to a file, without anybody's words in it."""
        error = sys.exception()
        told = traceback.format_exception_only(error)[-1].strip() if error is not None else "an unknown error"
        words = f"ollama-tui ended because of an error of its own: {told}\n{_kept_in_a_file()}"
        self.bell()
        self._exit_renderables.append(Segments(self.console.render(Text(visible(words)), self.console.options)))
        self._close_messages_no_wait()


def crash_file() -> Path:
    return Path(platformdirs.user_log_dir(APP)) / "crash.log"


def _kept_in_a_file() -> str:
    file = crash_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a") as out:
            out.write(f"{datetime.now().astimezone().isoformat(timespec='seconds')}\n{traceback.format_exc()}\n")
    except OSError as failure:
        return f"The report of it could not be written to {file}: {failure.strerror}."
    return f"Conversations and drafts are kept. The report of it is in {file}."
