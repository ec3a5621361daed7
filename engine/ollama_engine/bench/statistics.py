"""A few measurements made one figure: the median, and how far they spread around it.

Spread is the interquartile range (IQR): from the first quartile to the third, the half of the measurements that lies in
the middle, so that one slow round does not change it. Quartiles are interpolated linearly (Hyndman and Fan's type 7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct


class Summary(Struct, frozen=True):
    """`low` and `high` are the first and third quartile."""

    median: float
    low: float
    high: float
    count: int

    @property
    def spread(self) -> float:
        """The interquartile range."""
        return self.high - self.low


def summary(values: Sequence[float]) -> Summary | None:
    """None for no values at all."""
    if not values:
        return None
    ordered = sorted(values)
    return Summary(quantile(ordered, 0.5), quantile(ordered, 0.25), quantile(ordered, 0.75), len(ordered))


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of `ordered` lies, which is in order and not empty."""
    place = part * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    return min(high, low + (high - low) * (place - below))
