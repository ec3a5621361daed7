"""`Keeper`: decides which model is loaded next, and who has to go for it, as long as a line waits for a load.

It measures what is free, asks room.py about the first request of each line in turn, does what that says, and looks
again when something has changed. Everything between two measurements happens at once: nobody sees it half done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from ollama_engine.errors import EngineError
from ollama_engine.scheduler.admission import Admission
from ollama_engine.scheduler.fair_queue import FairQueue
from ollama_engine.scheduler.line import Line
from ollama_engine.scheduler.placement import FreeMemory
from ollama_engine.scheduler.resident import Resident
from ollama_engine.scheduler.residents import Measure, Residents
from ollama_engine.scheduler.room import Claim, Load, Memory, Refuse, Wait, judge
from ollama_engine.scheduler.ticket import Ticket

log = logging.getLogger(__name__)

MODELS_PER_DEVICE = 3
DECIDE_AGAIN = 0.05
"""Seconds between two measurements at least, however much happens."""
MEASURE_AGAIN = 5.0
"""Seconds after which the memory is measured again for who waits for it: another program may have let go of some."""


class Keeper:
    """Belongs to one event loop.

    Args:
        most_models: in memory at once; 0 for so many a device.
        serve: lets into a model whoever may use it as it is.
    """

    def __init__(
        self,
        residents: Residents,
        admission: Admission,
        measure: Measure,
        most_models: int,
        serve: Callable[[Line], None],
    ) -> None:
        self._residents = residents
        self._admission = admission
        self._measure = measure
        self._most_models = most_models
        self._serve = serve
        self._heads = FairQueue[Ticket]()
        """The first of each line that waits for a load: callers take turns here as well."""
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._closed = False

    def look(self) -> None:
        """Something has changed that a decision may depend on."""
        self._changed.set()
        if self._task is None and not self._closed and any(map(self._wants_load, self._admission)):
            self._task = asyncio.create_task(self._keep(), name="keeper")

    async def aclose(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _wants_load(self, line: Line) -> bool:
        """Whether its first one needs a model that is not there, or is loaded otherwise."""
        ticket, resident = line.first(), self._residents.get(line.key)
        if ticket is None:
            return False
        if resident is None:
            return True
        return resident.phase == "ready" and not resident.draining and not ticket.is_served_by(resident)

    async def _keep(self) -> None:
        try:
            while any(map(self._wants_load, self._admission)):
                self._changed.clear()
                seconds = self._decide(await self._measure())
                await asyncio.sleep(DECIDE_AGAIN)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._changed.wait()
        except Exception as error:
            log.exception("the scheduler could not decide")
            self._give_up(error)
        finally:
            self._task = None
            self._heads = FairQueue()
            self._close({})
            self.look()

    def _give_up(self, error: Exception) -> None:
        reason = error if isinstance(error, EngineError) else EngineError(f"the scheduler could not decide: {error}")
        for line in self._admission:
            if self._wants_load(line) and (ticket := line.first()):
                self._refuse(line, ticket, reason)

    def _decide(self, free: FreeMemory) -> float:
        """One round; in how many seconds to look again, if nothing changes before."""
        claims: list[Claim] = []
        closed: dict[Resident, str] = {}
        for line in self._lines_in_turn():
            while (ticket := line.first()) and self._wants_load(line):
                memory = Memory(free, list(self._residents), self._limit(free), claims)
                match judge(ticket, memory):
                    case Load() as load:
                        line.decided = True
                        self._turn_is_over(ticket)
                        self._residents.load(ticket.subject, load, line)
                        self._serve(line)
                    case Refuse(error=error):
                        self._refuse(line, ticket, error)
                        continue
                    case Wait() as wait:
                        self._wait(line, ticket, wait)
                        claims += [wait.claim] if wait.claim else []
                        closed.update(dict.fromkeys(wait.close, ticket.subject.name))
                break
        self._close(closed)
        now = asyncio.get_running_loop().time()
        return min([MEASURE_AGAIN, *(one.may_close_at - now for one in closed if one.may_close_at > now)])

    def _wait(self, line: Line, ticket: Ticket, wait: Wait) -> None:
        ticket.reason = wait.reason
        if not (line.decided or wait.soon):
            line.decided = True
            self._serve(line)  # those in it count as waiting from now on
        for resident in wait.evict:
            if resident.subject.key == line.key:
                self._residents.replace(resident)
            else:
                self._residents.stop(resident)

    def _refuse(self, line: Line, ticket: Ticket, error: EngineError) -> None:
        ticket.refuse(error)
        line.remove(ticket)
        self._serve(line)

    def _close(self, closed: dict[Resident, str]) -> None:
        """Let nobody new into those, as far as they have worked long enough, and everybody into the others again."""
        now = asyncio.get_running_loop().time()
        for resident in self._residents:
            was_closed = bool(resident.closed_for)
            resident.closed_for = closed.get(resident, "") if resident.may_close_at <= now else ""
            if was_closed and not resident.closed_for:
                self._serve(resident.line)

    def _lines_in_turn(self) -> list[Line]:
        heads = {ticket: line for line in self._admission if self._wants_load(line) and (ticket := line.first())}
        for ticket in list(self._heads):
            if ticket not in heads:
                self._heads.remove(ticket)
        for ticket in sorted(heads, key=lambda ticket: ticket.number):
            if ticket not in self._heads:
                self._heads.add(ticket, ticket.caller)
        return [heads[ticket] for ticket in self._heads]

    def _turn_is_over(self, ticket: Ticket) -> None:
        if self._heads.first() is ticket:
            self._heads.take()
        else:
            self._heads.remove(ticket)

    def _limit(self, free: FreeMemory) -> int:
        return self._most_models or MODELS_PER_DEVICE * max(1, free.devices)
