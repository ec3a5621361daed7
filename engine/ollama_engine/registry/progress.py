"""What a pull or a push says while it runs, in Ollama's words (spec §7.2, §7.3)."""

from __future__ import annotations

from ollama_engine.registry.pace import Meter
from ollama_engine.store.digests import Digest
from ollama_engine.types import TransferProgress

INTERVAL = 0.06
"""Seconds between two looks at what has changed."""


class PullProgress(TransferProgress, omit_defaults=True):
    """A step of a pull. `rate` in bytes a second and `eta` in seconds are of the whole pull."""


class PushProgress(TransferProgress, omit_defaults=True):
    """A step of a push."""


class Track:
    """How far one blob is. `completed` never goes back."""

    def __init__(self, digest: Digest, size: int) -> None:
        self.digest = digest
        self.size = size
        self.label = digest.short
        """What its status lines call it."""
        self.blob: Digest | None = digest
        """The blob that it is: `digest`, unless that only tells apart versions of a file whose digest nobody knows."""
        self.fresh = False
        """Whether it was transferred now rather than there before."""
        self._completed = 0

    @property
    def completed(self) -> int:
        return self._completed

    @property
    def left(self) -> int:
        return self.size - self._completed

    def reach(self, completed: int) -> None:
        self._completed = min(max(self._completed, completed), self.size)

    def finish(self) -> None:
        self._completed = self.size


class Board:
    """The tracks of one transfer, and what of them has not been told yet."""

    def __init__(self, verb: str, tracks: list[Track]) -> None:
        self.tracks = tracks
        self._verb = verb
        self._told: dict[Digest, int] = {}
        self._meter = Meter()
        self._base = -1

    @property
    def left(self) -> int:
        return sum(track.left for track in self.tracks)

    def news(self) -> list[tuple[str, Track, float, float]]:
        """Status, track, rate and ETA of each blob that went on since the last call."""
        completed = sum(track.completed for track in self.tracks)
        if self._base < 0:
            self._base = completed
        self._meter.add(completed - self._base - self._meter.total)
        rate = self._meter.rate
        eta = self.left / rate if rate > 0 else 0.0
        news = [track for track in self.tracks if self._told.get(track.digest) != track.completed]
        self._told.update((track.digest, track.completed) for track in news)
        return [(f"{self._verb} {track.label}", track, round(rate, 1), round(eta, 1)) for track in news]
