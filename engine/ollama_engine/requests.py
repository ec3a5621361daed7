"""The requests that an engine works on: what `Engine.requests` lists and `Engine.cancel` ends.

    with requests.begin("chat", model) as request:
        async with opener.lease(opened, keep_alive, request=request) as lease:
            async with request.breakable(): ...                 # steps that give no piece
            async for part in request.generate(lease, frame): ...

A request is canceled wherever it is. Inside a `breakable` block the task that runs it is woken with RequestCanceled, as
asyncio.timeout wakes one with TimeoutError; an answer that is being generated is ended by the runner, within a step,
with what it has said so far.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Literal

from ollama_engine.caller import current_caller
from ollama_engine.errors import NotFound, RequestCanceled
from ollama_engine.runner.client import Watcher
from ollama_engine.runner.protocol import Done, Generate, Piece
from ollama_engine.scheduler.residency import Lease, Scheduler, Standing
from ollama_engine.scheduler.ticket import Ticket
from ollama_engine.types import RequestView

Kind = Literal["chat", "generate", "embed", "rerank", "tokenize", "load"]
State = Literal["queued", "prompt", "generating"]

CANCEL_PATIENCE = 5.0
"""Seconds that `cancel` waits until the request has let go of what it held."""


class Request:
    """One of them. `ticket` stands for it at the scheduler, from when it wants a model."""

    def __init__(self, id: str, kind: Kind, model: str) -> None:
        self.id = id
        self.kind: Kind = kind
        self.model = model
        self.caller = current_caller.get()
        self.created_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
        self.ticket: Ticket | None = None
        self.prompt_tokens = 0
        self.output_tokens = 0
        self.canceled = False
        self.ended = asyncio.Event()
        """Set when it holds nothing any more."""
        self._first_token = 0.0
        self._task: asyncio.Task[object] | None = None
        """Who is inside a breakable block."""
        self._end_generation: Callable[[], None] | None = None

    def cancel(self) -> None:
        if self.canceled:
            return
        self.canceled = True
        if self._task is not None:
            self._task.cancel()
        if self._end_generation is not None:
            self._end_generation()

    def check(self) -> None:
        """RequestCanceled where it has been canceled meanwhile."""
        if self.canceled:
            raise RequestCanceled()

    @contextlib.asynccontextmanager
    async def breakable(self) -> AsyncIterator[None]:
        """A block that `cancel` breaks off with RequestCanceled. No `yield` of a generator may be inside it: the task
        would be somebody else's. Within another one it does nothing."""
        self.check()
        task = asyncio.current_task()
        if task is None or self._task is not None:
            yield
            return
        self._task, before = task, task.cancelling()
        try:
            yield
        except asyncio.CancelledError:
            if self.canceled and task.uncancel() <= before:
                raise RequestCanceled() from None
            raise  # somebody else has cancelled the task
        except BaseException:
            if self.canceled:
                task.uncancel()
            raise
        else:
            if self.canceled:
                task.uncancel()
                raise RequestCanceled()
        finally:
            self._task = None

    async def generate(self, lease: Lease, frame: Generate) -> AsyncGenerator[Piece | Done, None]:
        """The runner's answer. `cancel` ends it with a Done; the lease ends with the runner's work."""
        self.check()
        self.prompt_tokens = len(frame.tokens)
        self._end_generation = lambda: lease.runner.cancel(frame)
        async with contextlib.aclosing(lease.runner.generate(frame, watcher=_Generation(self, lease))) as parts:
            async for part in parts:
                yield part

    def generated(self, n: int) -> None:
        """So many tokens more."""
        self._first_token = self._first_token or asyncio.get_running_loop().time()
        self.output_tokens += n

    def generation_ended(self) -> None:
        self._end_generation = None
        self.ended.set()

    def view(self, standing: Standing | None) -> RequestView:
        """`standing`: how far it has come on its way to the model; None where it is there."""
        if self.output_tokens:
            standing = None
        return RequestView(
            id=self.id,
            kind=self.kind,
            model=self.model,
            state=standing.state if standing else self._state(),
            created_at=self.created_at,
            client=self.caller.name,
            position=standing.position if standing else 0,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            tokens_per_second=self._tokens_per_second(),
        )

    def _state(self) -> State:
        if self.output_tokens:
            return "generating"
        return "queued" if self.ticket is None else "prompt"

    def _tokens_per_second(self) -> float:
        seconds = asyncio.get_running_loop().time() - self._first_token
        return round((self.output_tokens - 1) / seconds, 2) if self.output_tokens > 1 and seconds > 0 else 0.0


class _Generation(Watcher):
    def __init__(self, request: Request, lease: Lease) -> None:
        self._request = request
        self._lease = lease

    def on_piece(self, piece: Piece) -> None:
        self._request.generated(piece.n)

    def on_end(self) -> None:
        self._lease.end()
        self._request.generation_ended()


class Requests:
    """Those of one engine, oldest first."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._requests: dict[str, Request] = {}
        self._prefix = secrets.token_hex(2)
        """So that an id of an engine that ran before names nothing here."""
        self._numbers = itertools.count(1)

    @contextlib.contextmanager
    def begin(self, kind: Kind, model: str) -> Iterator[Request]:
        request = Request(f"{self._prefix}{next(self._numbers)}", kind, model)
        self._requests[request.id] = request
        try:
            yield request
        finally:
            del self._requests[request.id]
            request.ended.set()

    @contextlib.asynccontextmanager
    async def breakable(self, kind: Kind, model: str) -> AsyncIterator[Request]:
        """For a request that gives one answer: the whole of it can be broken off."""
        with self.begin(kind, model) as request:
            async with request.breakable():
                yield request

    def views(self) -> list[RequestView]:
        standings = self._scheduler.standings()
        return [
            request.view(standings.get(request.ticket) if request.ticket is not None else None)
            for request in self._requests.values()
            if not request.ended.is_set()
        ]

    async def cancel(self, id: str) -> None:
        """End a request; it holds nothing any more when this returns. NotFound."""
        request = self._requests.get(id)
        if request is None or request.ended.is_set():
            hint = "It may have ended. 'ollama-tui requests' lists those that run."
            raise NotFound(f"there is no request {id[:40]!a}", hint=hint)
        request.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_PATIENCE):
                await request.ended.wait()
