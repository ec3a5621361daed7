"""What the PS pane sends to the terminal while figures move: bytes a second, in a real pseudo-terminal.

    python -m tests.bench.ps_pane [--columns 160] [--lines 45] [--seconds 20] [--models 1 3 8]

The workstation runs on an engine whose every figure changes at every refresh: the first model is busy, the others are
idle and run down to their unloading. Beside it the same with the pane hidden (must be 0), and the processor time of
the workstation.
"""

from __future__ import annotations

import random
import time

import msgspec

from ollama_engine.types import Device, RunningModel
from tests.bench.pane_bytes import PaneBench
from tests.support.demo_engine import DemoEngine, demo_devices, demo_running


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


BENCH = PaneBench(
    "tests.bench.ps_pane", "PS pane, refresh every 2 s, every figure moves", "models", "3", "UNLOADS", MovingEngine
)

if __name__ == "__main__":
    BENCH.main(__doc__)
