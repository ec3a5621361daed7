"""How a pull goes: a share that never goes back, a steady speed, the time left, and the last minute as samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ollama_engine.types import PullView
from ollama_tui.services.history import Samples

SPAN = 10.0
"""Seconds over which a speed is taken where the server does not say one."""
SAMPLE = 1.0
SAMPLES = 60
WEIGHT = 0.3
"""Of the newest speed in the steady one."""
LONGEST_ETA = 100 * 3600.0
"""Seconds; what would take longer has hardly begun, or stands still: nobody can say."""


@dataclass(frozen=True)
class Pull:
    """A pull of the queue as it is shown. `part` of the whole; `eta` in seconds, None while nobody can say."""

    view: PullView
    part: float = 0.0
    speed: float = 0.0
    eta: float | None = None
    history: Samples = ()

    @property
    def active(self) -> bool:
        return self.view.state in ("queued", "running")


class _Course:
    """One pull over time."""

    def __init__(self) -> None:
        self.done = False
        self._part = 0.0
        self._speed = 0.0
        self._marks: deque[tuple[float, int]] = deque()
        self._came = 0
        self._reached: Mapping[str, int] = {}
        self._sampled: float | None = None
        self._samples: deque[float | None] = deque(maxlen=SAMPLES)

    def take(self, view: PullView, now: float) -> Pull:
        self.done = view.state == "done"
        if self.done:
            self._part = 1.0
        elif view.total > 0:
            # Servers that tell of one layer after another learn late how much there is in all.
            self._part = max(self._part, min(view.completed / view.total, 0.999))
        if view.state != "running":
            self._speed, self._marks = 0.0, deque()
            self._reached = {}
            return Pull(view, self._part, history=tuple(self._samples))
        self._measure(view, now)
        left = max(0, view.total - view.completed)
        eta = left / self._speed if self._speed > 0 and view.total else LONGEST_ETA
        return Pull(view, self._part, self._speed, eta if eta < LONGEST_ETA else None, tuple(self._samples))

    def _measure(self, view: PullView, now: float) -> None:
        newest = view.rate or self._own_rate(view, now)
        if self._sampled is None or now - self._sampled >= SAMPLE:
            self._sampled = now
            self._speed = newest if not self._speed else self._speed + WEIGHT * (newest - self._speed)
            self._samples.append(self._speed)

    def _own_rate(self, view: PullView, now: float) -> float:
        """Bytes a second of what came under our eyes: what a layer had when it was first told of does not count."""
        reached = {layer.digest: layer.completed for layer in view.layers}
        self._came += sum(max(0, n - self._reached.get(digest, n)) for digest, n in reached.items())
        self._reached = reached
        self._marks.append((now, self._came))
        while len(self._marks) > 2 and now - self._marks[1][0] > SPAN:
            self._marks.popleft()
        since, before = self._marks[0]
        return (self._came - before) / (now - since) if now > since else 0.0


class Courses:
    """The courses of all pulls of a queue; those that left it are forgotten."""

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}

    def take(self, views: Iterable[PullView], now: float) -> tuple[Pull, ...]:
        """The pulls in the order of `views`; `now` in seconds on any clock."""
        listed = list(views)
        self._courses = {view.id: self._course(view) for view in listed}
        return tuple(self._courses[view.id].take(view, now) for view in listed)

    def _course(self, view: PullView) -> _Course:
        known = self._courses.get(view.id)
        pulled_again = known is not None and known.done and view.state != "done"
        return _Course() if known is None or pulled_again else known
