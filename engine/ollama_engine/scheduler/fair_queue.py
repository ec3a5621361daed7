"""A queue in which callers take turns: who has a hundred things in it delays who has one by one turn, not by a hundred.

Round robin over the callers, each caller's own things in the order in which they came. Callers at this machine's
terminal go first, but never twice running while others wait. So that a thing at the head of its caller's own, with
`p` other callers before it, is taken after at most `2p + 1` others.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from ollama_engine.caller import Caller

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """`first` says what is next, `take` takes it; both cost the same however long the queue is."""

    def __init__(self) -> None:
        self._local = _Turns[T]()
        self._others = _Turns[T]()
        self._callers: dict[T, Caller] = {}
        self._local_was_last = False

    def __len__(self) -> int:
        return len(self._callers)

    def __contains__(self, item: object) -> bool:
        return item in self._callers

    def __iter__(self) -> Iterator[T]:
        """All of it in the order in which it will be taken, if nothing comes or goes meanwhile."""
        local, others = list(self._local), list(self._others)
        take_local = not self._local_was_last
        while local and others:
            yield (local if take_local else others).pop(0)
            take_local = not take_local
        yield from local or others

    def add(self, item: T, caller: Caller) -> None:
        self._callers[item] = caller
        self._side(caller).add(item, caller)

    def first(self) -> T | None:
        turns = self._next_side()
        return turns.first() if turns is not None else None

    def take(self) -> T:
        """The first, off the queue; the turn passes to the next caller. IndexError where there is none."""
        turns = self._next_side()
        if turns is None:
            raise IndexError("the queue is empty")
        self._local_was_last = turns is self._local
        item = turns.take()
        del self._callers[item]
        return item

    def remove(self, item: T) -> bool:
        """Take something out whose turn it is not; False where it was not in here."""
        caller = self._callers.pop(item, None)
        if caller is None:
            return False
        self._side(caller).remove(item, caller)
        return True

    def count(self, caller: Caller) -> int:
        return self._side(caller).count(caller)

    def last_of(self, caller: Caller) -> T | None:
        """What that caller has put in last."""
        return self._side(caller).last_of(caller)

    def callers(self) -> Iterator[Caller]:
        yield from self._local.callers()
        yield from self._others.callers()

    def _side(self, caller: Caller) -> _Turns[T]:
        return self._local if caller.local else self._others

    def _next_side(self) -> _Turns[T] | None:
        local, others = self._local, self._others
        for turns in (others, local) if self._local_was_last else (local, others):
            if turns:
                return turns
        return None


class _Turns(Generic[T]):
    """Round robin, whoever the callers are. The first caller's turn is next."""

    def __init__(self) -> None:
        self._items: OrderedDict[Caller, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._items)

    def __iter__(self) -> Iterator[T]:
        rows = [list(items) for items in self._items.values()]
        for turn in range(max(map(len, rows), default=0)):
            yield from (row[turn] for row in rows if turn < len(row))

    def add(self, item: T, caller: Caller) -> None:
        self._items.setdefault(caller, deque()).append(item)

    def first(self) -> T:
        return next(iter(self._items.values()))[0]

    def take(self) -> T:
        caller, items = next(iter(self._items.items()))
        item = items.popleft()
        if items:
            self._items.move_to_end(caller)
        else:
            del self._items[caller]
        return item

    def remove(self, item: T, caller: Caller) -> None:
        items = self._items[caller]
        items.remove(item)
        if not items:
            del self._items[caller]

    def count(self, caller: Caller) -> int:
        return len(self._items.get(caller, ()))

    def last_of(self, caller: Caller) -> T | None:
        items = self._items.get(caller)
        return items[-1] if items else None

    def callers(self) -> Iterator[Caller]:
        yield from self._items
