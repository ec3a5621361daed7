"""Requests on their way to a slot: checked, their images and sounds read by other threads, then queued.

Used by batcher.py, whose thread takes them out; any thread may put them in.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.media import MediaPrompt, MediaReader, MediaRun
from ollama_engine.runner.media_files import MediaError
from ollama_engine.runner.protocol import Failed, Generate

if TYPE_CHECKING:
    from concurrent.futures import Future

Runs = dict[int, MediaRun]
"""Runs of media cells of a prompt, by their first cell."""


class Intake:
    """The queue of one model. `lock` guards it and is notified when something has come; no call into `media` is made
    under it. `batch_size`: the most tokens that one decode takes."""

    def __init__(
        self, context: LlamaContext, media: MediaReader | None, batch_size: int, lock: threading.Condition
    ) -> None:
        self._context = context
        self._media = media
        self._batch_size = batch_size
        self._lock = lock
        self._waiting: deque[Generate] = deque()
        self._reading: dict[int, tuple[Generate, Future[MediaPrompt]]] = {}
        """Requests whose images and sounds are being read, by id."""
        self._runs: dict[int, Runs] = {}
        """Of waiting requests, by id."""

    def __len__(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    @property
    def has_read(self) -> bool:
        """Whether the images and sounds of a request are read by now."""
        return any(future.done() for _, future in self._reading.values())

    def add(self, request: Generate) -> Failed | None:
        """Queue a request. Answers what is wrong with it, if so."""
        n_vocab = self._context.model.n_vocab
        if not request.tokens:
            return Failed(request.id, "the prompt has no tokens", "invalid")
        if min(request.tokens) < -len(request.media) or max(request.tokens) >= n_vocab:
            # llama.cpp would refuse the whole batch, everybody else's tokens with it.
            return Failed(request.id, "the prompt has tokens that are not in the vocabulary", "invalid")
        unknown = next((t for t in request.sampling.logit_bias if not 0 <= t < n_vocab), None)
        if unknown is not None:
            return Failed(request.id, f"logit_bias: token {unknown} is not in the vocabulary", "invalid")
        request.n_ctx = min(request.n_ctx or self._context.n_ctx, self._context.n_ctx)
        if request.media:
            return self._read_media(request)
        if failed := _too_long(request):
            return failed
        self._queue(request)
        return None

    def next(self) -> tuple[Generate, Runs] | None:
        """The request whose turn it is, off the queue, and the runs of media cells in its prompt."""
        with self._lock:
            if not self._waiting:
                return None
            request = self._waiting.popleft()
        return request, self._runs.pop(request.id, {})

    def take_read(self) -> list[Failed]:
        """Queue the requests whose images and sounds are read by now; what is wrong with the others."""
        with self._lock:
            ready = [id for id, (_, future) in self._reading.items() if future.done()]
            read = [self._reading.pop(id) for id in ready]
        failures: list[Failed] = []
        for request, future in read:
            if failed := self._place(request, future):
                failures.append(failed)
            else:
                self._queue(request)
        return failures

    def drop(self, canceled: set[int]) -> list[Generate]:
        """Take those of the requests out that are here; which they were."""
        with self._lock:
            dropped = [request for request in self._waiting if request.id in canceled]
            for request in dropped:
                self._waiting.remove(request)
                self._runs.pop(request.id, None)
            unread = [self._reading.pop(id) for id in canceled & self._reading.keys()]
        for request, future in unread:
            future.cancel()
            dropped.append(request)
        return dropped

    def _queue(self, request: Generate) -> None:
        with self._lock:
            self._waiting.append(request)
            self._lock.notify()

    def _read_media(self, request: Generate) -> Failed | None:
        if self._media is None:
            return Failed(request.id, "the model reads text alone: it has no projector", "invalid")
        future = self._media.read(request.tokens, request.media)
        with self._lock:
            self._reading[request.id] = (request, future)
            self._lock.notify()
        return None

    def _place(self, request: Generate, future: Future[MediaPrompt]) -> Failed | None:
        """Put the cells of images and sounds into the prompt."""
        if error := future.exception():
            return Failed(request.id, str(error), "invalid" if isinstance(error, MediaError) else "error")
        prompt = future.result()
        request.tokens, request.media = prompt.cells, []
        for run in prompt.runs.values():
            if not run.chunk.is_causal and len(run.cells) > self._batch_size:
                problem = (
                    f"an image takes {len(run.cells)} tokens, which this model can only read in one batch, and its "
                    f"batch holds {self._batch_size}: set num_batch higher"
                )
                return Failed(request.id, problem, "invalid")
        if failed := _too_long(request):
            return failed
        self._runs[request.id] = {run.cells[0]: run for run in prompt.runs.values()}
        return None


def _too_long(request: Generate) -> Failed | None:
    if len(request.tokens) < request.n_ctx:
        return None
    return Failed(request.id, f"the prompt has {len(request.tokens)} tokens, the context {request.n_ctx}", "invalid")
