"""Long work on models (push, quantize, create): it goes on whichever pane is shown, and can be canceled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.types import CreateRequest, Progress, PushRequest
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink

JobState = Literal["running", "done", "failed", "canceled"]
Steps = Callable[[Engine], AsyncGenerator[Progress, None]]
"""Begins the work at the engine; closing what it gives cancels it."""

DRAW_SECONDS = 0.25
"""Between two snapshots of one job, at the least."""


@dataclass(frozen=True)
class Job:
    """One piece of work as it is now. Bytes; `rate` in bytes a second and `eta` in seconds, 0 where unknown."""

    id: int
    title: str
    """What is done, as one says it: `push bard`."""
    model: str
    """What is worked on, or comes of it."""
    state: JobState = "running"
    status: str = ""
    """The engine's word on the present step."""
    completed: int = 0
    total: int = 0
    rate: float = 0.0
    eta: float = 0.0
    error: EngineError | None = None

    @property
    def part(self) -> float:
        """How much is done, 0 to 1; 0 while that is not known."""
        return min(1.0, self.completed / self.total) if self.total else 0.0


class JobService:
    """`view` holds what runs, and what has ended until it is `dismiss`ed, oldest first."""

    def __init__(self, link: EngineLink, changed: Callable[[], Awaitable[None]]) -> None:
        """`changed` is awaited when work has ended: models may have come or gone."""
        self.view: Latest[tuple[Job, ...]] = Latest(())
        self._link = link
        self._changed = changed
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._after: set[asyncio.Task[None]] = set()
        self._closing = False
        self._count = 0

    def start(self, title: str, model: str, steps: Steps, *, total: int = 0) -> Job:
        """Begin; the work is over when its last step is taken. `total` bytes, where they are known before."""
        self._count += 1
        job = Job(self._count, title, model, total=total)
        self.view.publish((*self.view.value, job))
        self._tasks[job.id] = asyncio.create_task(self._run(job.id, steps), name=f"job {job.id}")
        return job

    def push(self, name: str, *, insecure: bool, total: int) -> Job:
        """Send a model to the registry that its name says; `total` bytes."""
        request = PushRequest(name, insecure=insecure)
        return self.start(f"push {name}", name, lambda engine: engine.push(request), total=total)

    def quantize(self, model: str, kind: str, name: str, *, again: bool) -> Job:
        """Make `name` of a model, with weights of type `kind`; `again` where they are quantized already."""
        request = CreateRequest(name, from_=model, quantize=kind, requantize=again)
        return self.start(f"quantize {model} to {kind}", name, lambda engine: engine.create(request))

    def cancel(self, id: int) -> None:
        """Stop a job; what it has done so far is the engine's to keep or to drop."""
        task = self._tasks.get(id)
        if task is not None:
            task.cancel()

    def dismiss(self, id: int) -> None:
        """Forget a job that has ended."""
        self.view.publish(tuple(job for job in self.view.value if job.id != id or job.state == "running"))

    async def aclose(self) -> None:
        self._closing = True
        tasks = [*self._tasks.values(), *self._after]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, id: int, steps: Steps) -> None:
        try:
            engine = await self._link.engine()
            async with aclosing(steps(engine)) as coming:
                await self._follow(id, coming)
            self._put(id, state="done", status="")
        except EngineError as error:
            self._link.heard(error)
            self._put(id, state="failed", error=error)
        except asyncio.CancelledError:
            self._put(id, state="canceled")
            raise
        except Exception as error:
            self._put(id, state="failed", error=EngineError(f"{self._find(id).title} broke off: {error}"))
            raise
        finally:
            del self._tasks[id]
            if not self._closing:  # in a task of its own: this one may have been canceled
                after = asyncio.create_task(self._ended())
                self._after.add(after)
                after.add_done_callback(self._after.discard)

    async def _ended(self) -> None:
        await self._changed()

    async def _follow(self, id: int, steps: AsyncGenerator[Progress, None]) -> None:
        """Bytes are counted by digest, so that no bar jumps back when the next file begins."""
        loop = asyncio.get_running_loop()
        known = self._find(id).total
        files: dict[str, tuple[int, int]] = {}
        step = Progress()
        drawing: asyncio.TimerHandle | None = None

        def draw() -> None:
            nonlocal drawing
            drawing = None
            self._put(
                id,
                status=step.status,
                completed=sum(completed for completed, _ in files.values()),
                total=max(known, sum(total for _, total in files.values())),
                rate=getattr(step, "rate", 0.0),
                eta=getattr(step, "eta", 0.0),
            )

        try:
            async for step in steps:
                if step.total:
                    before, _ = files.get(step.digest, (0, 0))
                    files[step.digest] = (max(before, step.completed), step.total)
                drawing = drawing or loop.call_later(DRAW_SECONDS, draw)
        finally:
            if drawing is not None:
                drawing.cancel()

    def _find(self, id: int) -> Job:
        return next(job for job in self.view.value if job.id == id)

    def _put(self, id: int, **changes: object) -> None:
        changed = replace(self._find(id), **changes)
        self.view.publish(tuple(changed if job.id == id else job for job in self.view.value))
