"""Deterministic automata over code points: what patterns, key sets and number ranges become before they become GBNF.

An automaton can be intersected and subtracted, which a grammar cannot: that is how `pattern` meets `maxLength`, how
free keys stay clear of the named ones, and how two branches are shown to have nothing in common. And a grammar made
from one leaves llama.cpp a single state to follow at any time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from ollama_engine.grammar.charset import ANY, CharSet, union

MAX_STATES = 6000
"""Of one automaton. A pattern that needs more is refused."""
MINIMISE_BELOW = 150
"""Moore's refinement is quadratic on long chains, and they are the automata that have little to merge."""

Edge = tuple[int, int, int]
"""First code point, last code point, target state."""
State = TypeVar("State", bound=Hashable)


class TooManyStates(Exception):
    """An automaton would grow beyond MAX_STATES."""


@dataclass(frozen=True)
class Automaton:
    """State 0 is the start. Edges of a state are sorted and disjoint; a code point without an edge is refused.

    From every state an accepting one can be reached; the empty language is a single state that does not accept.
    """

    edges: tuple[tuple[Edge, ...], ...]
    accepting: tuple[bool, ...]

    @property
    def is_empty(self) -> bool:
        return not any(self.accepting)

    def matches(self, text: str) -> bool:
        """Whether the whole text is in the language."""
        state: int | None = 0
        for char in text:
            state = self.next(state, ord(char))
            if state is None:
                return False
        return self.accepting[state]

    def next(self, state: int, code: int) -> int | None:
        for low, high, target in self.edges[state]:
            if low <= code <= high:
                return target
        return None


def explore(
    start: State,
    moves: Callable[[State], Iterable[tuple[int, int, State]]],
    accepts: Callable[[State], bool],
    *,
    minimise_below: int = MINIMISE_BELOW,
) -> Automaton:
    """The automaton of the states that `moves` leads to, whose intervals must be disjoint.

    Args:
        minimise_below: number of states up to which equal ones are sought and merged.

    Raises:
        TooManyStates: there are more than MAX_STATES.
    """
    numbers: dict[State, int] = {start: 0}
    order: list[State] = [start]
    edges: list[list[Edge]] = []
    while len(edges) < len(order):
        state_edges: list[Edge] = []
        for low, high, target in moves(order[len(edges)]):
            if target not in numbers:
                if len(numbers) >= MAX_STATES:
                    raise TooManyStates
                numbers[target] = len(order)
                order.append(target)
            state_edges.append((low, high, numbers[target]))
        edges.append(state_edges)
    return _tidy(edges, [accepts(state) for state in order], minimise_below)


def _tidy(edges: list[list[Edge]], accepting: list[bool], minimise_below: int) -> Automaton:
    """Without the states that lead nowhere, the same states merged, intervals side by side joined."""
    alive = _alive(edges, accepting)
    if 0 not in alive:
        return EMPTY
    live_edges = {state: [edge for edge in edges[state] if edge[2] in alive] for state in alive}
    group = {state: int(accepting[state]) for state in alive}
    group = _same(live_edges, group) if len(alive) <= minimise_below else {state: state for state in alive}
    order = [group[0], *sorted(set(group.values()) - {group[0]})]
    number = {name: index for index, name in enumerate(order)}
    member = {group[state]: state for state in alive}
    return Automaton(
        tuple(_join((a, b, number[group[to]]) for a, b, to in live_edges[member[name]]) for name in order),
        tuple(accepting[member[name]] for name in order),
    )


def _alive(edges: list[list[Edge]], accepting: list[bool]) -> set[int]:
    before: list[list[int]] = [[] for _ in edges]
    for state, state_edges in enumerate(edges):
        for _, _, target in state_edges:
            before[target].append(state)
    alive = {state for state, accepts in enumerate(accepting) if accepts}
    todo = list(alive)
    while todo:
        for state in before[todo.pop()]:
            if state not in alive:
                alive.add(state)
                todo.append(state)
    return alive


def _same(edges: dict[int, list[Edge]], group: dict[int, int]) -> dict[int, int]:
    """Moore's algorithm: split the groups until all members of each have edges into the same groups."""
    count = len(set(group.values()))
    while True:
        seen: dict[tuple[int, tuple[Edge, ...]], int] = {}
        split = {
            state: seen.setdefault((group[state], _join((a, b, group[to]) for a, b, to in edges[state])), len(seen))
            for state in edges
        }
        if len(seen) == count:
            return split
        group, count = split, len(seen)


