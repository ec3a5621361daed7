"""Whether it was the kernel that killed a process, because memory had run out."""

from __future__ import annotations

from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def kernel_kills() -> int:
    """How many processes the kernel has killed for lack of memory since it started, of the machine or of a cgroup; 0
    where it does not tell. A SIGKILL between two readings of which the second is higher was the kernel's own."""
    try:
        lines = VMSTAT.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
