"""The queue of pulls, as the Pulls pane shows it and other panes add to it.

The queue is the engine's own, which goes on without the workstation and after a crash; for a server that has none it
is kept here (`plain_pulls`). It is followed while somebody looks, or while something is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from ollama_engine.errors import EngineError, NotSupported, StoreError
from ollama_engine.types import PullRequest, PullView, TransferLimits
from ollama_tui import figures
from ollama_tui.services.latest import Latest
from ollama_tui.services.library import LibraryService
from ollama_tui.services.link import EngineLink
from ollama_tui.services.plain_pulls import PlainQueue
from ollama_tui.services.pull_progress import Courses, Pull

MODELS_FIRST = 2.0
"""Seconds in which the Library may show its models before old pulls go on."""
RETRY_SECONDS = 5.0
PACE = 0.25
"""Seconds between two looks at what moves: a queue tells of every step."""

T = TypeVar("T")


class Queue(Protocol):
    """The engine's verbs of the queue: see `Engine`."""

    def pulls(self) -> AsyncGenerator[list[PullView], None]: ...
    async def pull_enqueue(self, request: PullRequest) -> PullView: ...
    async def pull_pause(self, id: str) -> PullView: ...
    async def pull_resume(self, id: str) -> PullView: ...
    async def pull_cancel(self, id: str, *, remove_partials: bool = False) -> None: ...
    async def pull_move(self, id: str, position: int) -> None: ...


@dataclass(frozen=True)
class PullsView:
    """A snapshot. `known`: the queue has been seen once; `error`: why it could not be asked the last time.

    `kept` is false where the queue is the workstation's own and ends with it. `limits` is None where the server does
    not tell how fast pulls may be, and how much disk they have.
    """

    pulls: tuple[Pull, ...] = ()
    known: bool = False
    error: EngineError | None = None
    kept: bool = True
    limits: TransferLimits | None = None

    def find(self, id: str) -> Pull | None:
        return next((pull for pull in self.pulls if pull.view.id == id), None)


