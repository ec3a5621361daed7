"""Who waits for one model, in fair order."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_engine.scheduler.fair_queue import FairQueue
from ollama_engine.scheduler.ticket import Ticket

ABOUT_TO_GO = 8
"""How many of a line whose model is not there are likely to get in as soon as its load begins."""


class Line:
    """Belongs to the Scheduler.

    Attributes:
        moved_at: when somebody last got out of it to the model, or came to an empty one (event loop time).
        decided: whether it is known by now if the model can be loaded; before that nobody knows who will have to wait.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.moved_at = 0.0
        self.decided = False
        self._queue = FairQueue[Ticket]()
        self._asking: dict[Ticket, None] = {}
        """Those of the queue who only ask something, and wait for nobody before them once the model is there."""

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._queue)

    def __contains__(self, ticket: object) -> bool:
        return ticket in self._queue

    @property
    def waiting(self) -> list[Ticket]:
        """Who stands in the queue that OLLAMA_MAX_QUEUE limits."""
        return list(self)[0 if self.decided else ABOUT_TO_GO :]

    @property
    def asking(self) -> list[Ticket]:
        return list(self._asking)

    def first(self) -> Ticket | None:
        return self._queue.first()

    def add(self, ticket: Ticket, now: float) -> None:
        if not self._queue:
            self.moved_at = now
        self._queue.add(ticket, ticket.caller)
        if ticket.use == "ask":
            self._asking[ticket] = None

    def take(self, ticket: Ticket, now: float) -> None:
        """Let somebody out to the model: with the first, the turn passes to the next caller."""
        self.moved_at = now
        self._asking.pop(ticket, None)
        if ticket is self._queue.first():
            self._queue.take()
        else:
            self._queue.remove(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Let go of somebody who does not wait any more."""
        self._asking.pop(ticket, None)
        self._queue.remove(ticket)
