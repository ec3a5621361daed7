"""The line to the terminal: what the program sends, when it came, and, where asked for, no faster than a slow line."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from tests.support.terminal import Terminal

GULP = 1 << 16


@dataclass
class Read:
    """What came in one stretch: bytes, seconds, and processor seconds that the program took meanwhile."""

    data: bytearray = field(default_factory=bytearray)
    seconds: float = 0.0
    processor: float = 0.0
    found_after: float = 0.0

    @property
    def bytes(self) -> int:
        return len(self.data)

    @property
    def share(self) -> float:
        """Of one core."""
        return self.processor / self.seconds if self.seconds else 0.0


def read(
    terminal: Terminal,
    seconds: float,
    *,
    until: bytes | Callable[[], bool] | None = None,
    bytes_a_second: float = 0.0,
) -> Read:
    """Take what comes for `seconds`, or until a text came (`found_after`) or a condition holds.

    The screen is not kept meanwhile, so that the reader costs next to nothing.
    """
    got = Read()
    process = psutil.Process(terminal.process.pid)
    busy = sum(process.cpu_times()[:2])
    began = asked = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        ready, _, _ = select.select([terminal._fd], [], [], min(0.05, began + seconds - now))
        if ready:
            gulp = GULP if not bytes_a_second else max(64, int(bytes_a_second / 100))
            got.data += os.read(terminal._fd, gulp)
            if bytes_a_second:
                ahead = began + got.bytes / bytes_a_second - time.monotonic()
                time.sleep(max(0.0, min(ahead, 0.1)))
        if isinstance(until, bytes):
            if until in got.data:
                got.found_after = time.monotonic() - began
                break
        elif until is not None and time.monotonic() - asked > 0.1:
            asked = time.monotonic()
            if until():
                got.found_after = asked - began
                break
    got.seconds = time.monotonic() - began
    got.processor = sum(process.cpu_times()[:2]) - busy
    return got
