"""`Scheduler`: leases on models in memory.

    async with scheduler.lease(subject, place, keep_alive) as lease:
        async for piece in lease.runner.generate(...): ...

A lease keeps its model loaded and holds one of its places. Who wants one stands in the line of the model (line.py),
where callers take turns; all lines together are bounded (admission.py). A line is served at once where its model is
there and has a place. Where it is not, or not as it must be, the keeper (keeper.py) decides by what is free: load, send
idle models away, let busy ones finish, or refuse (room.py). So a load, however slow, is nobody's business but its own
line's.

Every wait ends: with the model, with an error that says what it waited for, or with the end of who waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

from ollama_engine.caller import current_caller
from ollama_engine.errors import Busy
from ollama_engine.runner.client import Runner
from ollama_engine.scheduler.admission import SHUTTING_DOWN, Admission, seconds_until_turn
from ollama_engine.scheduler.keeper import Keeper
from ollama_engine.scheduler.line import Line
from ollama_engine.scheduler.memory import room
from ollama_engine.scheduler.placement import FreeMemory
from ollama_engine.scheduler.resident import Resident, lookahead
from ollama_engine.scheduler.residents import Measure, Residents, Start
from ollama_engine.scheduler.ticket import Placer, Subject, Ticket, Use
from ollama_engine.settings import Settings

HOW_TO_MAKE_ROOM = (
    "'ollama-tui requests' lists what runs, 'ollama-tui cancel ID' ends it, 'ollama-tui stop MODEL' makes room."
)


@dataclass(frozen=True)
class Lease:
    """The right to use a runner. `load_duration` is how long this caller waited for it, nanoseconds.

    `end` gives it back before the block ends: as soon as the runner has done its work, however long the answer takes
    to its reader. Safe to call twice.

    `notices` say what is otherwise than asked for: a smaller context, weights that could not be locked in memory.
    """

    runner: Runner
    load_duration: int
    end: Callable[[], None]
    notices: tuple[str, ...] = ()


WaitState = Literal["queued", "loading", "waiting"]


@dataclass(frozen=True)
class Standing:
    """How far a request has come: `queued` before a model that is not there, or not as it must be; `loading`; `waiting`
    for one of its slots. `position`: 1 for the next of its model, 0 for who has nobody to wait for."""

    state: WaitState
    position: int = 0


class Scheduler:
    """All models in memory of one engine. Lives in one event loop; `aclose` ends every runner."""

    def __init__(self, settings: Settings, *, start: Start = Runner.start, measure: Measure) -> None:
        """`start` as Runner.start; `measure` says what memory is free now."""
        self._settings = settings
        self._measure = measure
        self._residents = Residents(settings, start, measure, on_change=self._serve)
        self._admission = Admission(settings.max_queue)
        self._keeper = Keeper(self._residents, self._admission, measure, settings.max_loaded_models, serve=self._serve)
        self._numbers = itertools.count(1)
        self._closed = False

    # -- leases ------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def lease(
        self,
        subject: Subject,
        place: Placer,
        keep_alive: float | None,
        *,
        use: Use = "answer",
        pin: bool = False,
        on_ticket: Callable[[Ticket], None] = lambda ticket: None,
    ) -> AsyncIterator[Lease]:
        """Hold a model in memory for the length of the block, loading it first where it is not there.

        Args:
            place: how it would be loaded, by the memory that is free.
            keep_alive: seconds it stays afterwards; None leaves what the model has, or the default.
            pin: it stays whatever happens, until `unpin` or `unload`.
            on_ticket: gets the ticket that stands for this request, as `standings` has it.

        Raises:
            LoadFailed: it does not load, or does not fit.
            Busy: too many wait already, or its turn did not come in time.
            RequestCanceled: the model was unloaded before it had loaded.
        """
        if self._closed:
            raise Busy(SHUTTING_DOWN)
        loop = asyncio.get_running_loop()
        ticket = Ticket(
            subject=subject,
            place=place,
            caller=current_caller.get(),
            use=use,
            number=next(self._numbers),
            arrived=loop.time(),
            granted=loop.create_future(),
            keep_alive=keep_alive,
            pin=pin,
        )
        on_ticket(ticket)
        try:
            self._enter(ticket)
            resident = await self._granted(ticket)
            runner = await asyncio.shield(resident.loaded)
            waited = int((loop.time() - ticket.arrived) * 1e9)
            yield Lease(runner, waited, lambda: self._end(ticket), resident.all_notices)
        finally:
            self._leave(ticket)

    def _enter(self, ticket: Ticket) -> None:
        line = self._admission.line(ticket.subject.key)
        line.add(ticket, ticket.arrived)
        self._serve(line)

    async def _granted(self, ticket: Ticket) -> Resident:
        """Wait for one's turn. The time that this may take runs anew whenever somebody's turn comes in this line."""
        line = self._admission.line(ticket.subject.key)
        loop, most = asyncio.get_running_loop(), self._settings.queue_timeout
        while ticket.waits:
            resident = self._residents.get(line.key)
            loading = resident is not None and resident.phase == "loading"
            left = most if loading else line.moved_at + most - loop.time()
            if left <= 0:
                ticket.refuse(self._too_long(ticket, resident))
            else:
                await asyncio.wait([ticket.granted], timeout=None if math.isinf(left) else left)
        return ticket.granted.result()

    def _too_long(self, ticket: Ticket, resident: Resident | None) -> Busy:
        name, most = ticket.subject.name, self._settings.queue_timeout
        if resident is not None and resident.admits and ticket.is_served_by(resident):
            message = f"no slot of {name} has come free for {most:.0f} s"
        else:
            message = f"no room for {name} within {most:.0f} s: {ticket.reason}"
        now = asyncio.get_running_loop().time()
        those_before = [resident] if resident is not None else list(self._residents)
        soon = max((seconds_until_turn(0, one, now) for one in those_before), default=1.0)
        return Busy(message, hint=HOW_TO_MAKE_ROOM, retry_after=soon)

    def _leave(self, ticket: Ticket) -> None:
        """Out of the line, or out of the model: whatever it was in."""
        self._end(ticket)
        line = self._admission.line(ticket.subject.key)
        if ticket in line:
            ticket.granted.cancel()
            line.remove(ticket)
        self._serve(line)

    def _end(self, ticket: Ticket) -> None:
        """Give a lease back. Not a coroutine: a caller that is cancelled here must not leave it half done."""
        resident, ticket.resident = ticket.resident, None
        if resident is None:
            return
        now = asyncio.get_running_loop().time()
        del resident.users[ticket]
        resident.idle_since = now
        if ticket.takes_place and resident.phase == "ready":
            resident.turn_ended(now - max(ticket.since, resident.ready_at))
        self._serve(resident.line)
        self._residents.settle(resident)

    # -- lines -------------------------------------------------------------------------------------------------

    def _serve(self, line: Line) -> None:
        """Let in whoever may use the model as it is. The others wait: for a place, or for the keeper."""
        resident = self._residents.get(line.key)
        if resident is not None and resident.admits:
            for ticket in line.asking:
                self._grant(ticket, resident)
            # Who needs it loaded otherwise holds up those behind: those inside can end, and it is that one's turn.
            while (ticket := line.first()) and ticket.is_served_by(resident) and self._has_place(resident, ticket):
                self._grant(ticket, resident)
        self._send_surplus_away()
        self._keeper.look()
        if resident is None:
            self._admission.forget(line)

    def _has_place(self, resident: Resident, ticket: Ticket) -> bool:
        ahead = min(lookahead(resident.slots), self._settings.max_queue)
        return not ticket.takes_place or len(resident.places) < resident.slots + ahead

    def _grant(self, ticket: Ticket, resident: Resident) -> None:
        now = asyncio.get_running_loop().time()
        resident.line.take(ticket, now)
        if not ticket.waits:  # it has just been refused, and has not left yet
            return
        ticket.resident, ticket.since = resident, now
        resident.users[ticket] = None
        resident.last_use = ticket.number
        resident.subject = ticket.subject
        resident.pinned = resident.pinned or ticket.pin
        if ticket.keep_alive is not None:
            resident.keep_alive = ticket.keep_alive
        self._residents.stop_timer(resident)
        ticket.granted.set_result(resident)

    def _send_surplus_away(self) -> None:
        now = asyncio.get_running_loop().time()
        while ticket := self._admission.surplus(self._residents):
            line = self._admission.line(ticket.subject.key)
            ticket.refuse(self._admission.refusal(ticket, self._residents.get(line.key), now))
            line.remove(ticket)

    # -- asked from outside ------------------------------------------------------------------------------------

    @property
    def residents(self) -> list[Resident]:
        """What is in memory now; runners that have died are not."""
        return list(self._residents)

    async def room_for(self, subject: Subject) -> FreeMemory:
        """What a model could take if it were loaded now: idle models would go, and its own runner."""
        free = await self._measure()
        there = list(self._residents)
        gone = [one for one in there if one.subject.key == subject.key or one.is_leaving]
        gone += [one for one in there if one.is_idle and not one.pinned and one not in gone]
        return room(free, there, gone=gone, weights=subject.weights)

    def standings(self) -> dict[Ticket, Standing]:
        """All who are on their way to a model, or wait in its runner. Who is not in here is being answered."""
        found: dict[Ticket, Standing] = {}
        for resident in self._residents:
            if resident.phase == "loading":
                found.update(dict.fromkeys(resident.users, Standing("loading")))
            else:
                ahead = enumerate(resident.places[resident.slots :], start=1)
                found.update((ticket, Standing("waiting", number)) for number, ticket in ahead)
        for line in self._admission:
            resident = self._residents.get(line.key)
            state, ahead = _line_state(line, resident), resident.beyond if resident else 0
            found.update((ticket, Standing(state, number)) for number, ticket in enumerate(line, start=ahead + 1))
        return found

    def unpin(self, key: str) -> None:
        """Let a model go by its keep-alive again, which begins to run now."""
        self._residents.unpin(key)

    async def unload(self, key: str) -> bool:
        """Let a model go as soon as its requests have ended, pinned or not; False where it is not in memory. A load
        that nobody waits for who wants an answer is broken off. Returns when the model is gone, unless it is in use."""
        return await self._residents.unload(key)

    async def aclose(self) -> None:
        """End every runner, whoever uses it, and wait until they are gone."""
        self._closed = True
        for line in self._admission:
            for ticket in list(line):
                ticket.refuse(Busy(SHUTTING_DOWN))
                line.remove(ticket)
        await self._keeper.aclose()
        await self._residents.aclose()


def _line_state(line: Line, resident: Resident | None) -> WaitState:
    if resident is not None and resident.phase == "loading":
        return "loading"
    first = line.first()
    usable = resident is not None and resident.admits and first is not None and first.is_served_by(resident)
    return "waiting" if usable else "queued"
