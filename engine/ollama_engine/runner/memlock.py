"""Locking weights in memory (mlock): as much as the system lets a process lock, and what to say where that is less."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

MIB = 1024 * 1024


def raise_limit() -> None:
    """Let this process lock all that it is ever allowed to."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))


def notice(why: str, weights: int) -> str:
    """What to tell whoever asked for it, where the weights could not be locked.

    Args:
        why: the system's word for it.
        weights: bytes of them.
    """
    locked, limit = _locked(), _limit()
    how_much = "" if locked is None else f", {locked / MIB:.0f} MiB of {weights / MIB:.0f} MiB are"
    return f"use_mlock: not all weights could be locked in memory{how_much} ({why}; {limit})"


def _limit() -> str:
    if sys.platform == "win32":
        return "the working set of the process is too small"
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if hard == resource.RLIM_INFINITY:
        return "the limit of the process is not what is in the way"
    return f"the limit of the process is {hard / MIB:.0f} MiB: raise it with 'ulimit -l', or systemd's LimitMEMLOCK"


def _locked() -> int | None:
    """Bytes that this process has locked; None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmLck:")]
    return int(lines[0].split()[1]) * 1024 if lines else None
