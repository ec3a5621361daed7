"""Sets of code points as sorted, disjoint, inclusive intervals. Used by the automata of this room.

Surrogates (U+D800 to U+DFFF) are no characters and belong to no set: UTF-8 cannot carry them.
"""

from __future__ import annotations

from collections.abc import Iterable

Interval = tuple[int, int]
CharSet = tuple[Interval, ...]
"""Sorted; no two intervals touch."""


def union(*sets: Iterable[Interval]) -> CharSet:
    """All code points of all sets (which may be unsorted and overlap)."""
    merged: list[Interval] = []
    for low, high in sorted(interval for one in sets for interval in one):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def subtract(left: CharSet, right: CharSet) -> CharSet:
    """The code points of `left` that are not in `right`."""
    rest: list[Interval] = []
    for first, high in left:
        low = first
        for cut_low, cut_high in right:
            if cut_high < low:
                continue
            if cut_low > high:
                break
            if cut_low > low:
                rest.append((low, cut_low - 1))
            low = cut_high + 1
        if low <= high:
            rest.append((low, high))
    return tuple(rest)


def intersect(left: CharSet, right: CharSet) -> CharSet:
    pairs = ((max(a, c), min(b, d)) for a, b in left for c, d in right)
    return union([(low, high) for low, high in pairs if low <= high])


def invert(chars: CharSet) -> CharSet:
    return subtract(ANY, chars)


def of(text: str) -> CharSet:
    """The set of the characters of `text`."""
    return union([(ord(char), ord(char)) for char in text])


ANY: CharSet = ((0, 0xD7FF), (0xE000, 0x10FFFF))
ASCII: CharSet = ((0, 0x7F),)
DIGIT: CharSet = ((0x30, 0x39),)
WORD: CharSet = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACE: CharSet = ((0x09, 0x0D), (0x20, 0x20))
WIDE_SPACE: CharSet = union(
    SPACE,
    [(0x1C, 0x1F), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200B)],
    [(0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)],
)
"""What some dialect of regular expressions counts as white space."""
LINE_END: CharSet = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
