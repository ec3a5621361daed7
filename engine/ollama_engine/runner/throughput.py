"""How many tokens a second are being generated, or read of prompts, over the last few seconds.

A speed is tokens over the time of the steps that took them: pauses between requests do not count, so that what was
read in a tenth of a second shows how quick reading is, and not how seldom something is asked.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW = 4.0
"""Seconds over which the speed is averaged."""
GRAIN = 0.1
"""Seconds whose steps are kept as one."""
LONG = 2.0
"""A step counts for this many times its own duration after its end, where that is longer than the window: steps of a
model that takes ten seconds for each are no pauses."""


class Throughput:
    """One thread adds, another may read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int, float]] = deque()
        """Of each grain: when its first step ended, tokens, seconds that they took."""

    def add(self, n: int, seconds: float) -> None:
        """A step has just ended that took so long and had `n` tokens of this kind in it."""
        if not n:
            return
        now = self._clock()
        with self._lock:
            if self._recent and now - self._recent[-1][0] < GRAIN:
                ended, tokens, took = self._recent[-1]
                self._recent[-1] = (ended, tokens + n, took + seconds)
            else:
                self._recent.append((now, n, seconds))
                while not _counts(self._recent[0], now):
                    self._recent.popleft()

    @property
    def per_second(self) -> float:
        """0 where there were no such tokens lately."""
        now = self._clock()
        with self._lock:
            recent = [grain for grain in self._recent if _counts(grain, now)]
        tokens, seconds = sum(n for _, n, _ in recent), sum(took for _, _, took in recent)
        return tokens / seconds if seconds > 0 else 0.0


def _counts(grain: tuple[float, int, float], now: float) -> bool:
    ended, _, took = grain
    return now - ended <= max(WINDOW, LONG * took)
