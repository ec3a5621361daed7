"""One model in memory: loading, busy, idle, or on its way out."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from typing import Literal

from ollama_engine.runner.client import Runner
from ollama_engine.scheduler.placement import Placement
from ollama_engine.types import ModelDetails

State = Literal["loading", "busy", "idle", "stopping"]


@dataclass(frozen=True)
class Subject:
    """Which model it is, for those who list what runs. `key` says which weights: names that share it share a runner."""

    key: str
    name: str
    digest: str
    details: ModelDetails


@dataclass(eq=False)
class Resident:
    """Owned by the Scheduler, which alone changes it. `keep_alive` in seconds, math.inf for ever.

    `asked` is how it was to be loaded; `placement` has less where memory did not suffice, and `notices` say so.
    """

    subject: Subject
    placement: Placement
    asked: Placement
    keep_alive: float
    load: asyncio.Task[Runner]
    progress: float = 0.0
    leases: int = 0
    retiring: bool = False
    """No new lease; unloaded when the last one ends."""
    idle_since: float = field(default_factory=time.monotonic)
    timer: asyncio.TimerHandle | None = None
    notices: list[str] = field(default_factory=list)

    @property
    def runner(self) -> Runner | None:
        """The runner once it is loaded."""
        if self.load.done() and not self.load.cancelled() and self.load.exception() is None:
            return self.load.result()
        return None

    @property
    def all_notices(self) -> tuple[str, ...]:
        """What is otherwise than asked for, the runner's own words included."""
        return (*self.notices, *(self.runner.info.notices if self.runner else ()))

    @property
    def is_gone(self) -> bool:
        """Whether there is no process any more: it did not load, or died."""
        return self.load.done() and (self.runner is None or not self.runner.alive)

    @property
    def is_full(self) -> bool:
        """Whether one more lease would have to wait in the runner."""
        return self.leases >= self.placement.spec.n_seq

    @property
    def state(self) -> State:
        if self.retiring:
            return "stopping"
        if self.runner is None:
            return "loading"
        return "busy" if self.leases else "idle"

    @property
    def seconds_left(self) -> float:
        """Until it is unloaded, if nobody asks for it before."""
        if self.leases or math.isinf(self.keep_alive):
            return self.keep_alive
        return max(0.0, self.idle_since + self.keep_alive - time.monotonic())

    @property
    def waiting(self) -> int:
        """Leases beyond what the runner answers at once."""
        return max(0, self.leases - self.placement.spec.n_seq)
