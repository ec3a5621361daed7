"""May a model be loaded now, or who has to go first? Decided from what is in memory and what is free; nothing is done
here, and nothing waits.

In this order: whole beside those that are there; whole in the place of idle ones; as much of it on the GPUs as there
is room for. What is idle goes before anybody is waited for, the one used longest ago first, those that were to stay
for ever after the others. Pinned ones stay. Where nothing idle is left, busy ones have to make room.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ollama_engine.errors import EngineError, LoadFailed
from ollama_engine.scheduler.memory import common, fits, in_ram, needs_of, room, shifted
from ollama_engine.scheduler.placement import GIB, FreeMemory, Placement, check_fits
from ollama_engine.scheduler.resident import Resident
from ollama_engine.scheduler.ticket import Ticket


@dataclass(frozen=True)
class Load:
    """Load it so. `seen`: the memory that it was decided by."""

    placement: Placement
    seen: FreeMemory


@dataclass(frozen=True)
class Wait:
    """Not yet. `evict`: idle ones that are to go now. `close`: busy ones that let nobody new in, so that they will be
    idle. `claim`: what it will take, which nobody behind it may. `soon`: nothing but idle ones has to go. `reason` in
    words, for who waits in vain."""

    reason: str
    evict: tuple[Resident, ...] = ()
    close: tuple[Resident, ...] = ()
    claim: Claim | None = None
    soon: bool = False


@dataclass(frozen=True)
class Refuse:
    """Never, as things are."""

    error: EngineError


@dataclass(frozen=True)
class Claim:
    """What a model that waits for room is going to take, once those `gone` are gone."""

    name: str
    placement: Placement
    gone: frozenset[Resident]


Verdict = Load | Wait | Refuse


@dataclass(frozen=True)
class Memory:
    """What there is to decide by. `claims`: of those who wait already, and go first."""

    free: FreeMemory
    residents: Sequence[Resident]
    limit: int
    """Models in memory at once."""
    claims: Sequence[Claim] = ()


def judge(ticket: Ticket, memory: Memory) -> Verdict:
    try:
        return _Case(ticket, memory).verdict()
    except EngineError as error:  # it never fits, or its options make no sense
        return Refuse(error)


class _Case:
    """One request for a model that is not in memory, or not as it must be."""

    def __init__(self, ticket: Ticket, memory: Memory) -> None:
        self._ticket = ticket
        self._memory = memory
        self._own = next((one for one in memory.residents if one.subject.key == ticket.subject.key), None)
        """The same model, loaded otherwise than it must be: it goes in any case."""
        self._others = [one for one in memory.residents if one is not self._own]
        self._leaving = [one for one in self._others if one.is_leaving]
        staying = [one for one in self._others if not one.is_leaving]
        self._pinned = [one for one in staying if one.pinned]
        movable = [one for one in staying if not one.pinned]
        idle = (one for one in movable if one.is_idle)
        self._idle = sorted(idle, key=lambda one: (math.isinf(one.keep_alive), one.idle_since, one.last_use))
        self._busy = sorted((one for one in movable if not one.is_idle), key=lambda one: one.last_use)
        # Where that is impossible the user has said what lies where, and llama.cpp has the last word.
        self._by_device = True
        self._by_device = self._attempt(self._others, claims=()) is not None

    def verdict(self) -> Verdict:
        free_ones = [*self._leaving, *self._idle]
        best = self._attempt(free_ones)
        possible = self._by_device and (best or self._attempt([*free_ones, *self._busy], claims=()))
        if not possible and (loading := [one for one in self._others if one.is_being_loaded]):
            # Nobody knows how much of its memory the measurement shows as taken already.
            return Wait(", ".join(map(_what_it_does, loading)))
        if not best and not self._attempt([*free_ones, *self._busy], claims=()):
            raise self._why_never()
        if self._own is not None and not self._own.is_idle:
            # Nobody goes, and nobody has to wait for it, as long as its own requests run.
            return Wait(f"{_what_it_does(self._own)} with other options")
        if best:
            return self._in_place_of_idle(best)
        if self._memory.claims:
            return Wait(f"{self._memory.claims[0].name} is to be loaded first")
        return self._in_place_of_busy()

    # -- the two ways ------------------------------------------------------------------------------------------

    def _in_place_of_idle(self, best: Load) -> Verdict:
        if self._own is None and (now := self._attempt([])) and _is_as_good(now, best):
            return now
        evict = self._fewest(self._idle, self._leaving, lambda load: _is_as_good(load, best))
        if self._own is not None:
            evict = (*evict, self._own)
        return Wait("room is being made for it", evict=evict, claim=self._claim(best, evict), soon=True)

    def _in_place_of_busy(self) -> Verdict:
        free_ones = [*self._leaving, *self._idle]
        close = self._fewest(self._busy, free_ones, lambda load: True)
        load = self._attempt([*free_ones, *close])
        claim = self._claim(load, [*self._idle, *close]) if load else None
        return Wait(", ".join(map(_what_it_does, [*close, *self._pinned])), close=close, claim=claim)

    # -- steps -------------------------------------------------------------------------------------------------

    def _attempt(self, gone: Collection[Resident], *, claims: Sequence[Claim] | None = None) -> Load | None:
        """How it would be loaded if those were gone, and its own predecessor with them; None where it would not be.

        It may take nothing that those before it have a claim on: they would have to wait longer.
        """
        claims = self._memory.claims if claims is None else claims
        others = [one for one in self._others if one not in gone]
        later = [one for one in others if not any(one in claim.gone for claim in claims)]
        if max(len(others), len(later) + len(claims)) >= self._memory.limit:
            return None
        free = self._room(gone, claims)
        try:
            placement = self._ticket.placement(free)
        except LoadFailed:
            return None
        fitting = fits(placement, free) if self._by_device else placement.needed <= free.usable
        return Load(placement, free) if fitting else None

    def _room(self, gone: Collection[Resident], claims: Sequence[Claim] = ()) -> FreeMemory:
        measured, residents = self._memory.free, self._memory.residents
        weights = self._ticket.subject.weights
        if self._own is not None:
            gone = [*gone, self._own]
        free = room(measured, residents, gone=gone, weights=weights)
        if not claims:
            return free
        # Now, and once all those who wait have come in the place of who goes for them.
        later = room(
            measured, residents, gone={*gone, *(one for claim in claims for one in claim.gone)}, weights=weights
        )
        taken: Counter[str] = Counter()
        for claim in claims:
            taken.update(needs_of(claim.placement))
        return common(free, shifted(later, {device: -n for device, n in taken.items()}))

    def _fewest(
        self, order: Sequence[Resident], gone: Sequence[Resident], enough: Callable[[Load], bool]
    ) -> tuple[Resident, ...]:
        """Those of `order`, from its beginning, that must go besides `gone`; none of them in vain."""

        def suffices(some: Sequence[Resident]) -> bool:
            load = self._attempt([*gone, *some])
            return load is not None and enough(load)

        count = next((n for n in range(len(order)) if suffices(order[:n])), len(order))
        chosen = list(order[:count])
        for one in chosen[-2::-1]:
            others = [each for each in chosen if each is not one]
            if suffices(others):
                chosen = others
        return tuple(chosen)

    def _claim(self, load: Load, gone: Sequence[Resident]) -> Claim:
        return Claim(self._ticket.subject.name, load.placement, frozenset([*gone, *self._leaving]))

    def _why_never(self) -> EngineError:
        name = self._ticket.subject.name
        if self._attempt(self._others, claims=()):
            pinned = ", ".join(f"{one.name} ({_gib(one)})" for one in self._pinned)
            return LoadFailed(
                f"no room for {name} beside what is pinned: {pinned}",
                hint=f"Let it go: ollama-tui pin --off {self._pinned[0].name}",
            )
        free = self._room(self._others)
        check_fits(self._ticket.placement(free), free)
        return LoadFailed(f"{name} does not fit the memory of this machine", hint="Try a smaller model or num_ctx.")


def _is_as_good(load: Load, best: Load) -> bool:
    """Whether nothing is given up that matters: the context is as long, and no more of it lies in RAM. Fewer slots are
    no reason to send another model away."""
    return load.placement.spec.n_ctx >= best.placement.spec.n_ctx and in_ram(load.placement) <= in_ram(best.placement)


def _what_it_does(resident: Resident) -> str:
    if resident.pinned:
        does = "is pinned"
    elif resident.phase == "loading":
        does = "is loading"
    elif resident.leases == 1:
        does = "answers a request"
    else:
        does = f"answers {resident.leases} requests"
    return f"{resident.name} ({_gib(resident)}) {does}"


def _gib(resident: Resident) -> str:
    return f"{resident.placement.needed / GIB:.1f} GiB"
