"""Memory of a process: every figure the system gives, and PSS no oftener than it is worth."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from ollama_engine.scheduler.process_memory import ProcessMemory

linux = pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells a process's share of common pages")


def test_resident_memory_of_this_process() -> None:
    memory = ProcessMemory(os.getpid()).read()
    assert memory is not None
    assert 1_000_000 < memory.rss < psutil.virtual_memory().total


@linux
def test_the_share_of_common_pages_is_less_than_what_is_resident() -> None:
    memory = ProcessMemory(os.getpid()).read()
    assert memory is not None
    assert 0 < memory.pss <= memory.rss


@linux
def test_pss_is_read_seldom_and_more_seldom_where_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    whole = psutil.Process.memory_full_info

    def counted(process: psutil.Process) -> object:
        asked.append(1.0)
        return whole(process)

    monkeypatch.setattr(psutil.Process, "memory_full_info", counted)
    memory = ProcessMemory(os.getpid())
    first, *others = [memory.read() for _ in range(10)]
    assert first is not None
    assert len(asked) == 1
    assert {other.pss for other in others if other} == {first.pss}

    times = iter([0.0, 0.050])  # 50 ms of a core: every 25 s at most
    monkeypatch.setattr("ollama_engine.scheduler.process_memory.time.thread_time", lambda: next(times))
    costly = ProcessMemory(os.getpid())
    costly.read()
    assert costly._pss_due - time.monotonic() > 20


def test_a_process_that_has_ended_has_none() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert ProcessMemory(process.pid).read() is None
