"""Continuous batching: every step decodes one batch that holds a token of each running sequence and, in the room that
is left, a chunk of the prompts still to be read; then each sequence whose logits came out gets its next token.

    schedule -> decode -> postprocess

A request waits until a slot is free, and takes the free slot whose cells share the longest prefix with its prompt.
A finished sequence stays in its slot's cells for that reason, until the slot is taken.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from ollama_engine.runner.llama import DECODE_ABORTED, DECODE_NO_SLOT, LlamaBatch, LlamaContext, LlamaError
from ollama_engine.runner.prefix_cache import Cells, Slot, cells_of, common_prefix
from ollama_engine.runner.protocol import Done, DoneReason, Failed, Generate, Step
from ollama_engine.runner.sampler_chain import build_chain
from ollama_engine.runner.sequence import Sequence

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
        self._slots = [Slot(i) for i in range(context.n_seq)]
        self._waiting: deque[Generate] = deque()
        self._running: list[Sequence] = []
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
        if self._running and self._schedule():
            self._decode_and_sample(step)
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
        return sum(len(slot.cells) for slot in self._slots)

    @property
    def slots_busy(self) -> int:
        return sum(slot.busy for slot in self._slots)

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
        while free := [slot for slot in self._slots if not slot.busy]:
            with self._lock:
                if not self._waiting:
                    return
                request = self._waiting.popleft()
            prompt = cells_of(request.tokens)
            best = max(free, key=lambda slot: (common_prefix(slot.cells, prompt), -slot.used_at))
            try:
                sampler = build_chain(request.sampling, self._context)
            except LlamaError as error:
                self._failures.append(Failed(request.id, str(error), "invalid"))
                continue
            cached = self._reuse(best, prompt)
            best.busy = True
            sampler.prime(request.tokens)
            preserved = self._control_pieces(request.preserved)
            self._running.append(Sequence(request, best, sampler, cached, preserved))

    def _control_pieces(self, texts: list[str]) -> dict[int, bytes]:
        tokens = [token for token in map(self._model.control_token, texts) if token is not None]
        return {token: self._model.control_piece(token) for token in tokens}

    def _reuse(self, slot: Slot, prompt: Cells[int]) -> int:
        """Cut the slot back to what it shares with `prompt`; return how many tokens need not be decoded again.

        At least one token is always decoded, for its logits. A model whose state cannot be cut back (recurrent,
        hybrid, sliding window that has moved on) starts from nothing.
        """
        shared = min(common_prefix(slot.cells, prompt), len(prompt) - 1)
        if shared < len(slot.cells) and not self._context.keep_prefix(slot.id, slot.position(shared)):
            self._context.keep_prefix(slot.id, 0)
            shared = 0
        del slot.cells[shared:]
        return shared

    def _release(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        sequence.sampler.close()
        if sequence.kept is not None:
            # Cells that were moved were computed with the cut-out ones before them: no prompt may be given them.
            del sequence.slot.cells[sequence.kept :]
            self._cut_back(sequence.slot)
        sequence.slot.busy = False
        sequence.slot.used_at = time.monotonic()

    # -- schedule ----------------------------------------------------------------------------------------------

    def _schedule(self) -> bool:
        """Fill the batch: running sequences first, then prompts, sharing the room that is left evenly."""
        batch = self._batch
        batch.clear()
        for sequence in self._running:
            sequence.row = -1
        for sequence in [s for s in self._running if not s.in_prefill]:
            sequence.row = batch.add(sequence.pending, sequence.slot.next_position, sequence.slot.id, want_logits=True)
        prefill = [s for s in self._running if s.in_prefill]
        self._taken = {s.id: 1 for s in self._running if not s.in_prefill}
        for i, sequence in enumerate(prefill):
            share = (batch.capacity - batch.n_tokens) // (len(prefill) - i)
            chunk = sequence.pending[:share]
            if chunk:
                last = len(chunk) == len(sequence.pending)
                row = batch.add(chunk, sequence.slot.next_position, sequence.slot.id, want_logits=last)
                sequence.row = row if last else -1
                self._taken[sequence.id] = len(chunk)
        return batch.n_tokens > 0

    # -- decode and postprocess --------------------------------------------------------------------------------

    def _decode_and_sample(self, step: Step) -> None:
        code = self._decode()
        if code == DECODE_ABORTED:
            # Everybody in it was cancelled; what it did to their cells is undone here, they leave in the next step.
            for sequence in self._running:
                if sequence.id in self._taken:
                    self._cut_back(sequence.slot)
            return
        if code != 0:
            self._recover(code)
            return
        for sequence in list(self._running):
            n = self._taken.get(sequence.id, 0)
            sequence.slot.cells.extend(sequence.pending[:n])
            del sequence.pending[:n]
            if sequence.row >= 0:
                self._postprocess(sequence, step)

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
        elif sequence.is_out_of_tokens or not self._make_room(sequence):
            text += sequence.text.flush()
            self._finish(sequence, text, "stop" if sequence.text.stopped else "length", step)
        elif text:
            step.pieces.append(sequence.piece(text))

    def _finish(self, sequence: Sequence, text: str, reason: DoneReason, step: Step) -> None:
        if text:
            step.pieces.append(sequence.piece(text))
        self._release(sequence)
        step.done.append(sequence.finish(reason))

    def _make_room(self, sequence: Sequence) -> bool:
        """Whether the sequence can go on: true unless its context is full and may not, or cannot, be shifted."""
        slot = sequence.slot
        if len(slot.cells) < sequence.request.n_ctx:
            return True
        if not (sequence.request.shift and self._context.can_shift):
            return False
        keep = min(max(sequence.request.keep, 0), len(slot.cells) - 2)
        n = (len(slot.cells) - keep) // 2
        start = slot.position(keep)
        if not self._context.discard(slot.id, start, slot.position(keep + n) - start):
            return False
        del slot.cells[keep : keep + n]
        sequence.kept = keep
        return True

    def _cut_back(self, slot: Slot) -> None:
        """Forget cells beyond what the slot is known to hold, or all of them where the model cannot forget in part."""
        if not self._context.keep_prefix(slot.id, slot.next_position):
            self._empty(slot)

    def _empty(self, slot: Slot) -> None:
        self._context.keep_prefix(slot.id, 0)
        del slot.cells[:]

    def _recover(self, code: int) -> None:
        """A decode failed. Where cells ran out (code 1, nothing was changed), give up those of idle slots and let the
        step be tried again; otherwise the requests of this batch fail, and the ones that wait go on."""
        idle = [slot for slot in self._slots if not slot.busy and slot.cells]
        for slot in idle:
            self._empty(slot)
        if code == DECODE_NO_SLOT and idle:
            return
        for sequence in [s for s in self._running if s.id in self._taken]:
            self._release(sequence)
            self._empty(sequence.slot)
            self._failures.append(Failed(sequence.id, f"llama.cpp could not decode (code {code})"))
