"""What the PS pane sends to the terminal while figures move: bytes a second, in a real pseudo-terminal.

    python -m tests.bench.ps_pane [--columns 160] [--lines 45] [--seconds 20] [--models 1 3 8]

The workstation runs on an engine whose every figure changes at every refresh: the first model is busy, the others are
idle and run down to their unloading. Beside it the same with the pane hidden (must be 0), and the processor time of
the workstation.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil

from ollama_engine.types import Device, RunningModel
from tests.support.demo_engine import DemoEngine, demo_devices, demo_running
from tests.support.terminal import Terminal

SETTLE = 6.0
"""Seconds after which everything is drawn, and three refreshes are in the sparklines."""


class MovingEngine(DemoEngine):
    """Nothing stands still."""

    def __init__(self, models: int) -> None:
        idle = [demo_running(f"idle-{number}:latest", "idle") for number in range(models - 1)]
        super().__init__(running=[demo_running(), *idle])
        self._random = random.Random(1)
        self._began = time.monotonic()

    async def running(self) -> list[RunningModel]:
        passed = time.monotonic() - self._began
        return [self._moved(model, passed, number) for number, model in enumerate(self.in_memory)]

    def _moved(self, model: RunningModel, passed: float, number: int) -> RunningModel:
        pid = 4242 + number
        if model.state == "idle":
            left = max(0.0, 300.0 - 7 * number - passed)
            return msgspec.structs.replace(model, pid=pid, expires_in=left)
        return msgspec.structs.replace(
            model,
            pid=pid,
            tokens_per_second=self._random.uniform(60, 99),
            prompt_tokens_per_second=self._random.uniform(800, 1900),
            context_used=9210 + int(80 * passed) % 20_000,
            queued=self._random.randrange(3),
            rss=812_000_000 + self._random.randrange(30_000_000),
            pss=640_000_000 + self._random.randrange(30_000_000),
        )

    async def devices(self) -> list[Device]:
        return [
            msgspec.structs.replace(
                device,
                utilization=self._random.uniform(5, 99),
                temperature=self._random.uniform(50, 70),
                power=self._random.uniform(100, 300) if device.power else None,
                free=device.free + self._random.randrange(2_000_000_000),
            )
            for device in demo_devices()
        ]


def show(models: int) -> None:
    """The workstation itself, inside the terminal."""
    from ollama_engine.settings import Settings
    from ollama_tui.app import Workstation
    from ollama_tui.chats import ChatStore

    with tempfile.TemporaryDirectory() as folder:
        chats = ChatStore(Path(folder) / "chats.db")
        Workstation(MovingEngine(models), Settings(), chats=chats, host_label="demo").run()


def measure(models: int, columns: int, lines: int, seconds: float) -> tuple[float, float, float]:
    """Bytes a second on the pane, bytes a second beside it, percent of a core on the pane."""
    command = [sys.executable, "-m", "tests.bench.ps_pane", "--show", str(models)]
    with Terminal(command, os.environ, columns=columns, lines=lines) as terminal:
        terminal.wait_for("Library")
        terminal.press("3")
        terminal.wait_for("UNLOADS")
        watched, cores = count(terminal, seconds)
        terminal.press("5")
        hidden, _ = count(terminal, seconds / 2)
        terminal.press("q")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=160)
    parser.add_argument("--lines", type=int, default=45)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--show", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.show is not None:
        show(arguments.show)
        return
    print(f"PS pane at {arguments.columns}x{arguments.lines}, refresh every 2 s, every figure moves")
    print(f"{'models':>7} {'bytes/s':>9} {'hidden':>9} {'% of a core':>12}")
    for models in arguments.models:
        watched, hidden, cores = measure(models, arguments.columns, arguments.lines, arguments.seconds)
        print(f"{models:7} {watched:9.0f} {hidden:9.0f} {cores:12.1%}")


if __name__ == "__main__":
    main()
