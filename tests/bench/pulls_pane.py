"""What the Pulls pane sends to the terminal while pulls run: bytes a second, in a real pseudo-terminal.

    python -m tests.bench.pulls_pane [--columns 160] [--lines 45] [--seconds 20] [--pulls 1 3 8]

Every running pull tells of a step ten times a second, as the engine does. Beside it the same with the pane hidden (must
be 0), and the processor time of the workstation.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Self

from tests.bench.ps_pane import count
from tests.support.demo_engine import DemoEngine
from tests.support.demo_pulls import MB, demo_pull
from tests.support.terminal import Terminal

SIZE = 40_000 * MB


class MovingEngine(DemoEngine):
    """Each pull of its queue goes on ten times a second."""

    def __init__(self, pulls: int) -> None:
        super().__init__(pulls=[demo_pull(f"model-{number}:8b", part=0.0, size=SIZE) for number in range(pulls)])
        self._moving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._moving = asyncio.create_task(self._move())
        return self

    async def aclose(self) -> None:
        if self._moving is not None:
            self._moving.cancel()

    async def _move(self) -> None:
        chance = random.Random(1)
        part = 0.0
        while True:
            await asyncio.sleep(0.1)
            part += 0.0001
            for id in list(self.queue.views):
                await self.queue.advance(id, part)
                await self.queue.change(id, rate=chance.uniform(30, 60) * MB)


def show(pulls: int) -> None:
    """The workstation itself, inside the terminal."""
    from ollama_engine.settings import Settings
    from ollama_tui.app import Workstation
    from ollama_tui.chats import ChatStore

    with tempfile.TemporaryDirectory() as folder:
        chats = ChatStore(Path(folder) / "chats.db")
        Workstation(MovingEngine(pulls), Settings(), chats=chats, host_label="demo").run()


def measure(pulls: int, columns: int, lines: int, seconds: float) -> tuple[float, float, float]:
    """Bytes a second on the pane, bytes a second beside it, percent of a core on the pane."""
    command = [sys.executable, "-m", "tests.bench.pulls_pane", "--show", str(pulls)]
    with Terminal(command, os.environ, columns=columns, lines=lines) as terminal:
        terminal.wait_for("Library")
        terminal.press("2")
        terminal.wait_for("SPEED")
        watched, cores = count(terminal, seconds)
        terminal.press("5")
        hidden, _ = count(terminal, seconds / 2)
        terminal.press("q")
        terminal.wait_closed()
    return watched, hidden, cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=160)
    parser.add_argument("--lines", type=int, default=45)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--pulls", type=int, nargs="+", default=[1, 3, 8])
    parser.add_argument("--show", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.show is not None:
        show(arguments.show)
        return
    print(f"Pulls pane at {arguments.columns}x{arguments.lines}, painted twice a second at the most")
    print(f"{'pulls':>7} {'bytes/s':>9} {'hidden':>9} {'% of a core':>12}")
    for pulls in arguments.pulls:
        watched, hidden, cores = measure(pulls, arguments.columns, arguments.lines, arguments.seconds)
        print(f"{pulls:7} {watched:9.0f} {hidden:9.0f} {cores:12.1%}")


if __name__ == "__main__":
    main()
