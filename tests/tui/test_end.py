"""The end in a real terminal: on SIGTERM and on a lost line the terminal is restored and the draft is on disk."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

import pytest
from textual.css.query import NoMatches
from textual.worker import WorkerFailed

from ollama_tui.chats import ChatStore
from ollama_tui.terminal.app import TerminalApp

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")

PROGRAM = """
import sys
from pathlib import Path
from tests.support.workstation import workstation
workstation(Path(sys.argv[1])).run()
"""


class Terminal:
    """The program in a pseudo-terminal, and all it has written."""

    def __init__(self, folder: Path) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self.pid, self.line = pty.fork()
        if not self.pid:
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-c", PROGRAM, str(folder)])
        fcntl.ioctl(self.line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.written = b""

    def read(self, seconds: float) -> bool:
        """Read what comes within `seconds`; False at the end of the program's output."""
        if not select.select([self.line], [], [], seconds)[0]:
            return True
        try:
            more = os.read(self.line, 65536)
        except OSError:
            return False
        self.written += more
        return bool(more)

    def wait_for(self, words: bytes, seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while words not in self.written:
            assert time.monotonic() < end, self.written[-500:]
            self.read(0.1)

    def status(self, seconds: float = 20.0) -> int:
        """Wait for the end; the exit status (negative: the signal that killed it)."""
        end = time.monotonic() + seconds
        while True:
            if self.line >= 0 and not self.read(0.05):
                self.hang_up()
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError("the program did not end")

    def hang_up(self) -> None:
        if self.line >= 0:
            os.close(self.line)
            self.line = -1


async def _draft(folder: Path) -> str:
    store = ChatStore(folder / "chats.db")
    saved = await store.latest()
    await store.aclose()
    return saved.draft if saved else ""


def _typed(folder: Path) -> Terminal:
    terminal = Terminal(folder)
    terminal.wait_for(b"llama3.1:8b")
    os.write(terminal.line, b"4")
    terminal.wait_for(b"A new conversation")
    os.write(terminal.line, b"mydraft")
    terminal.wait_for(b"mydraft")
    return terminal


async def test_sigterm_restores_the_terminal_and_keeps_the_draft(tmp_path: Path) -> None:
    terminal = _typed(tmp_path)
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.status() == 0
    for undone in (b"\x1b[?1049l", b"\x1b[?1003l", b"\x1b[?1006l", b"\x1b[?2004l", b"\x1b[?25h"):
        assert undone in terminal.written, undone
    assert await _draft(tmp_path) == "mydraft"


async def test_a_lost_line_ends_the_program_and_keeps_the_draft(tmp_path: Path) -> None:
    terminal = _typed(tmp_path)
    terminal.hang_up()
    terminal.status()
    assert await _draft(tmp_path) == "mydraft"


async def test_a_line_that_is_lost_while_the_program_ends_does_not_keep_it(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.wait_for(b"llama3.1:8b")
    os.write(terminal.line, b"q")
    terminal.wait_for(b"\x1b[?1049l")
    terminal.hang_up()
    terminal.status()


async def test_a_kill_loses_at_most_the_last_second(tmp_path: Path) -> None:
    terminal = _typed(tmp_path)
    end = time.monotonic() + 5
    while await _draft(tmp_path) != "mydraft":
        assert time.monotonic() < end
        terminal.read(0.05)
    os.kill(terminal.pid, signal.SIGKILL)
    assert terminal.status() == -signal.SIGKILL
    assert await _draft(tmp_path) == "mydraft"


async def test_what_draws_while_the_screens_are_taken_down_is_no_error() -> None:
    late = WorkerFailed(NoMatches("No nodes match '#models'"))
    ended = TerminalApp()
    async with ended.run_test():
        pass
    ended._handle_exception(late)
    assert ended._exception is None
    with pytest.raises(WorkerFailed):
        async with TerminalApp().run_test() as pilot:
            pilot.app._handle_exception(late)
