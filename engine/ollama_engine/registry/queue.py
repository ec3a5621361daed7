"""The queue of pulls: started, paused, resumed, retried, reordered, cancelled, and there again after a crash.

Each pull that waits or runs is a file in the store (`queue_file`); what it has fetched is in the partials. So the
next program that opens a queue on the store goes on with what this one did not finish.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal, Self

from ollama_engine.errors import Busy, EngineError, NotFound, StoreError
from ollama_engine.registry.partial import Partial, partial_path
from ollama_engine.registry.queue_file import QueueFiles, StoredPull, Subject, subject_of
from ollama_engine.registry.registry import Registry
from ollama_engine.registry.threads import in_thread
from ollama_engine.store import digests, names
from ollama_engine.store.names import ModelName
from ollama_engine.types import PullLayer, PullRequest, PullView, TransferProgress

_log = logging.getLogger(__name__)

State = Literal["queued", "running", "paused", "failed", "done", "elsewhere"]
Run = Callable[[PullRequest], AsyncGenerator[TransferProgress, None]]


class _Pull:
    """One pull of this queue. `lock` is its file descriptor while the pull is ours."""

    def __init__(self, key: str, stored: StoredPull, lock: int | None) -> None:
        self.key = key
        self.stored = stored
        self.lock = lock
        self.subject: Subject = subject_of(stored.name)
        self.state: State = stored.wanted if lock is not None else "elsewhere"
        self.last = TransferProgress()
        self.task: asyncio.Task[None] | None = None

    def take(self, step: TransferProgress) -> None:
        self.last = step
        if step.digest:
            stored = self.stored
            stored.blobs[step.digest] = step.total
            stored.reached[step.digest] = max(stored.reached.get(step.digest, 0), step.completed)
            stored.completed = max(stored.completed, sum(stored.reached.values()))

    def finish(self, wanted: set[str]) -> None:
        """It is done, and these were its blobs: an earlier manifest may have named others."""
        self.state = "done"
        self.stored.blobs = {digest: size for digest, size in self.stored.blobs.items() if digest in wanted}
        self.stored.reached = dict(self.stored.blobs)
        self.stored.completed = sum(self.stored.blobs.values())

    def view(self) -> PullView:
        running = self.state == "running"
        return PullView(
            id=self.key,
            name=self.subject.display,
            state=self.state,
            status=self.last.status if running else "",
            total=sum(self.stored.blobs.values()),
            completed=self.stored.completed,
            rate=self.last.rate if running else 0.0,
            eta=self.last.eta if running else 0.0,
            error=self.stored.error,
            hint=self.stored.hint,
            layers=[
                PullLayer(digest, size, self.stored.reached.get(digest, 0))
                for digest, size in self.stored.blobs.items()
            ],
        )


class PullQueue:
    """Runs up to `at_once` pulls of a registry at a time, first in the queue first. An async context manager.

    Args:
        run: what does one pull; `registry.pull` where nothing else is said.

    NotFound where an id is none of the queue's; Busy where another process runs that pull.
    """

    def __init__(self, registry: Registry, *, at_once: int = 2, run: Run | None = None) -> None:
        self._registry = registry
        self._run_pull = run or (lambda request: registry.pull(names.parse(request.model), insecure=request.insecure))
        self._at_once = at_once
        self._files = QueueFiles(registry.store.root)
        self._pulls: dict[str, _Pull] = {}
        self._changed = asyncio.Condition()
        self._version = 0
        self._closing = False

    async def __aenter__(self) -> Self:
        """Take up what an earlier program left: what was queued or running goes on."""
        for key, stored in (await in_thread(self._files.load)).items():
            self._pulls[key] = _Pull(key, stored, await in_thread(self._files.lock, key))
        await self._schedule()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop all pulls; they stay queued for the next time."""
        self._closing = True
        for pull in self._pulls.values():
            await self._stop(pull)
            if pull.state != "done" and pull.lock is not None:
                await in_thread(self._files.save, pull.key, pull.stored)
            _unlock(pull)
        await self._notify()

    def pulls(self) -> list[PullView]:
        """All pulls, in the order in which they run."""
        return [pull.view() for pull in self._ordered()]

    async def watch(self) -> AsyncGenerator[list[PullView], None]:
        """All pulls, now and whenever one has changed, until the queue is closed."""
        seen = -1
        while not self._closing:
            async with self._changed:
                await self._changed.wait_for(lambda seen=seen: self._version != seen or self._closing)
                seen = self._version
            yield self.pulls()

    async def add(self, name: ModelName | str, *, insecure: bool = False) -> PullView:
        """Queue a pull of a name or a link. One that is there already is resumed instead, if it had stopped."""
        subject = subject_of(name)
        key = subject.id
        known = self._pulls.get(key)
        if known is not None and known.state not in ("done", "elsewhere"):
            return known.view() if known.state in ("queued", "running") else await self.resume(key)
        last = max((pull.stored.order for pull in self._pulls.values()), default=0.0)
        order = max(time.time(), last + 1)
        stored = StoredPull(name=subject.text, insecure=insecure, order=order)
        pull = _Pull(key, stored, await in_thread(self._files.lock, key))
        if pull.lock is None:
            raise _elsewhere(subject.display)
        await in_thread(self._files.save, key, stored)
        self._pulls[key] = pull
        await self._schedule()
        return pull.view()

    async def pause(self, key: str) -> PullView:
        """Stop a pull; what came stays, and it waits to be resumed, also by the next program."""
        pull = self._mine(key)
        if pull.state in ("queued", "running", "failed"):
            await self._stop(pull)
            if pull.state != "done":
                await self._become(pull, "paused")
        return pull.view()

    async def resume(self, key: str) -> PullView:
        """Queue a paused or failed pull again, where it was in the order; a no-op on others."""
        pull = self._mine(key)
        if pull.state in ("paused", "failed"):
            await self._become(pull, "queued")
        return pull.view()

    retry = resume

    async def cancel(self, key: str, *, remove_partials: bool = False) -> None:
        """Take a pull (or a finished one's line) off the queue. Its partials stay unless asked otherwise."""
        pull = self._mine(key)
        await self._stop(pull)
        await in_thread(self._files.remove, key)
        del self._pulls[key]
        _unlock(pull)
        if remove_partials and pull.state != "done":
            await in_thread(self._remove_partials, pull.stored)
        await self._schedule()

    async def move(self, key: str, position: int) -> None:
        """Put a pull at that place of the order (0 is the first). Running pulls go on running."""
        pull = self._mine(key)
        others = [other for other in self._ordered() if other is not pull]
        position = max(0, min(position, len(others)))
        before = others[position - 1].stored.order if position else None
        after = others[position].stored.order if position < len(others) else None
        if before is not None and after is not None:
            pull.stored.order = (before + after) / 2
        elif before is not None:
            pull.stored.order = before + 1
        elif after is not None:
            pull.stored.order = after - 1
        await in_thread(self._files.save, key, pull.stored)
        await self._schedule()

    # --- running

    async def _schedule(self) -> None:
        """Start pulls while there is room, and tell the watchers."""
        running = sum(pull.state == "running" for pull in self._pulls.values())
        for pull in self._ordered():
            if pull.state == "queued" and running < self._at_once and not self._closing:
                pull.state = "running"
                pull.task = asyncio.create_task(self._run(pull))
                running += 1
        await self._notify()

    async def _run(self, pull: _Pull) -> None:
        stored = pull.stored
        known = set(stored.blobs)
        wanted: set[str] = set()
        try:
            async with aclosing(self._run_pull(PullRequest(stored.name, insecure=stored.insecure))) as steps:
                async for step in steps:
                    pull.take(step)
                    if step.digest:
                        wanted.add(step.digest)
                    if set(stored.blobs) != known:
                        known = set(stored.blobs)
                        await in_thread(self._files.save, pull.key, stored)
                    await self._notify()
            pull.finish(wanted)
            await in_thread(self._files.remove, pull.key)
            _unlock(pull)
            await self._schedule()
        except EngineError as error:
            stored.error, stored.hint = str(error), error.hint
            await self._become(pull, "paused" if isinstance(error, StoreError) else "failed")
        except Exception as error:  # noqa: BLE001 - a pull that dies of our own mistake must not look as if it ran
            _log.exception("pulling %s", stored.name)
            stored.error, stored.hint = f"internal error: {error!r}", "See the log, and report it."
            await self._become(pull, "failed")

    async def _become(self, pull: _Pull, state: Literal["queued", "paused", "failed"]) -> None:
        pull.state = pull.stored.wanted = state
        if state == "queued":
            pull.stored.error = pull.stored.hint = ""
        try:
            await in_thread(self._files.save, pull.key, pull.stored)
        except StoreError as error:  # a full disk pauses pulls: it must not keep them from saying so
            pull.stored.error, pull.stored.hint = pull.stored.error or str(error), pull.stored.hint or error.hint
        await self._schedule()

    async def _stop(self, pull: _Pull) -> None:
        """End the task of a pull and wait until it has let go of its files."""
        task, pull.task = pull.task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])

    async def _notify(self) -> None:
        async with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _ordered(self) -> list[_Pull]:
        return sorted(self._pulls.values(), key=lambda pull: pull.stored.order)

    def _mine(self, key: str) -> _Pull:
        pull = self._pulls.get(key)
        if pull is None:
            raise NotFound(f"there is no pull {key[:40]!a}", hint="List the pulls to see which there are.")
        if pull.state == "elsewhere":
            pull.lock = self._files.lock(key)
            if pull.lock is None:
                raise _elsewhere(pull.subject.display)
            pull.state = "paused"  # the other process is gone: from here on it is ours
        return pull

    def _remove_partials(self, stored: StoredPull) -> None:
        """Remove the partials of a pull, less those that somebody is filling."""
        folder = self._registry.store.blobs.folder
        for text, size in stored.blobs.items():
            digest = digests.parse(text)
            if partial_path(folder, digest).exists() and (partial := Partial.open(folder, digest, size)):
                partial.remove()
                partial.close()


def _unlock(pull: _Pull) -> None:
    if pull.lock is not None:
        os.close(pull.lock)
        pull.lock = None


def _elsewhere(name: str) -> Busy:
    return Busy(f"{name} is being pulled by another program", hint="Wait for it, or pause it there.")
