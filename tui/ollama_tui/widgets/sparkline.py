"""A history in one line of text, a cell a sample: `▁▂▅▇▆▃`."""

from __future__ import annotations

from collections.abc import Sequence

LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(samples: Sequence[float | None], width: int, *, top: float = 0.0) -> str:
    """The last `width` samples, the newest at the right, blanks where there are none.

    Args:
        top: what the highest mark stands for; 0 takes the largest of the samples shown.
    """
    shown = samples[-width:] if width > 0 else ()
    highest = top or max((value for value in shown if value is not None), default=0.0)
    return "".join(_mark(value, highest) for value in shown).rjust(width)


def _mark(value: float | None, highest: float) -> str:
    if value is None:
        return " "
    if value <= 0 or highest <= 0:
        return LEVELS[0]
    return LEVELS[min(len(LEVELS) - 1, int(value / highest * len(LEVELS)))]
