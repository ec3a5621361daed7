"""One model in memory, from the beginning of its load until its process is gone.

    loading ──▶ ready ──▶ stopping ──▶ gone
       └─────────┴───────────┴──────────▲      (the load failed, the process died)

`draining` beside it: no new request gets in, and it is stopped when those inside have ended.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ollama_engine.runner.client import Runner
from ollama_engine.scheduler.placement import FreeMemory, Placement
from ollama_engine.scheduler.ticket import Subject, Ticket

if TYPE_CHECKING:
    from ollama_engine.scheduler.line import Line

Phase = Literal["loading", "ready", "stopping", "gone"]
State = Literal["loading", "busy", "idle", "stopping"]

RECENT = 0.3
"""Weight of the last turn among those before it."""


def lookahead(n_seq: int) -> int:
    """Requests that are with a runner beyond those it answers, so that it has the next one at hand when a slot comes
    free. Few: what is there already has no turns to take any more."""
    return 1 + n_seq // 4


@dataclass(eq=False)
class Resident:
    """Owned by the Scheduler, which alone changes it. Times are the event loop's, in seconds; `keep_alive` in seconds,
    math.inf for ever.

    Attributes:
        subject: the name that was last used for it.
        placement: how it is loaded.
        asked: how it was to be loaded; `placement` has less where memory did not suffice.
        seen: the memory that was free when its load was decided on.
        line: who waits for it.
        loaded: the runner, once it is there; else why not.
        closed_for: the model that needs its memory; no new request gets in, those inside may end.
        pinned: it goes neither with time nor for another model.
        notices: what is otherwise than asked for.
    """

    subject: Subject
    placement: Placement
    asked: Placement
    seen: FreeMemory
    line: Line
    keep_alive: float
    loaded: asyncio.Future[Runner]
    began: float
    phase: Phase = "loading"
    draining: bool = False
    closed_for: str = ""
    pinned: bool = False
    progress: float = 0.0
    ready_at: float = math.inf
    last_use: int = 0
    """Number of the ticket that came in last."""
    idle_since: float = 0.0
    turn_seconds: float = 0.0
    """How long a request has kept a place of late; 0 where none has ended yet."""
    timer: asyncio.TimerHandle | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it is to go, whoever uses it."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    users: dict[Ticket, None] = field(default_factory=dict)
    """In the order in which they came in."""

    notices: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def runner(self) -> Runner | None:
        """The runner once it is loaded."""
        if self.loaded.done() and not self.loaded.cancelled() and self.loaded.exception() is None:
            return self.loaded.result()
        return None

    @property
    def all_notices(self) -> tuple[str, ...]:
        """What is otherwise than asked for, the runner's own words included."""
        return (*self.notices, *(self.runner.info.notices if self.runner else ()))

    @property
    def is_gone(self) -> bool:
        """Whether there is no process any more: it did not load, or died."""
        return self.phase == "gone" or (self.phase == "ready" and (self.runner is None or not self.runner.alive))

    @property
    def is_being_loaded(self) -> bool:
        """Whether a process takes memory for it that a measurement does not show yet: also while it is broken off."""
        return self.phase == "loading" or (self.phase == "stopping" and not self.loaded.done())

    @property
    def admits(self) -> bool:
        return self.phase in ("loading", "ready") and not (self.draining or self.closed_for or self.is_gone)

    @property
    def is_idle(self) -> bool:
        return self.phase == "ready" and not self.users

    @property
    def is_leaving(self) -> bool:
        """Whether it is on its way out and nobody holds it up."""
        return self.phase == "stopping" or self.is_gone or (self.draining and not self.users)

    @property
    def leases(self) -> int:
        return len(self.users)

    @property
    def slots(self) -> int:
        """Requests that it answers at once."""
        return self.placement.spec.n_seq

    @property
    def places(self) -> list[Ticket]:
        """Who has a place in the runner; the first `slots` of them are answered, the others are next."""
        return [ticket for ticket in self.users if ticket.takes_place]

    @property
    def beyond(self) -> int:
        """Requests that are with the runner and wait there."""
        return max(0, len(self.places) - self.slots)

    @property
    def waiting(self) -> int:
        """Requests that wait for one of its slots."""
        return self.beyond + len(self.line)

    @property
    def may_close_at(self) -> float:
        """It works at least for as long as it took to load, before another model may have its memory while there are
        requests for it: else two models that do not fit side by side would do little but load."""
        return self.ready_at + (self.ready_at - self.began)

    @property
    def state(self) -> State:
        if self.draining or self.phase in ("stopping", "gone"):
            return "stopping"
        if self.phase == "loading":
            return "loading"
        return "busy" if self.users else "idle"

    @property
    def seconds_left(self) -> float:
        """Until it is unloaded, if nobody asks for it before."""
        if self.pinned:
            return math.inf
        if self.users or math.isinf(self.keep_alive):
            return self.keep_alive
        return max(0.0, self.idle_since + self.keep_alive - asyncio.get_running_loop().time())

    @property
    def mapped(self) -> int:
        """Bytes of its files that lie in RAM as pages which the system counts as available."""
        if self.runner is None:
            return 0
        return sum(
            buffer.size
            for buffer in self.runner.info.buffers
            if buffer.device.startswith("CPU_Mapped") and buffer.kind == "model"
        )

    def turn_ended(self, seconds: float) -> None:
        last = self.turn_seconds or seconds
        self.turn_seconds = last + RECENT * (seconds - last)
