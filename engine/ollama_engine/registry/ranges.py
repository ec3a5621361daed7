"""Sets of byte ranges: which bytes of a file are there, and which are not."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First byte, and the byte after the last."""


class RangeSet:
    """Disjoint ranges in order; neighbours are one."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._replace(first, last, [(start, end)])

    def remove(self, start: int, end: int) -> None:
        if start >= end:
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        kept: list[Range] = []
        if first < last:
            kept = [(self._starts[first], start), (end, self._ends[last - 1])]
        self._replace(first, last, [(left, right) for left, right in kept if left < right])

    def gaps(self, start: int, end: int) -> Iterator[Range]:
        """The parts of [start, end) that are not in the set."""
        index = bisect_right(self._ends, start)
        while start < end and index < len(self._starts):
            if self._starts[index] > start:
                yield start, min(self._starts[index], end)
            start = self._ends[index]
            index += 1
        if start < end:
            yield start, end

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def _replace(self, first: int, last: int, ranges: list[Range]) -> None:
        self.total -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last] = [left for left, _ in ranges]
        self._ends[first:last] = [right for _, right in ranges]
        self.total += sum(right - left for left, right in ranges)
