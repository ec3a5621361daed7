"""`Steady`: of things that come and go, what may be said without saying something else a moment later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

LOOKS = 3
"""Looks in a row that must have found a thing before it is told, or missed it before it is no longer told."""


class Steady:
    """What the first look finds is told at once."""

    def __init__(self) -> None:
        self._told: tuple[str, ...] | None = None
        self._otherwise: Counter[str] = Counter()
        """Looks in a row that say otherwise of a thing than is told."""

    def look(self, found: Iterable[str]) -> tuple[str, ...]:
        """What is told after one more look; the same again where nothing has changed for long enough."""
        now = tuple(dict.fromkeys(found))
        if self._told is None:
            self._told = now
            return now
        changing = set(now) ^ set(self._told)
        self._otherwise = Counter({one: self._otherwise[one] + 1 for one in changing})
        settled = {one for one in changing if self._otherwise[one] >= LOOKS}
        kept = (one for one in self._told if one not in settled)
        self._told = (*kept, *(one for one in now if one in settled))
        return self._told
