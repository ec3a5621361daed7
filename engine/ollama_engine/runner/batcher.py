"""Continuous batching: every step decodes one batch that holds a token of each running sequence and, in the room that
is left, a chunk of the prompts still to be read; then each sequence whose logits came out gets its next token.

    schedule -> decode -> postprocess

A request waits until a slot is free. What it shares with any slot it takes over (prefix_cache.py); how much of the
rest a step reads depends on who waits for it (pace.py). Whatever goes wrong in a batch of several is tried again with
each of them alone, so that it ends the request it belongs to and no other.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from ollama_engine.runner.llama import DECODE_ABORTED, DECODE_NO_SLOT, LlamaBatch, LlamaContext, LlamaError
from ollama_engine.runner.pace import Pace
from ollama_engine.runner.prefix_cache import PrefixCache, cells_of
from ollama_engine.runner.protocol import Done, DoneReason, Failed, Generate, Step
from ollama_engine.runner.sampler_chain import build_chain
from ollama_engine.runner.sequence import Sequence

NO_CELLS = "the KV cache is full and nothing in it can be given up"
NOT_FINITE = "the model computed numbers that are none (NaN or infinity): its weights are broken, or overflow"

RATE_WINDOW = 4.0
"""Seconds over which the generation speed is averaged."""


class Batcher:
    """All requests of one model.

    One thread calls `step`; `add`, `cancel`, `wait_for_work` and the figures may be called from another.
    """

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self._model = context.model
        self._batch = LlamaBatch(context.n_batch)
        self._cache = PrefixCache(context)
        self._pace = Pace(context.n_batch)
        self._waiting: deque[Generate] = deque()
        self._running: list[Sequence] = []
        self._suspects: list[Sequence] = []
        """One of these has spoiled a batch. Each is decoded alone, the first one next, until its logits are good."""
        self._taken: dict[int, int] = {}
        """Tokens of each sequence in the current batch, by request id."""
        self._in_batch: frozenset[int] = frozenset()
        self._canceled: set[int] = set()
        self._lock = threading.Condition()
        """Guards what another thread touches: `_waiting`, `_canceled`, `_rates`, `_in_batch` and its abort flag."""
        self._rates: deque[tuple[float, int]] = deque()
        self._sampled = 0
        """Tokens chosen in the current step."""
        self._failures: list[Failed] = []

    def wait_for_work(self) -> None:
        """Block until there is a request to work on."""
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self._running)

    @property
    def has_prompts(self) -> bool:
        """Whether the next step reads a prompt, which may take long."""
        return bool(self._waiting) or any(sequence.in_prefill for sequence in self._running)

    def add(self, request: Generate) -> Failed | None:
        """Queue a request; it gets its first step as soon as a slot is free. Answers what is wrong with it, if so."""
        if not request.tokens:
            return Failed(request.id, "the prompt has no tokens", "invalid")
        if min(request.tokens) < 0 or max(request.tokens) >= self._model.n_vocab:
            # llama.cpp would refuse the whole batch, everybody else's tokens with it.
            return Failed(request.id, "the prompt has tokens that are not in the vocabulary", "invalid")
        request.n_ctx = min(request.n_ctx or self._context.n_ctx, self._context.n_ctx)
        if len(request.tokens) >= request.n_ctx:
            problem = f"the prompt has {len(request.tokens)} tokens, the context {request.n_ctx}"
            return Failed(request.id, problem, "invalid")
        with self._lock:
            self._waiting.append(request)
            self._lock.notify()
        return None

    def cancel(self, request_id: int) -> None:
        """End a request at the next step, or break off the step that runs if nobody else is in it."""
        with self._lock:
            self._canceled.add(request_id)
            if self._in_batch and self._in_batch <= self._canceled:
                self._context.abort(True)

    def step(self) -> tuple[Step, list[Failed]]:
        """One round. Both lists may be empty (a chunk of a long prompt gives no text)."""
        step = Step([], [])
        self._sampled = 0
        self._drop_canceled(step)
        self._admit()
        if batch := self._schedule():
            self._decode_and_sample(batch, step)
        self._measure(self._sampled)
        failures, self._failures = self._failures, []
        return step, failures

    # -- figures, read from another thread ---------------------------------------------------------------------

    @property
    def cells(self) -> int:
        return self._context.n_ctx * self._context.n_seq

    @property
    def slots(self) -> int:
        return self._context.n_seq

    @property
    def cells_used(self) -> int:
        """Cells that several slots share count once."""
        return self._cache.cells_used

    @property
    def slots_busy(self) -> int:
        return sum(slot.busy for slot in self._cache.slots)

    @property
    def queued(self) -> int:
        return len(self._waiting)

    @property
    def tokens_per_second(self) -> float:
        now = time.monotonic()
        with self._lock:
            recent = [(at, n) for at, n in self._rates if now - at <= RATE_WINDOW]
        if not recent:
            return 0.0
        return sum(n for _, n in recent) / max(now - recent[0][0], 0.25)

    def _measure(self, n: int) -> None:
        now = time.monotonic()
        with self._lock:
            if n and self._rates and now - self._rates[-1][0] < 0.1:
                at, before = self._rates[-1]
                self._rates[-1] = (at, before + n)
            elif n:
                self._rates.append((now, n))
            while self._rates and now - self._rates[0][0] > RATE_WINDOW:
                self._rates.popleft()

    # -- requests come and go ----------------------------------------------------------------------------------

    def _drop_canceled(self, step: Step) -> None:
        with self._lock:
            canceled, self._canceled = self._canceled, set()
            never_began = [request for request in self._waiting if request.id in canceled]
            for request in never_began:
                self._waiting.remove(request)
        step.done += [Done(r.id, "canceled", len(r.tokens), 0, 0, 0, 0) for r in never_began]
        for sequence in [s for s in self._running if s.id in canceled]:
            self._release(sequence)
            step.done.append(sequence.finish("canceled"))

    def _admit(self) -> None:
        while self._cache.has_free_slot:
            with self._lock:
                if not self._waiting:
                    return
                request = self._waiting.popleft()
            try:
                sampler = build_chain(request.sampling, self._context)
            except LlamaError as error:
                self._failures.append(Failed(request.id, str(error), "invalid"))
                continue
            slot, cached = self._cache.take(cells_of(request.tokens))
            sampler.prime(request.tokens)
            preserved = self._control_pieces(request.preserved)
            self._running.append(Sequence(request, slot, sampler, cached, preserved))

    def _control_pieces(self, texts: list[str]) -> dict[int, bytes]:
        tokens = [token for token in map(self._model.control_token, texts) if token is not None]
        return {token: self._model.control_piece(token) for token in tokens}

    def _release(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        if sequence in self._suspects:
            self._suspects.remove(sequence)
        sequence.sampler.close()
        self._cache.release(sequence.slot)

    # -- schedule ----------------------------------------------------------------------------------------------

    def _schedule(self) -> list[Sequence]:
        """Fill the batch: running sequences first, then prompts, sharing the room that is left evenly. Who is in it."""
        batch = self._batch
        batch.clear()
        self._taken = {}
        for sequence in self._running:
            sequence.row = -1
        sequences = self._suspects[:1] or self._running
        streams = [s for s in sequences if not s.in_prefill]
        for sequence in streams:
            self._put(sequence, 1)
        # The shortest first: what it does not need of its share is the others'.
        prefill = sorted((s for s in sequences if s.in_prefill), key=lambda s: len(s.pending))
        room = min(self._pace.chunk(len(streams)), batch.capacity - batch.n_tokens)
        for i, sequence in enumerate(prefill):
            share = -(-room // (len(prefill) - i))
            room -= self._put(sequence, share)
        return [s for s in sequences if s.id in self._taken]

    def _put(self, sequence: Sequence, share: int) -> int:
        """Put up to `share` of what the sequence has to decode into the batch; how much it was."""
        chunk = sequence.pending[:share]
        if chunk:
            last = len(chunk) == len(sequence.pending)
            row = self._batch.add(chunk, sequence.slot.next_position, sequence.slot.id, want_logits=last)
            sequence.row = row if last else -1
            self._taken[sequence.id] = len(chunk)
        return len(chunk)

    # -- decode and postprocess --------------------------------------------------------------------------------

    def _decode_and_sample(self, sequences: list[Sequence], step: Step) -> None:
        began = time.perf_counter()
        streams = sum(not s.in_prefill for s in sequences)
        code = self._decode()
        while code == DECODE_NO_SLOT and self._cache.reclaim():
            code = self._decode()
        if code == DECODE_ABORTED:
            # Everybody in it was cancelled; what it did to their cells is undone here, they leave in the next step.
            self._rewind(sequences)
            return
        if code != 0:
            self._rewind(sequences)
            self._blame(sequences, f"llama.cpp could not decode (code {code})" if code != DECODE_NO_SLOT else NO_CELLS)
            return
        sampled = [s for s in sequences if s.row >= 0]
        if not all(self._context.is_finite(s.row) for s in sampled):
            self._blame(sequences, NOT_FINITE)
            self._start_over()
            return
        for sequence in sequences:
            n = self._taken[sequence.id]
            sequence.slot.cells.extend(sequence.pending[:n])
            del sequence.pending[:n]
        for sequence in sampled:
            self._postprocess(sequence, step)
        if sampled:  # else the device may not even have begun
            self._suspects = [s for s in self._suspects if s not in sampled]
            self._pace.measured(time.perf_counter() - began, streams, self._batch.n_tokens - streams)

    def _decode(self) -> int:
        with self._lock:
            self._in_batch = frozenset(self._taken)
            if self._in_batch <= self._canceled:
                self._context.abort(True)
        code = self._context.decode(self._batch)
        with self._lock:
            self._in_batch = frozenset()
            self._context.abort(False)
        return code

    def _postprocess(self, sequence: Sequence, step: Step) -> None:
        if sequence.is_out_of_tokens:  # none were asked for
            self._finish(sequence, "", "length", step)
            return
        token = sequence.sampler.sample(self._context, sequence.row)
        sequence.accept(token)
        self._sampled += 1
        if self._model.is_end(token):
            self._finish(sequence, sequence.text.flush(), "stop", step)
            return
        text = sequence.text.push(sequence.preserved.get(token) or self._model.piece(token))
        if sequence.text.stopped:
            self._finish(sequence, text, "stop", step)
        elif sequence.is_repeating or sequence.is_out_of_tokens or not self._make_room(sequence):
            text += sequence.text.flush()
            reason = "repetition" if sequence.is_repeating else "length"
            self._finish(sequence, text, "stop" if sequence.text.stopped else reason, step)
        elif text:
            step.pieces.append(sequence.piece(text))

    def _finish(self, sequence: Sequence, text: str, reason: DoneReason, step: Step) -> None:
        if text:
            step.pieces.append(sequence.piece(text))
        self._release(sequence)
        step.done.append(sequence.finish(reason))

    def _make_room(self, sequence: Sequence) -> bool:
        """Whether the sequence can go on: true unless its context is full and may not, or cannot, be shifted."""
        request = sequence.request
        if len(sequence.slot.cells) < request.n_ctx:
            return True
        return request.shift and self._context.can_shift and self._cache.shift(sequence.slot, request.keep)

    # -- when a batch went wrong -------------------------------------------------------------------------------

    def _rewind(self, sequences: list[Sequence]) -> None:
        """Forget what a decode that did not succeed may have left in their slots."""
        for sequence in sequences:
            cells = sequence.slot.cells[:]
            if not self._cache.cut(sequence.slot, len(cells)):
                sequence.restart(cells)

    def _blame(self, sequences: list[Sequence], problem: str) -> None:
        """A batch went wrong: it is the fault of who was alone in it; several are decoded one by one from now on.

        The newest prompt first: what went well until now was decoded with the others in the batch.
        """
        if len(sequences) > 1:
            newest = sorted(sequences, key=self._running.index, reverse=True)
            self._suspects = sorted(newest, key=lambda s: not s.in_prefill)
            return
        for sequence in sequences:
            self._cache.cut(sequence.slot, 0)
            self._release(sequence)
            self._failures.append(Failed(sequence.id, problem))

    def _start_over(self) -> None:
        """Empty the whole KV cache and read again what the running sequences had in it.

        A NaN in a cell does not stay with its sequence: attention goes over all cells, and a weight of 0 times NaN is
        NaN, also where the cell is masked, or has been given up.
        """
        cells = [sequence.slot.cells[:] for sequence in self._running]
        self._cache.clear()
        for sequence, held in zip(self._running, cells, strict=True):
            sequence.restart(held)
