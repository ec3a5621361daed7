"""A request for the use of a model, from its arrival to the end of that use.

waiting ──▶ granted ──▶ ended
   └──────▶ refused
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ollama_engine.caller import Caller
from ollama_engine.errors import EngineError, LoadFailed
from ollama_engine.scheduler.placement import FreeMemory, Placement
from ollama_engine.types import ModelDetails

if TYPE_CHECKING:
    from ollama_engine.scheduler.resident import Resident

log = logging.getLogger(__name__)

Placer = Callable[[FreeMemory], Placement]
"""How a model would be loaded with so much memory free. It is asked again as memory comes and goes, in the event loop:
it neither waits nor takes long. LoadFailed where it cannot be."""

Use = Literal["answer", "load", "ask"]
"""`answer`: with one of the places of the runner. `load`: to have it in memory, with these options. `ask`: its
vocabulary, which any runner of the model knows and answers beside its work."""


@dataclass(frozen=True)
class Subject:
    """Which model it is, for those who list what runs. `key` says which weights: names that share it share a runner.

    `weights` are its files: models that share them share their pages in memory, whatever else they differ in."""

    key: str
    name: str
    digest: str
    details: ModelDetails
    weights: tuple[str, ...] = ()


@dataclass(eq=False)
class Ticket:
    """Belongs to the Scheduler, which alone changes it. Times are the event loop's, in seconds.

    Attributes:
        number: counts up with each that comes.
        keep_alive: seconds that the model stays afterwards; None leaves what it has.
        pin: that it stays whatever happens.
        granted: the model's resident, loaded or loading, once this may use it; else why it may not.
        resident: what it uses now: from then on until it ends. `since`: from when on.
        reason: what it waits for, in words.
    """

    subject: Subject
    place: Placer
    caller: Caller
    use: Use
    number: int
    arrived: float
    granted: asyncio.Future[Resident]
    keep_alive: float | None = None
    pin: bool = False
    resident: Resident | None = None
    since: float = 0.0
    reason: str = ""
    fitting: tuple[Resident, bool] | None = field(default=None, repr=False)
    """Whether that resident can serve it, which is not computed twice."""

    @property
    def takes_place(self) -> bool:
        return self.use == "answer"

    @property
    def waits(self) -> bool:
        return not self.granted.done()

    def refuse(self, error: EngineError) -> None:
        if self.waits:
            self.granted.set_exception(error)
            self.granted.exception()  # whoever asked may be gone: then nobody else will look at it

    def placement(self, free: FreeMemory) -> Placement:
        """How its model would be loaded. EngineError, whatever goes wrong: it is asked on behalf of others as well."""
        try:
            return self.place(free)
        except EngineError:
            raise
        except OSError as error:
            raise LoadFailed(f"cannot read the files of {self.subject.name}: {error}") from error
        except Exception as error:
            log.exception("no placement for %s", self.subject.name)
            raise LoadFailed(f"cannot say how to load {self.subject.name}: {error}") from error

    def is_served_by(self, resident: Resident) -> bool:
        """Whether that runner can do: its weights are these, and it has what the request asks for."""
        if self.use == "ask":
            return True
        if self.fitting is None or self.fitting[0] is not resident:
            self.fitting = (resident, self._fits(resident))
        return self.fitting[1]

    def wants_same_as(self, resident: Resident) -> bool:
        """Whether its model would have been loaded in just the same way."""
        try:
            return self.placement(resident.seen).spec == resident.asked.spec
        except EngineError:
            return False

    def _fits(self, resident: Resident) -> bool:
        try:
            # With the memory that was free then: what is ours to choose comes out the same, and is not compared.
            wanted = self.placement(resident.seen)
        except EngineError:
            return False
        # What was loaded with less than asked for, for lack of memory, serves who asks for no more than that.
        return wanted.served_by(resident.placement.spec) or wanted.served_by(resident.asked.spec)
