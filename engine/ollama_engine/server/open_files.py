"""How many connections the system lets a server have: each is an open file."""

from __future__ import annotations

import contextlib

RESERVE = 256
"""Files for everything else: models, runners, pulls."""
ENOUGH = 1 << 16


def affordable_connections(wanted: int) -> int:
    """`wanted`, or fewer where the system allows fewer. Raises the soft limit to the hard one first, as Go does."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    target = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft < target:
        with contextlib.suppress(ValueError, OSError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(wanted, soft - RESERVE if soft > 2 * RESERVE else soft // 2))
