"""What the Pulls pane sends to the terminal while pulls run: bytes a second, in a real pseudo-terminal.

    python -m tests.bench.pulls_pane [--columns 160] [--lines 45] [--seconds 20] [--pulls 1 3 8]

Every running pull tells of a step ten times a second, as the engine does. Beside it the same with the pane hidden (must
be 0), and the processor time of the workstation.
"""

from __future__ import annotations

import asyncio
import random
from typing import Self

from tests.bench.pane_bytes import PaneBench
from tests.support.demo_engine import DemoEngine
from tests.support.demo_pulls import MB, demo_pull

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


BENCH = PaneBench(
    "tests.bench.pulls_pane", "Pulls pane, painted twice a second at the most", "pulls", "2", "SPEED", MovingEngine
)

if __name__ == "__main__":
    BENCH.main(__doc__)
