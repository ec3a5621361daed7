"""Number ranges and multiples as automata over decimal text.

Text is compared with the bounds digit by digit, never as a float. It has at most 15 significant digits where it may
have a fraction: that many survive the way into a double and back, so what is below a bound as text is not above or on
it as a number. Exponents are not written where there is a bound. There is no `-0`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from ollama_engine.grammar.automaton import MAX_STATES, Automaton, TooManyStates, explore

PRECISION = 15
"""Significant digits of a number with a fraction."""
MAX_WHOLE_DIGITS = 40
"""Digits before the point that a bound may have."""
MAX_FRACTION = 10
"""Digits after the point, unless a bound is finer."""
MAX_MODULUS = 5000
"""The largest divisor that is followed digit by digit (0.25 counts as 25)."""


@dataclass(frozen=True)
class Range:
    """`low` to `high` (None: open), each included or not, in steps of `step`."""

    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False
    integer: bool = False
    steps: tuple[Decimal, ...] = ()

    @property
    def is_free(self) -> bool:
        return self.low is None and self.high is None and not self.steps

    def contains(self, value: Decimal) -> bool:
        if self.integer and value != value.to_integral_value():
            return False
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        if self.high is not None and (value > self.high or (self.high_open and value == self.high)):
            return False
        return all((value / step) == (value / step).to_integral_value() for step in self.steps)


class RangeError(ValueError):
    """A range that these automata cannot express; the text says why."""


def range_automaton(wanted: Range) -> Automaton:
    """The decimal texts of the numbers in a range.

    Where nothing else bounds them, whole parts have up to 15 digits; fewer when large steps would make the automaton
    too large.

    Raises:
        RangeError: a bound is too large, or a step too fine or too coarse.
    """
    modulus, scale = _modulus(wanted.steps)
    for digits in (PRECISION, 9, 6, 4):
        signs = (_Side.positive(wanted, digits, modulus, scale), _Side.negative(wanted, digits, modulus, scale))
        try:
            return _both_sides(*signs)
        except TooManyStates:
            continue
    raise RangeError("multipleOf is too coarse for its range")


def _modulus(steps: tuple[Decimal, ...]) -> tuple[int, int]:
    """(m, k) such that the multiples of all steps are those of m / 10**k; (0, 0) where there are none."""
    if not steps:
        return 0, 0
    scale = max(max(0, -_exponent(step)) for step in steps)
    if scale > MAX_FRACTION:
        raise RangeError(f"multipleOf is finer than {MAX_FRACTION} digits")
    modulus = math.lcm(*(int(step.scaleb(scale)) for step in steps))
    if modulus > MAX_MODULUS:
        raise RangeError(f"multipleOf is coarser than {MAX_MODULUS}")
    return modulus, scale


def _exponent(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # bounds and steps are finite
    return exponent


def _digits(value: Decimal) -> tuple[str, str]:
    """Whole and fractional digits, without the zeros that say nothing (but a whole part of at least one digit)."""
    whole, _, fraction = f"{value:f}".partition(".")
    return whole.lstrip("0") or "0", fraction.rstrip("0")


State = tuple[int, int, int, bool, bool, int]
"""Side (0 positive, 1 negative), length of the whole part, digits read, may still fall below low, above high, residue.
A point has been read when more digits than the length have been, or when the length is given as negative."""


@dataclass(frozen=True)
class _Side:
    """Magnitudes `low` to `high` on one side of zero, as digits."""

    low: tuple[str, str]
    low_open: bool
    high: tuple[str, str]
    high_open: bool
    lengths: range
    fraction_below: int
    """Digits after the point for a whole part of one digit; longer whole parts have fewer."""
    modulus: int
    scale: int

    @classmethod
    def positive(cls, wanted: Range, digits: int, modulus: int, scale: int) -> _Side | None:
        if wanted.low is None or wanted.low < 0:
            return cls._make(wanted, Decimal(0), False, wanted.high, wanted.high_open, digits, modulus, scale)
        return cls._make(wanted, wanted.low, wanted.low_open, wanted.high, wanted.high_open, digits, modulus, scale)

    @classmethod
    def negative(cls, wanted: Range, digits: int, modulus: int, scale: int) -> _Side | None:
        high = None if wanted.low is None else -wanted.low
        if wanted.high is None or wanted.high >= 0:
            return cls._make(wanted, Decimal(0), True, high, wanted.low_open, digits, modulus, scale)
        return cls._make(wanted, -wanted.high, wanted.high_open, high, wanted.low_open, digits, modulus, scale)

    @classmethod
    def _make(
        cls,
        wanted: Range,
        low: Decimal,
        low_open: bool,
        high: Decimal | None,
        high_open: bool,
        digits: int,
        modulus: int,
        scale: int,
    ) -> _Side | None:
        if high is not None and (high < low or (high == low and (low_open or high_open))):
            return None
        if low.adjusted() >= MAX_WHOLE_DIGITS:
            raise RangeError(f"the bound {low} has more than {MAX_WHOLE_DIGITS} digits")
        first = _digits(low)
        exact = min(high.adjusted() + 1, MAX_WHOLE_DIGITS // 2) if wanted.integer and high is not None else 0
        longest = max(digits, len(first[0]) + 1, exact)
        if high is None or high.adjusted() >= longest:
            high, high_open = Decimal(10) ** longest, True
        last = _digits(high)
        longest = min(longest, len(last[0]))
        if wanted.integer:
            fraction = 0
        elif modulus:
            fraction = scale
        else:
            finest = max(MAX_FRACTION, len(first[1]) + 1, len(last[1]) + 1)
            # Below 1 leading zeros are not significant, so there may be more digits.
            zeros = -1 - high.adjusted() if 0 < high < 1 else 0
            fraction = min(max(finest, zeros + 2), PRECISION - 1 + zeros)
        return cls(first, low_open, last, high_open, range(len(first[0]), longest + 1), fraction, modulus, scale)

    def fraction_digits(self, length: int) -> int:
        return self.fraction_below if self.modulus else max(0, min(self.fraction_below, PRECISION - length))

    def start(self, side: int) -> Iterable[State]:
        for length in self.lengths:
            tight_low, tight_high = length == len(self.low[0]), length == len(self.high[0])
            yield side, length, 0, tight_low, tight_high, 0

    def read(self, state: State, char: str) -> State | None:
        side, length, read, tight_low, tight_high, residue = state
        pointed, whole = length < 0, abs(length)
        if char == ".":
            open_point = not pointed and read == whole and self.fraction_digits(whole) > 0
            return (side, -whole, read, tight_low, tight_high, residue) if open_point else None
        if pointed and read >= whole + self.fraction_digits(whole):
            return None
        if not pointed and (read >= whole or (char == "0" and read == 0 and whole > 1)):
            return None
        if tight_low:
            bound = _digit(self.low, read, whole)
            if char < bound:
                return None
            tight_low = char == bound
        if tight_high:
            bound = _digit(self.high, read, whole)
            if char > bound:
                return None
            tight_high = char == bound
        residue = (residue * 10 + int(char)) % self.modulus if self.modulus else 0
        return side, length, read + 1, tight_low, tight_high, residue

    def accepts(self, state: State) -> bool:
        _, length, read, tight_low, tight_high, residue = state
        whole = abs(length)
        if read < whole or (length < 0 and read == whole):
            return False
        if tight_low and (self.low_open or _more(self.low, read, whole)):  # equal so far: it is the bound, or below
            return False
        if tight_high and self.high_open and not _more(self.high, read, whole):
            return False
        return not self.modulus or residue * 10 ** (self.scale - (read - whole)) % self.modulus == 0


def _digit(bound: tuple[str, str], at: int, whole: int) -> str:
    digits = bound[0] if at < whole else bound[1]
    at = at if at < whole else at - whole
    return digits[at] if at < len(digits) else "0"


def _more(bound: tuple[str, str], read: int, whole: int) -> bool:
    """Whether a bound has digits other than zero after the first `read`."""
    return len(bound[1]) > read - whole


def _both_sides(positive: _Side | None, negative: _Side | None) -> Automaton:
    sides = (positive, negative)

    def moves(state: frozenset[State] | None) -> Iterable[tuple[int, int, frozenset[State]]]:
        if state is None and negative is not None:
            yield ord("-"), ord("-"), frozenset(negative.start(1))
        states = state if state is not None else frozenset(positive.start(0) if positive is not None else ())
        for char in ".0123456789":
            following: set[State] = set()
            for one in states:
                side = sides[one[0]]
                if side is not None and (after := side.read(one, char)) is not None:
                    following.add(after)
            if following:
                yield ord(char), ord(char), frozenset(following)

    def accepts(state: frozenset[State] | None) -> bool:
        for one in state or ():
            side = sides[one[0]]
            if side is not None and side.accepts(one):
                return True
        return False

    return explore(None, moves, accepts, minimise_below=MAX_STATES)
