"""Benchmarks: one is measured at a time, whichever pane is shown, and all are kept in a history.

What measures is `ollama_engine.bench`; it is imported when it is first wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ollama_engine.errors import EngineError
from ollama_tui.connect import HERE
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink
from ollama_tui.services.steady import Steady

if TYPE_CHECKING:
    from ollama_engine.bench import Comparison, History, Plan, Run, RunSummary
    from ollama_engine.bench.events import Event

T = TypeVar("T")
POINTS = 2000
"""Speeds that are remembered of a run; the oldest go first."""
LOOK_SECONDS = 3.0
"""Between two looks at what else goes on."""


@dataclass(frozen=True)
class SpeedPoint:
    """`seconds` since the run began; `series` is the place of the cell in the run."""

    seconds: float
    tokens_per_second: float
    series: int


@dataclass(frozen=True)
class BenchView:
    """A snapshot. `run` is the one that is measured, or was measured last; `error` why it ended before its end.

    `doing` says in words what goes on now; `disturbances` what else does, as far as it is known,
    without figures: those move.
    """

    run: Run | None = None
    active: bool = False
    doing: str = ""
    speeds: tuple[SpeedPoint, ...] = ()
    error: EngineError | None = None
    disturbances: tuple[str, ...] = ()


class BenchService:
    """Args:
    path: the file of the history.
    clock: Unix seconds.
    """

    def __init__(self, link: EngineLink, path: Path, *, clock: Callable[[], float]) -> None:
        self.view = Latest(BenchView())
        self.runs: Latest[tuple[RunSummary, ...]] = Latest(())
        self._link = link
        self._path = path
        self._clock = clock
        self._history: History | None = None
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    # Measuring

    def start(self, plan: Plan) -> None:
        """Measure `plan`; nothing where something is measured already. InvalidRequest: it makes no sense."""
        from ollama_engine.bench.plan import check

        check(plan)
        if self._task is not None:
            return
        self.view.publish(BenchView(active=True, doing="beginning", disturbances=self.view.value.disturbances))
        self._task = asyncio.create_task(self._measure(plan), name="bench")

    async def stop(self) -> None:
        """End what is measured; what there is of it is kept."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _measure(self, plan: Plan) -> None:
        from ollama_engine.bench import benchmark, ended, record

        run: Run | None = None
        error: EngineError | None = None
        finished = False
        began = asyncio.get_running_loop().time()
        try:
            engine = await self._link.engine()
            where = self._link.state.value.label
            events = benchmark(engine, plan, where=where, embedded=where == HERE, clock=self._now)
            async with contextlib.aclosing(events):
                async for event in events:
                    before, run = run, record(run, event)
                    if run is not None and run is not before:
                        saving = asyncio.create_task(self._save(run))
                        try:
                            run = await asyncio.shield(saving)
                        except asyncio.CancelledError:
                            run = await saving  # it has its number by then, and is no second run
                            raise
                    self._publish(run, event, asyncio.get_running_loop().time() - began)
            finished = True
        except EngineError as caught:
            self._link.heard(caught)
            error = caught
        finally:
            self._task = None
            if run is not None and not finished:
                run = ended(run, self._now(), "stopped")
                with contextlib.suppress(EngineError):  # the first error is the one to tell
                    run = await self._save(run)
            self.view.publish(replace(self.view.value, run=run, active=False, doing="", error=error))
        await self._list_quietly()

    def _publish(self, run: Run | None, event: Event, seconds: float) -> None:
        doing, point = _told(run, event, seconds)
        view = self.view.value
        speeds = (*view.speeds[1 - POINTS :], point) if point is not None else view.speeds
        self.view.publish(replace(view, run=run, doing=doing or view.doing, speeds=speeds))

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")

    # What else goes on

    def watch(self) -> None:
        """The pane is looked at: see what else goes on while nothing is measured."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="bench disturbances")

    def leave(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()

    async def _look(self) -> None:
        """Only what has changed for good is published: a figure that moves would be painted again and again."""
        from ollama_engine.bench.surroundings import disturbances

        steady = Steady()
        while True:
            if not self.view.value.active:
                try:
                    found = [one.what for one in await disturbances(await self._link.engine())]
                except EngineError:
                    found = []
                told = steady.look(found)
                if told != self.view.value.disturbances and not self.view.value.active:
                    self.view.publish(replace(self.view.value, disturbances=told))
            await asyncio.sleep(LOOK_SECONDS)

    # The history

    async def list_runs(self) -> None:
        """Read the list anew. StoreError."""
        self.runs.publish(tuple(await self._with_history(lambda history: history.runs())))

    async def open(self, number: int) -> Run:
        """A run whole. NotFound, StoreError."""
        return await self._with_history(lambda history: history.load(number))

    async def show(self, number: int) -> None:
        """Put an earlier run into the view, where nothing is measured. NotFound, StoreError."""
        run = await self.open(number)
        if not self.view.value.active:
            self.view.publish(BenchView(run=run, disturbances=self.view.value.disturbances))

    async def compare(self, before: int, after: int) -> Comparison:
        """NotFound, StoreError."""
        from ollama_engine.bench import compare

        return compare(await self.open(before), await self.open(after))

    async def annotate(self, number: int, note: str) -> None:
        """Give a run a name. NotFound, StoreError."""
        await self._with_history(lambda history: history.annotate(number, note))
        view = self.view.value
        if view.run is not None and view.run.id == number and not view.active:
            await self.show(number)
        await self.list_runs()

    async def delete(self, number: int) -> None:
        """NotFound, StoreError."""
        await self._with_history(lambda history: history.delete(number))
        run = self.view.value.run
        if run is not None and run.id == number and not self.view.value.active:
            self.view.publish(BenchView(disturbances=self.view.value.disturbances))
        await self.list_runs()

    async def export(self, run: Run, path: Path) -> None:
        """Write a file in the format that its name says. InvalidRequest, StoreError."""
        from ollama_engine.bench.export import write_file

        await asyncio.to_thread(write_file, run, path)

    async def _save(self, run: Run) -> Run:
        return await self._with_history(lambda history: history.save(run))

    async def _list_quietly(self) -> None:
        with contextlib.suppress(EngineError):  # who looks at the list asks, and is told
            await self.list_runs()

    async def _with_history(self, work: Callable[[History], T]) -> T:
        return await asyncio.to_thread(lambda: work(self._open_history()))

    def _open_history(self) -> History:
        from ollama_engine.bench import History

        if self._history is None:
            self._history = History(self._path)
        return self._history

    async def aclose(self) -> None:
        """End what is measured, keep it, and close the file; safe to call twice."""
        self.leave()
        await self.stop()
        history = self._history
        if history is not None:
            await asyncio.to_thread(history.close)


def _told(run: Run | None, event: Event, seconds: float) -> tuple[str, SpeedPoint | None]:
    """An event in words, and the speed that it tells."""
    from ollama_engine.bench import options_text
    from ollama_engine.bench.events import CellStarted, Finished, Loading, RoundFinished, Speed
    from ollama_engine.bench.metrics import throughput

    if run is None:
        return "", None
    match event:
        case Loading(model=model, options=options):
            return f"loading {model} {options_text(options)}".rstrip(), None
        case CellStarted():
            return "making prompts", None
        case Speed(index=index, round=number, tokens=tokens, wanted=wanted, tokens_per_second=speed):
            which = "warm-up" if number < 0 else f"round {number + 1}/{run.plan.repeats}"
            return f"{which}, {tokens}/{wanted} tokens", SpeedPoint(seconds, speed, index)
        case RoundFinished(index=index, samples=samples):
            speed = throughput(samples)
            done = samples[0].round + 1
            return f"round {done}/{run.plan.repeats}", SpeedPoint(seconds, speed, index) if speed else None
        case Finished():
            return "", None
        case _:
            return "", None