def _join(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    joined: list[Edge] = []
    for low, high, target in sorted(edges):
        if joined and joined[-1][1] + 1 == low and joined[-1][2] == target:
            joined[-1] = (joined[-1][0], high, target)
        else:
            joined.append((low, high, target))
    return tuple(joined)


EMPTY = Automaton(((),), (False,))


def _product(left: Automaton, right: Automaton, accepts: Callable[[bool, bool], bool], *, both: bool) -> Automaton:
    """Both automata side by side. With `both` false, the left one goes on alone where the right one is lost (-1)."""

    def moves(state: tuple[int, int]) -> Iterable[tuple[int, int, tuple[int, int]]]:
        for low, high, target in left.edges[state[0]]:
            at = low
            for other_low, other_high, other in right.edges[state[1]] if state[1] >= 0 else ():
                if other_high < at or other_low > high:
                    continue
                if other_low > at and not both:
                    yield at, other_low - 1, (target, -1)
                yield max(at, other_low), min(high, other_high), (target, other)
                at = other_high + 1
            if at <= high and not both:
                yield at, high, (target, -1)

    return explore(
        (0, 0), moves, lambda state: accepts(left.accepting[state[0]], state[1] >= 0 and right.accepting[state[1]])
    )


def intersection(left: Automaton, right: Automaton) -> Automaton:
    return _product(left, right, lambda a, b: a and b, both=True)


def difference(left: Automaton, right: Automaton) -> Automaton:
    """What is in `left` and not in `right`."""
    return _product(left, right, lambda a, b: a and not b, both=False)


def words(texts: Iterable[str]) -> Automaton:
    """Exactly these texts."""

    def moves(state: frozenset[str]) -> Iterable[tuple[int, int, frozenset[str]]]:
        for first in sorted({text[0] for text in state if text}):
            yield ord(first), ord(first), frozenset(text[1:] for text in state if text.startswith(first))

    return explore(frozenset(texts), moves, lambda state: "" in state)


def lengths(least: int, most: int | None, chars: CharSet = ANY) -> Automaton:
    """Texts of `least` to `most` code points (no upper bound for None), all of them in `chars`."""

    def moves(state: int) -> Iterable[tuple[int, int, int]]:
        if most is None or state < most:
            following = state + 1 if most is not None or state < least else state
            for low, high in chars:
                yield low, high, following

    return explore(0, moves, lambda state: state >= least)


class Nfa:
    """A nondeterministic automaton under construction, Thompson's way: a pattern adds states, `determinise` ends it."""

    def __init__(self) -> None:
        self._edges: list[list[tuple[CharSet, int]]] = []
        self._free: list[list[int]] = []
        self._at_start: list[list[int]] = []
        self._at_end: list[list[int]] = []

    def state(self) -> int:
        """A new state. TooManyStates when there are many more than an automaton may have."""
        if len(self._edges) >= 10 * MAX_STATES:
            raise TooManyStates
        for table in (self._edges, self._free, self._at_start, self._at_end):
            table.append([])
        return len(self._edges) - 1

    def on(self, source: int, chars: CharSet, target: int) -> None:
        self._edges[source].append((chars, target))

    def free(self, source: int, target: int) -> None:
        """A move that reads nothing."""
        self._free[source].append(target)

    def at_start(self, source: int, target: int) -> None:
        """A move that reads nothing and is open only before the first character."""
        self._at_start[source].append(target)

    def at_end(self, source: int, target: int) -> None:
        """A move that reads nothing and is open only after the last character."""
        self._at_end[source].append(target)

    def determinise(self, start: int, end: int) -> Automaton:
        """The texts that lead from `start` to `end`, an end that once reached is never left."""
        known: dict[frozenset[int], frozenset[int]] = {}

        def settle(states: frozenset[int]) -> tuple[frozenset[int], bool]:
            if states not in known:
                reached = self._closure(states, [self._free])
                known[states] = frozenset([end]) if end in reached else reached
            return known[states], False

        def moves(state: tuple[frozenset[int], bool]) -> Iterable[tuple[int, int, tuple[frozenset[int], bool]]]:
            out = [(low, high, target) for at in state[0] for chars, target in self._edges[at] for low, high in chars]
            cuts = sorted({low for low, _, _ in out} | {high + 1 for _, high, _ in out})
            for low, beyond in itertools.pairwise(cuts):
                targets = frozenset(target for a, b, target in out if a <= low <= b)
                if targets:
                    yield low, beyond - 1, settle(targets)

        def accepts(state: tuple[frozenset[int], bool]) -> bool:
            tables = [self._free, self._at_end, self._at_start] if state[1] else [self._free, self._at_end]
            return end in self._closure(state[0], tables)

        first = self._closure([start], [self._free, self._at_start])
        return explore((frozenset([end]) if end in first else first, True), moves, accepts)

    def _closure(self, states: Iterable[int], tables: list[list[list[int]]]) -> frozenset[int]:
        todo = list(states)
        seen = set(todo)
        while todo:
            at = todo.pop()
            for table in tables:
                for target in table[at]:
                    if target not in seen:
                        seen.add(target)
                        todo.append(target)
        return frozenset(seen)


def chars_between(automaton: Automaton, state: int) -> dict[int, CharSet]:
    """For each state that follows `state`, the code points that lead there."""
    to: dict[int, list[tuple[int, int]]] = {}
    for low, high, target in automaton.edges[state]:
        to.setdefault(target, []).append((low, high))
    return {target: union(intervals) for target, intervals in to.items()}
