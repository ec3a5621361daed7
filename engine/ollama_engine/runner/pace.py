"""How much prompt a step may read while answers stream: enough to keep the cores busy, little enough that no reader
sees the text stop.

Used by batcher.py. The longer a step, the better a prompt is read and the longer everybody waits for the next token. So
a step with streams in it may take a few times as long as one without a prompt; how many tokens that is follows from
the speed that was measured in the steps before.
"""

from __future__ import annotations

SLOWER = 3.0
"""A step may read prompt for this many times the duration of one that reads none."""
SHORTEST, LONGEST = 0.03, 0.25
"""Seconds of reading per step, whatever that gives: no eye sees the first, everyone the second."""
TILE = 64
"""Rows that attention on a CPU takes at once. A step with fewer, or with a few more, computes them one by one, several
times slower: a step with prompt in it has a multiple of these, streams included."""
WEIGHT = 0.3
"""Of the newest measurement in the running mean."""


class Pace:
    """Times of steps, and what follows from them. `n_batch` is the most tokens of a step."""

    def __init__(self, n_batch: int) -> None:
        self._n_batch = n_batch
        self._decode = 0.0
        """Seconds of a step that reads no prompt."""
        self._speed = 0.0
        """Tokens of prompt a second, beside the streams."""

    def chunk(self, streams: int, in_batch: int | None = None) -> int:
        """How many tokens of prompts the next step may read beside so many running streams, of which so many (None:
        all) have their token in the same batch."""
        in_batch = streams if in_batch is None else in_batch
        if not streams:
            return self._n_batch
        seconds = min(max(SLOWER * self._decode, SHORTEST), LONGEST)
        rows = (int(self._speed * seconds) + in_batch) // TILE * TILE
        least = (in_batch // TILE + 1) * TILE
        return max(1, min(max(rows, least), self._n_batch) - in_batch)

    def measured(self, seconds: float, streams: int, prompt: int) -> None:
        """A step took so long, sampling included, with so many streams and so many tokens of prompts in it."""
        if not prompt:
            self._decode = _mean(self._decode, seconds)
        elif prompt >= TILE // 4:
            # Not less than a part of the step: the mean of steps without a prompt may be older than the load is now.
            reading = max(seconds - self._decode * bool(streams), seconds / 8)
            self._speed = _mean(self._speed, prompt / max(reading, 1e-6))


def _mean(before: float, now: float) -> float:
    return before + WEIGHT * (now - before) if before else now
