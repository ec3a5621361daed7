"""How much memory a process holds by the system's count: resident, and its share of what several have in common."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

PSS_SHARE = 0.002
"""Of a core's time that may go into a process's PSS: the system walks all of its pages to sum it up, some milliseconds
for each mapped GB."""
PSS_INTERVAL = 2.0
"""Seconds between two figures of PSS at least."""


@dataclass(frozen=True)
class MemoryUse:
    """Bytes. `pss` counts a page that two processes map as half a page for each; 0 where the system does not tell."""

    rss: int
    pss: int = 0


class ProcessMemory:
    """One process, read from time to time; one thread at a time. `read` blocks: call it in a thread."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._process: psutil.Process | None = None
        self._pss = 0
        self._pss_due = 0.0

    def read(self) -> MemoryUse | None:
        """None where there is no such process any more."""
        try:
            if self._process is None:
                self._process = psutil.Process(self._pid)
            rss = self._process.memory_info().rss
            if psutil.LINUX and time.monotonic() >= self._pss_due:
                self._pss = self._read_pss(self._process)
        except psutil.Error:
            return None
        return MemoryUse(rss, self._pss)

    def _read_pss(self, process: psutil.Process) -> int:
        began, busy = time.monotonic(), time.thread_time()
        try:
            return int(getattr(process.memory_full_info(), "pss", 0))
        except psutil.AccessDenied:
            return 0
        finally:
            took = time.thread_time() - busy
            self._pss_due = began + max(PSS_INTERVAL, took / PSS_SHARE)
