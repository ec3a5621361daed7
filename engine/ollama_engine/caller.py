"""Who asks: the scheduler takes turns between callers, and a list of requests names them.

The server says it for each of its requests (server/callers.py); where nobody does, this process itself asks.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """`name` is whose turn it is, and what a list of requests shows. `local`: somebody sits at a terminal of this
    machine and looks at it, so that this request goes before others (scheduler/fair_queue.py has how far)."""

    name: str
    local: bool = False


THIS_PROCESS = Caller("local", local=True)

current_caller: ContextVar[Caller] = ContextVar("current_caller", default=THIS_PROCESS)
