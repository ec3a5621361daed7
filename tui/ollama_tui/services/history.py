"""What a figure was over the last minutes, sample by sample, for a sparkline."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

SAMPLES = 60
"""At a refresh of two seconds: two minutes."""
GAP = 2.5
"""Intervals without a sample after which there is a hole: nobody looked meanwhile."""

Samples = tuple[float | None, ...]
"""The oldest first; None where nobody looked."""


class History:
    """Samples of several figures by key; what is no longer sampled is forgotten."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._at: float | None = None
        self._samples: dict[str, deque[float | None]] = {}

    def add(self, values: Iterable[tuple[str, float]], now: float) -> None:
        """One sample of each, taken together; `now` in seconds on any clock."""
        missed = self._at is not None and now - self._at > GAP * self.interval
        self._at = now
        kept: dict[str, deque[float | None]] = {}
        for key, value in values:
            samples = self._samples.get(key) or deque(maxlen=SAMPLES)
            if missed and samples:
                samples.append(None)
            samples.append(value)
            kept[key] = samples
        self._samples = kept

    def __getitem__(self, key: str) -> Samples:
        return tuple(self._samples.get(key, ()))
