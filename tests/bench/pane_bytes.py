"""What one pane of the workstation sends to a real pseudo-terminal: a command line of its own for each pane."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from ollama_engine.engine import Engine
from tests.support.terminal import Terminal

SETTLE = 6.0
"""Seconds after which everything is drawn, and three refreshes are in the sparklines."""


@dataclass(frozen=True)
class PaneBench:
    """`rows` names what there are 1, 3 and 8 of; `key` goes to the pane, which shows `words`; `module` is run again."""

    module: str
    title: str
    rows: str
    key: str
    words: str
    engine: Callable[[int], Engine]

    def main(self, description: str | None) -> None:
        parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--columns", type=int, default=160)
        parser.add_argument("--lines", type=int, default=45)
        parser.add_argument("--seconds", type=float, default=20.0)
        parser.add_argument(f"--{self.rows}", dest="rows", type=int, nargs="+", default=[1, 3, 8])
        parser.add_argument("--show", type=int, help=argparse.SUPPRESS)
        arguments = parser.parse_args()
        if arguments.show is not None:
            self._show(arguments.show)
            return
        print(f"{self.title} at {arguments.columns}x{arguments.lines}")
        print(f"{self.rows:>7} {'bytes/s':>9} {'hidden':>9} {'% of a core':>12}")
        for rows in arguments.rows:
            watched, hidden, cores = self._measure(rows, arguments.columns, arguments.lines, arguments.seconds)
            print(f"{rows:7} {watched:9.0f} {hidden:9.0f} {cores:12.1%}")

    def _show(self, rows: int) -> None:
        """The workstation itself, inside the terminal."""
        from ollama_engine.settings import Settings
        from ollama_tui.app import Workstation
        from ollama_tui.chats import ChatStore

        with tempfile.TemporaryDirectory() as folder:
            chats = ChatStore(Path(folder) / "chats.db")
            Workstation(self.engine(rows), Settings(tour=False), chats=chats, host_label="demo").run()

    def _measure(self, rows: int, columns: int, lines: int, seconds: float) -> tuple[float, float, float]:
        """Bytes a second on the pane, bytes a second beside it, share of a core on the pane."""
        command = [sys.executable, "-m", self.module, "--show", str(rows)]
        with Terminal(command, os.environ, columns=columns, lines=lines) as terminal:
            terminal.wait_for("Library")
            terminal.press(self.key)
            terminal.wait_for(self.words)
            watched, cores = count(terminal, seconds)
            terminal.press("4")  # Chat draws nothing by itself
            hidden, _ = count(terminal, seconds / 2)
            terminal.press("ctrl+q")
            terminal.wait_closed()
        return watched, hidden, cores


def count(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """Bytes a second that come, and seconds of processor time a second, once everything is drawn."""
    _read(terminal, SETTLE)
    process = psutil.Process(terminal.process.pid)
    before, busy = len(terminal.output), sum(process.cpu_times()[:2])
    _read(terminal, seconds)
    return (len(terminal.output) - before) / seconds, (sum(process.cpu_times()[:2]) - busy) / seconds


def _read(terminal: Terminal, seconds: float) -> None:
    """Take what comes for so long."""
    with contextlib.suppress(AssertionError):
        terminal.wait_for(lambda text: False, seconds)
