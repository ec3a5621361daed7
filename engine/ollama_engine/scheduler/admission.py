"""How many may wait, who has to leave where too many do, and when to come again.

One queue in all, of OLLAMA_MAX_QUEUE requests: those that wait for a model to have room, for its load, and for one of
its slots. Where it is full the newest request of the caller that has most in it is refused: it may be another's than
the one that has just come.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from ollama_engine.errors import Busy
from ollama_engine.scheduler.line import Line
from ollama_engine.scheduler.resident import Resident
from ollama_engine.scheduler.ticket import Ticket

QUEUE_FULL = "server busy, please try again.  maximum pending requests exceeded"
SHUTTING_DOWN = "the engine is shutting down"

SOONEST, LATEST = 1.0, 3600.0
"""Bounds of Retry-After, seconds."""


class Admission:
    """The lines of all models. `limit`: how many may wait."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: dict[str, Line] = {}

    def __iter__(self) -> Iterator[Line]:
        """The lines in which somebody stands."""
        return iter([line for line in self._lines.values() if line])

    def line(self, key: str) -> Line:
        return self._lines.setdefault(key, Line(key))

    def forget(self, line: Line) -> None:
        """Drop the line of a model that is not in memory, where nobody stands in it."""
        if not line and self._lines.get(line.key) is line:
            del self._lines[line.key]

    def surplus(self, residents: Iterable[Resident]) -> Ticket | None:
        """Who must leave so that no more wait than may; None where that is so.

        Those who are with a runner already count, and stay.
        """
        waiting = [ticket for line in self for ticket in line.waiting]
        if len(waiting) + sum(resident.beyond for resident in residents) <= self._limit:
            return None
        counts = Counter(ticket.caller for ticket in waiting)
        if not counts:
            return None
        most = max(counts.values())
        # Of several callers with as many, the one that has come last.
        newest = (ticket for ticket in waiting if counts[ticket.caller] == most)
        return max(newest, key=lambda ticket: ticket.number)

    def refusal(self, ticket: Ticket, resident: Resident | None, now: float) -> Busy:
        """What somebody is told who stands in a line, and for whom there is no room in the queue."""
        return Busy(
            QUEUE_FULL,
            hint="Try again later, or set OLLAMA_MAX_QUEUE or OLLAMA_NUM_PARALLEL higher.",
            retry_after=seconds_until_turn(len(self.line(ticket.subject.key)) - 1, resident, now),
        )


def seconds_until_turn(ahead: int, resident: Resident | None, now: float) -> float:
    """When a request with so many before it will get a slot, by what is known: how long the others have had theirs of
    late, or have had them by now; and how far the load is."""
    if resident is None:
        return SOONEST
    seconds = 0.0
    if resident.phase == "loading":
        elapsed = now - resident.began
        seconds = elapsed * (1 - resident.progress) / resident.progress if resident.progress > 0 else elapsed
        return min(max(math.ceil(seconds), SOONEST), LATEST)
    begun = (max(ticket.since, resident.ready_at) for ticket in resident.places)
    turn = resident.turn_seconds or max((now - since for since in begun), default=0.0)
    seconds += turn * (ahead + 1) / max(1, resident.slots)
    return min(max(math.ceil(seconds), SOONEST), LATEST)
