"""A queue of pulls for a server that keeps none, such as Ollama's own: streams of `Engine.pull`, held here.

It ends with the workstation; what such a server has fetched by then it keeps for the next pull.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

import msgspec

from ollama_engine.errors import EngineError, NotFound, NotSupported
from ollama_engine.types import PullLayer, PullRequest, PullView, TransferProgress
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink

AT_ONCE = 2
State = Literal["queued", "running", "paused", "failed", "done"]


class _Pull:
    def __init__(self, id: str, request: PullRequest) -> None:
        self.request = request
        self.view = PullView(id=id, name=request.model, state="queued")
        self.task: asyncio.Task[None] | None = None

    def become(self, state: State, error: EngineError | None = None) -> None:
        told = (error.message, error.hint) if error is not None else ("", "")
        self.view = msgspec.structs.replace(
            self.view, state=state, status="", rate=0.0, eta=0.0, error=told[0], hint=told[1]
        )

    def take(self, step: TransferProgress) -> None:
        layers = {layer.digest: layer for layer in self.view.layers}
        if step.digest:
            before = layers.get(step.digest)
            reached = max(step.completed, before.completed if before is not None else 0)
            layers[step.digest] = PullLayer(step.digest, step.total, reached)
        self.view = msgspec.structs.replace(
            self.view,
            status=step.status,
            layers=list(layers.values()),
            total=sum(layer.total for layer in layers.values()),
            completed=sum(layer.completed for layer in layers.values()),
            rate=step.rate,
            eta=step.eta,
        )


class PlainQueue:
    """The verbs of the engine's queue of pulls, over `Engine.pull`."""

    def __init__(self, link: EngineLink) -> None:
        self._link = link
        self._pulls: dict[str, _Pull] = {}
        self._views: Latest[list[PullView]] = Latest([])
        self._ids = itertools.count(1)

    async def pulls(self) -> AsyncGenerator[list[PullView], None]:
        """The pulls in their order, now and whenever one has changed."""
        async for views in self._views.watch():
            yield views

    async def pull_enqueue(self, request: PullRequest) -> PullView:
        """Queue a pull; one of the same name that had stopped goes on."""
        for pull in self._pulls.values():
            if pull.request.model == request.model and pull.view.state != "done":
                return await self.pull_resume(pull.view.id)
        pull = _Pull(f"here-{next(self._ids)}", request)
        self._pulls[pull.view.id] = pull
        self._schedule()
        return pull.view

    async def pull_pause(self, id: str) -> PullView:
        pull = self._find(id)
        if pull.view.state in ("queued", "running", "failed"):
            await self._stop(pull)
            if pull.view.state != "done":
                pull.become("paused")
            self._schedule()
        return pull.view

    async def pull_resume(self, id: str) -> PullView:
        pull = self._find(id)
        if pull.view.state in ("paused", "failed"):
            pull.become("queued")
            self._schedule()
        return pull.view

    async def pull_cancel(self, id: str, *, remove_partials: bool = False) -> None:
        """Take a pull off the queue. NotSupported where its partials are to go: only the server could remove them."""
        pull = self._find(id)
        if remove_partials:
            raise NotSupported("this server keeps what it has fetched", hint="Cancel, and keep the partial files.")
        await self._stop(pull)
        del self._pulls[id]
        self._schedule()

    async def pull_move(self, id: str, position: int) -> None:
        pull = self._find(id)
        others = [other for other in self._pulls.values() if other is not pull]
        others.insert(max(0, position), pull)
        self._pulls = {other.view.id: other for other in others}
        self._schedule()

    async def aclose(self) -> None:
        for pull in self._pulls.values():
            await self._stop(pull)

    def _find(self, id: str) -> _Pull:
        if id not in self._pulls:
            raise NotFound(f"there is no pull {id[:40]!a}", hint="List the pulls to see which there are.")
        return self._pulls[id]

    def _schedule(self) -> None:
        """Start pulls while there is room, first in the queue first."""
        running = sum(pull.view.state == "running" for pull in self._pulls.values())
        for pull in self._pulls.values():
            if pull.view.state == "queued" and running < AT_ONCE:
                pull.become("running")
                pull.task = asyncio.create_task(self._run(pull), name=f"pull {pull.request.model}")
                running += 1
        self._publish()

    async def _run(self, pull: _Pull) -> None:
        try:
            engine = await self._link.engine()
            async with aclosing(engine.pull(pull.request)) as steps:
                async for step in steps:
                    pull.take(step)
                    self._publish()
        except EngineError as error:
            pull.become("failed", error)
        else:
            pull.become("done")
        self._schedule()

    async def _stop(self, pull: _Pull) -> None:
        task, pull.task = pull.task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _publish(self) -> None:
        self._views.publish([pull.view for pull in self._pulls.values()])
