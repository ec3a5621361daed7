"""How many tokens a second are being generated, over the last few seconds."""

from __future__ import annotations

import threading
import time
from collections import deque

WINDOW = 4.0
"""Seconds over which the speed is averaged."""
GRAIN = 0.1
"""Seconds whose tokens are kept as one."""
LEAST = 0.25
"""Seconds that a first reading is averaged over at least."""


class Throughput:
    """One thread adds, another may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()

    def add(self, n: int) -> None:
        """`n` tokens now."""
        now = time.monotonic()
        with self._lock:
            if n and self._recent and now - self._recent[-1][0] < GRAIN:
                at, before = self._recent[-1]
                self._recent[-1] = (at, before + n)
            elif n:
                self._recent.append((now, n))
            while self._recent and now - self._recent[0][0] > WINDOW:
                self._recent.popleft()

    @property
    def per_second(self) -> float:
        now = time.monotonic()
        with self._lock:
            recent = [(at, n) for at, n in self._recent if now - at <= WINDOW]
        if not recent:
            return 0.0
        return sum(n for _, n in recent) / max(now - recent[0][0], LEAST)
