"""How many threads compute: as many as there are cores that no other program computes on.

llama.cpp's threads wait for each other at every node of the graph. Where one of them has to share its core, all wait,
and fewer threads are faster (docs/performance.md has the figures). Two runners that answer at once share the cores in
the same way: each sees what the other takes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import psutil

EVERY = 0.25
"""Seconds between two looks: /proc/stat counts in hundredths."""
STALE = 5.0
"""Seconds after which what was seen while nothing was computed says nothing of now."""
SLACK = 0.4
"""Part of a core that others may take before a thread is given up for them: the server and its clients need some."""


class Spent(NamedTuple):
    """Seconds of all cores together since some time in the past: nobody computed, or this process did."""

    idle: float
    own: float


class ThreadCount:
    """Between 1 and `most`. A thread is given up when two looks in a row say so, and taken back at once."""

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], Spent] | None = None,
    ) -> None:
        self.most = self._count = most
        self._clock = clock
        self._spent = spent or spent_so_far
        self._at = clock()
        self._before = self._spent() if most > 1 else Spent(0.0, 0.0)
        self._fewer = False

    def now(self) -> int:
        """How many to compute the next batch with. Cheap: mostly it only looks at the clock."""
        if self.most == 1 or (passed := self._clock() - self._at) < EVERY:
            return self._count
        spent = self._spent()
        idle, own = spent.idle - self._before.idle, spent.own - self._before.own
        self._at, self._before = self._clock(), spent
        if passed > STALE and own < passed / 2:
            self._count, self._fewer = self.most, False
            return self._count
        free = max(1, min(self.most, int((idle + own) / passed + SLACK)))
        if free < self._count and not self._fewer:
            self._fewer = True
            return self._count
        self._count, self._fewer = free, False
        return free


def spent_so_far() -> Spent:
    """Of the cores that this process may run on. What a hypervisor takes away counts as idle: it takes it from
    everybody, however many threads there are."""
    times = psutil.cpu_times(percpu=True)
    if sys.platform == "linux":
        times = [each for number, each in enumerate(times) if number in os.sched_getaffinity(0)]
    idle = sum(each.idle + getattr(each, "iowait", 0.0) + getattr(each, "steal", 0.0) for each in times)
    return Spent(idle, time.process_time())