class PullsService:
    """`watch_for` and `done_with` say who looks; `clock` in seconds."""

    def __init__(
        self, link: EngineLink, library: LibraryService, *, clock: Callable[[], float], pace: float = PACE
    ) -> None:
        self.view = Latest(PullsView())
        self._link = link
        self._library = library
        self._clock = clock
        self._pace = pace
        self._plain: PlainQueue | None = None
        self._courses = Courses()
        self._watchers: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._ended: asyncio.Queue[Pull] = asyncio.Queue()
        self._refreshing: set[asyncio.Task[None]] = set()

    @property
    def following(self) -> bool:
        return self._task is not None and not self._task.done()

    def watch_for(self, who: str) -> None:
        self._watchers.add(who)
        self.take_up()

    def done_with(self, who: str) -> None:
        self._watchers.discard(who)
        if not self._wanted and self._task is not None:
            self._task.cancel()
            self._task = None

    async def begin(self) -> None:
        """Go on with what an earlier workstation left to pull, once the Library has shown its models."""
        with suppress(TimeoutError):
            async with asyncio.timeout(MODELS_FIRST):
                async for library in self._library.view.watch():
                    if library.known or library.error is not None:
                        break
        self.take_up()

    def take_up(self) -> None:
        """Look whether there is something to pull, left by an earlier program say, and follow it until it is done."""
        if not self.following:
            self._task = asyncio.create_task(self._follow(), name="pulls")

    async def ended(self) -> AsyncGenerator[Pull, None]:
        """Each pull that ends from here on, done or failed, for the one who tells the user."""
        while True:
            yield await self._ended.get()

    # Verbs: EngineError as the Engine's own

    async def enqueue(self, model: str, *, insecure: bool = False, size: int = 0) -> PullView:
        """Queue a pull of a name or of a link to a GGUF file; one that had stopped goes on.

        StoreError where its `size`, if that is known, does not fit on the disk beside what is queued already.
        """
        await self._check_room(model, size)
        view = await self._ask(lambda queue: queue.pull_enqueue(PullRequest(model, insecure=insecure)))
        self._show_now(view)
        self.take_up()
        return view

    async def _check_room(self, model: str, size: int) -> None:
        await self.refresh_limits()
        limits = self.view.value.limits
        if limits is None or not size:
            return
        queued = sum(max(0, pull.view.total - pull.view.completed) for pull in self.view.value.pulls if pull.active)
        if size + queued > limits.free:
            waiting = f", and {figures.size(queued)} more are on their way" if queued else ""
            raise StoreError(
                f"{model} is {figures.size(size)}; {figures.size(limits.free) or 'nothing'} of disk is free{waiting}",
                hint="Free disk space (delete models in the Library, 1), or choose a smaller quantization.",
            )

    async def pause(self, id: str) -> None:
        self._show_now(await self._ask(lambda queue: queue.pull_pause(id)))

    async def resume(self, id: str) -> None:
        """Let it go on, or try it again."""
        self._show_now(await self._ask(lambda queue: queue.pull_resume(id)))
        self.take_up()

    retry = resume

    async def cancel(self, id: str, *, remove_partials: bool = False) -> None:
        await self._ask(lambda queue: queue.pull_cancel(id, remove_partials=remove_partials))
        view = self.view.value
        self.view.publish(replace(view, pulls=tuple(pull for pull in view.pulls if pull.view.id != id)))

    async def move(self, id: str, position: int) -> None:
        """Put it at that place of the queue, 0 the first."""
        await self._ask(lambda queue: queue.pull_move(id, position))
        pulls = [pull for pull in self.view.value.pulls if pull.view.id != id]
        if moved := self.view.value.find(id):
            pulls.insert(max(0, position), moved)
            self.view.publish(replace(self.view.value, pulls=tuple(pulls)))

    async def limit(self, bandwidth: int) -> None:
        """Let all pulls together take that many bytes a second from now on; 0 takes the limit away."""
        limits = await (await self._link.engine()).limit_transfers(bandwidth)
        self.view.publish(replace(self.view.value, limits=limits))

    async def refresh_limits(self) -> None:
        """Ask what pulls may take; who does not tell leaves it unknown."""
        try:
            limits = await (await self._link.engine()).transfer_limits()
        except EngineError:
            limits = None
        if limits != self.view.value.limits:
            self.view.publish(replace(self.view.value, limits=limits))

    async def pause_all(self) -> None:
        for pull in self.view.value.pulls[::-1]:  # the last first: none that waits begins meanwhile
            if pull.active:
                await self.pause(pull.view.id)

    async def resume_all(self) -> None:
        for pull in self.view.value.pulls:
            if pull.view.state in ("paused", "failed"):
                await self.resume(pull.view.id)

    async def clear(self) -> int:
        """Take the lines of what is done off the queue; how many there were."""
        done = [pull.view.id for pull in self.view.value.pulls if pull.view.state == "done"]
        for id in done:
            await self.cancel(id)
        return len(done)

    async def _ask(self, verb: Callable[[Queue], Awaitable[T]]) -> T:
        try:
            return await verb(await self._queue())
        except NotSupported:
            if self._plain is not None:
                raise
            return await verb(self._fall_back())

    # Following

    @property
    def _wanted(self) -> bool:
        return bool(self._watchers) or any(pull.active for pull in self.view.value.pulls)

    async def _queue(self) -> Queue:
        return self._plain or await self._link.engine()

    async def _follow(self) -> None:
        while True:
            try:
                async with aclosing((await self._queue()).pulls()) as states:
                    async for views in states:
                        self._link.heard(None)
                        self.take(views)
                        if not self._wanted:
                            return
                        await asyncio.sleep(self._pace)
                return  # the engine has ended
            except NotSupported:
                self._fall_back()
            except EngineError as error:
                self._link.heard(error)
                self.view.publish(replace(self.view.value, error=error))
                await asyncio.sleep(RETRY_SECONDS)

    def _fall_back(self) -> PlainQueue:
        if self._plain is None:
            self._plain = PlainQueue(self._link)
        return self._plain

    def take(self, views: Sequence[PullView]) -> None:
        """The queue as it is now."""
        before = {pull.view.id: pull.view.state for pull in self.view.value.pulls}
        pulls = self._courses.take(views, self._clock())
        self.view.publish(replace(self.view.value, pulls=pulls, known=True, error=None, kept=self._plain is None))
        for pull in pulls:
            was = before.get(pull.view.id)
            if (
                was is not None
                and was != pull.view.state
                and (pull.view.state in ("done", "failed") or pull.view.error)
            ):
                self._tell(pull)

    def _tell(self, pull: Pull) -> None:
        self._ended.put_nowait(pull)
        if pull.view.state == "done":
            task = asyncio.create_task(self._library.refresh(), name="library after a pull")
            self._refreshing.add(task)
            task.add_done_callback(self._refreshing.discard)

    def _show_now(self, view: PullView) -> None:
        """What a verb answered, without waiting for the queue to tell it."""
        known = self.view.value.find(view.id) is not None
        views = [view if pull.view.id == view.id else pull.view for pull in self.view.value.pulls]
        self.take(views if known else [*views, view])

    async def aclose(self) -> None:
        tasks = [task for task in (self._task, *self._refreshing) if task is not None]
        self._task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._plain is not None:
            await self._plain.aclose()
