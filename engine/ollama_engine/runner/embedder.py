"""Embeds the inputs of all requests, many in one batch: the session's main loop in a runner loaded with `pooling`.

Requests take turns, an input each, so that a small one does not wait for a large one to end. Every input begins at
position 0 of a sequence of its own and is forgotten after its batch; nothing is cached.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ollama_engine.runner.embedding_context import EmbeddingContext
from ollama_engine.runner.llama import LlamaError
from ollama_engine.runner.llama_batch import LlamaBatch
from ollama_engine.runner.llama_context import DECODE_ABORTED
from ollama_engine.runner.protocol import Embed, Failed, Vectors
from ollama_engine.runner.throughput import Throughput

PACKED_TOKENS = 512
"""Inputs are put together until a batch has about so many. More would not be quicker on a CPU: attention is computed
between all tokens of a batch and then masked."""
NOT_FINITE = "embedding contains NaN or Inf values"


@dataclass(eq=False)
class Job:
    """A request; the inputs before `taken` are done or in the current batch."""

    request: Embed
    taken: int = 0
    rows: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """Vectors of the current batch by number of input."""

    @property
    def id(self) -> int:
        return self.request.id

    @property
    def next_input(self) -> list[int]:
        return self.request.inputs[self.taken]

    @property
    def is_taken(self) -> bool:
        return self.taken == len(self.request.inputs)


class Embedder:
    """One thread calls `step`; `add`, `cancel`, `wait_for_work` and the figures may be called from another."""

    def __init__(self, context: EmbeddingContext) -> None:
        self._context = context
        self._batch = LlamaBatch(context.n_batch)
        self._jobs: deque[Job] = deque()
        self._batched: list[tuple[Job, int]] = []
        """Job and number of input of each sequence in the current batch."""
        self._canceled: set[int] = set()
        self._lock = threading.Condition()
        """Guards `_jobs`, `_canceled`, and `_batched` with its abort flag."""
        self._reading_speed = Throughput()

    def wait_for_work(self) -> None:
        """Block until there is a request to work on."""
        with self._lock:
            self._lock.wait_for(lambda: self._jobs)

    def add(self, request: Embed) -> Failed | None:
        """Queue a request. Answers what is wrong with it, if so."""
        most = self._context.n_ctx if self._context.can_split else min(self._context.n_ctx, self._batch.capacity)
        n_vocab = self._context.model.n_vocab
        for number, tokens in enumerate(request.inputs):
            if not tokens:
                return Failed(request.id, f"input {number} has no tokens", "invalid")
            if len(tokens) > most:
                return Failed(request.id, f"input {number} has {len(tokens)} tokens, the context {most}", "invalid")
            if min(tokens) < 0 or max(tokens) >= n_vocab:
                return Failed(request.id, f"input {number} has tokens that are not in the vocabulary", "invalid")
        if not request.inputs:
            return Failed(request.id, "there is nothing to embed", "invalid")
        with self._lock:
            self._jobs.append(Job(request))
            self._lock.notify()
        return None

    def cancel(self, request_id: int) -> None:
        """Drop a request before the next step, and break off the one that runs if nobody else is in it."""
        with self._lock:
            self._canceled.add(request_id)
            self._abort_if_nobody_is_left()

    @property
    def cells(self) -> int:
        """Tokens that one batch has room for."""
        return self._batch.capacity

    @property
    def cells_used(self) -> int:
        return self._batch.n_tokens if self._batched else 0

    @property
    def slots(self) -> int:
        """Inputs that one batch has room for."""
        return self._context.n_seq

    @property
    def tokens_per_second(self) -> float:
        return 0.0  # nothing is generated

    @property
    def prompt_tokens_per_second(self) -> float:
        return self._reading_speed.per_second

    @property
    def slots_busy(self) -> int:
        """Inputs in the batch that runs."""
        return len(self._batched)

    @property
    def queued(self) -> int:
        """Requests that still have inputs to be taken."""
        return len(self._jobs)

    def step(self) -> list[Vectors | Failed]:
        """One batch: the vectors that came out of it, a frame for each request in it."""
        with self._lock:
            self._drop_canceled()
            self._fill()
            self._abort_if_nobody_is_left()
        began = time.perf_counter()
        code = self._compute()
        if code == 0:
            n_tokens = sum(len(job.request.inputs[number]) for job, number in self._batched)
            self._reading_speed.add(n_tokens, time.perf_counter() - began)
        reports = self._collect(code)
        with self._lock:
            self._batched = []
            self._context.abort(False)
        self._context.clear()
        return reports

    # -- schedule ----------------------------------------------------------------------------------------------

    def _drop_canceled(self) -> None:
        self._jobs = deque(job for job in self._jobs if job.id not in self._canceled)
        self._canceled.clear()

    def _fill(self) -> None:
        """Take inputs in turn while they fit. One longer than a batch is taken alone, and put in by `_compute`."""
        self._batch.clear()
        while self._jobs and len(self._batched) < self._context.n_seq:
            tokens = self._jobs[0].next_input
            if self._batched and self._batch.n_tokens + len(tokens) > min(PACKED_TOKENS, self._batch.capacity):
                return
            job = self._jobs.popleft()
            if len(tokens) <= self._batch.capacity:
                self._batch.add(tokens, 0, len(self._batched), want_logits=True)
            self._batched.append((job, job.taken))
            job.taken += 1
            if not job.is_taken:
                self._jobs.append(job)
            if len(tokens) >= self._batch.capacity:
                return

    def _abort_if_nobody_is_left(self) -> None:
        if self._batched and all(job.id in self._canceled for job, _ in self._batched):
            self._context.abort(True)

    # -- compute and collect -----------------------------------------------------------------------------------

    def _compute(self) -> int:
        """llama.cpp's code; 0 as well where everybody was cancelled before there was anything to compute."""
        if not self._batched:
            return 0
        if self._batch.n_tokens:
            return self._context.compute(self._batch)
        [(job, number)] = self._batched
        tokens, size = job.request.inputs[number], self._batch.capacity
        for start in range(0, len(tokens), size):
            self._batch.clear()
            self._batch.add(tokens[start : start + size], start, 0, want_logits=True)
            code = self._context.compute(self._batch)
            if code != 0:
                return code
        return 0

    def _collect(self, code: int) -> list[Vectors | Failed]:
        reports: list[Vectors | Failed] = []
        jobs = list(dict.fromkeys(job for job, _ in self._batched))
        for job in jobs:
            if code == DECODE_ABORTED:
                continue
            try:
                if code != 0:
                    raise LlamaError(f"llama.cpp could not compute the embedding (code {code})")
                for seq, (owner, number) in enumerate(self._batched):
                    if owner is job:
                        job.rows[number] = self._finished(self._context.vector(seq), job.request)
                values = np.stack([*job.rows.values()]).astype("<f4").tobytes()
                reports.append(Vectors(job.id, [*job.rows], values))
                job.rows.clear()
            except LlamaError as error:
                kind = "invalid" if str(error) == NOT_FINITE else "error"
                reports.append(Failed(job.id, str(error), kind))
                self._give_up(job)
        return reports

    def _give_up(self, job: Job) -> None:
        with self._lock:
            self._canceled.add(job.id)

    @staticmethod
    def _finished(vector: NDArray[np.float32], request: Embed) -> NDArray[np.float32]:
        if not np.isfinite(vector).all():
            raise LlamaError(NOT_FINITE)
        if 0 < request.dimensions < len(vector):
            vector = vector[: request.dimensions]
        if request.normalize:
            # Summed in double precision: squares of large numbers leave float32's range.
            length = float(np.sqrt(np.square(vector, dtype=np.float64).sum()))
            vector = (vector / max(length, 1e-12)).astype(np.float32)
        return vector
